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
        float[] products = new float[GROUP];
        for (int row = 0; row < maxima.length; row++) {
            Arrays.fill(products, 0, width, 0);
            int component = row / TILE * TILE * dimension + row % TILE;
            for (int j = 0; j < dimension; j++, component += TILE) {
                addProducts(products, query[component], group, j * GROUP, width);
            }
            float best = maxima[row];
            for (int i = 0; i < width; i++) {
                best = Math.max(best, scales == null ? products[i] : products[i] * scales[i]);
            }
            maxima[row] = best;
        }
    }

    private static void addProducts(float[] products, float factor, float[] group, int at, int width) {
        for (int i = 0; i < width; i++) {
            products[i] += factor * group[at + i];
        }
    }
}
