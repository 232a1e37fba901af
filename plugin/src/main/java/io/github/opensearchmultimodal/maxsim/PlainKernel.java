package io.github.opensearchmultimodal.maxsim;

import static io.github.opensearchmultimodal.vectors.BlockLayout.GROUP;

import java.util.Arrays;

/** Plain Java, for a JVM without the Vector API; its loops are such that the compiler vectorises them. */
final class PlainKernel extends Kernel {
    private static final int BYTES = 256;

    @Override
    int lanes() {
        return 1;
    }

    @Override
    void widenBytes(byte[] bytes, int at, int width, int dimension, float[] group) {
        for (int j = 0; j < dimension; j++) {
            int from = at + j * width;
            int to = j * GROUP;
            for (int i = 0; i < width; i++) {
                group[to + i] = bytes[from + i];
            }
        }
    }

    @Override
    void widenBits(byte[] bytes, int at, int width, int dimension, float unit, float[] group) {
        float[] table = table(unit);
        int stride = (width + 7) / 8;
        for (int j = 0; j < dimension; j++) {
            for (int i = 0; i < stride; i++) {
                int bits = Byte.toUnsignedInt(bytes[at + j * stride + i]);
                System.arraycopy(table, 8 * bits, group, j * GROUP + 8 * i, 8);
            }
        }
    }

    /** Returns the eight floats of every byte. */
    private static float[] table(float unit) {
        float[] table = new float[8 * BYTES];
        for (int i = 0; i < table.length; i++) {
            table[i] = (i / 8 >> i % 8 & 1) == 1 ? unit : -unit;
        }
        return table;
    }

    @Override
    void score(float[] group, int width, int dimension, float[] query, float[] scales, float[] maxima) {
        float[] a = new float[GROUP];
        float[] b = new float[GROUP];
        float[] c = new float[GROUP];
        float[] d = new float[GROUP];
        for (int row = 0; row < maxima.length; row += TILE) {
            Arrays.fill(a, 0);
            Arrays.fill(b, 0);
            Arrays.fill(c, 0);
            Arrays.fill(d, 0);
            for (int j = 0, q = row * dimension; j < dimension; j += 2, q += 2 * TILE) {
                if (j + 1 < dimension) {
                    addTwo(a, query[q], query[q + 4], group, j * GROUP);
                    addTwo(b, query[q + 1], query[q + 5], group, j * GROUP);
                    addTwo(c, query[q + 2], query[q + 6], group, j * GROUP);
                    addTwo(d, query[q + 3], query[q + 7], group, j * GROUP);
                } else {
                    addOne(a, query[q], group, j * GROUP);
                    addOne(b, query[q + 1], group, j * GROUP);
                    addOne(c, query[q + 2], group, j * GROUP);
                    addOne(d, query[q + 3], group, j * GROUP);
                }
            }
            maxima[row] = Math.max(maxima[row], max(a, scales, width));
            maxima[row + 1] = Math.max(maxima[row + 1], max(b, scales, width));
            maxima[row + 2] = Math.max(maxima[row + 2], max(c, scales, width));
            maxima[row + 3] = Math.max(maxima[row + 3], max(d, scales, width));
        }
    }

    private static void addOne(float[] products, float factor, float[] group, int at) {
        for (int i = 0; i < GROUP; i++) {
            products[i] += factor * group[at + i];
        }
    }

    private static void addTwo(float[] products, float factor, float next, float[] group, int at) {
        for (int i = 0; i < GROUP; i++) {
            products[i] += factor * group[at + i] + next * group[at + GROUP + i];
        }
    }

    private static float max(float[] products, float[] scales, int width) {
        float best = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < width; i++) {
            best = Math.max(best, scales == null ? products[i] : products[i] * scales[i]);
        }
        return best;
    }
}
