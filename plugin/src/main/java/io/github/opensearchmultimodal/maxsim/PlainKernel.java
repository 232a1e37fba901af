package io.github.opensearchmultimodal.maxsim;

import static io.github.opensearchmultimodal.vectors.BlockLayout.GROUP;

import java.util.Arrays;

/** Plain Java, for a JVM without the Vector API; its loops are such that the compiler vectorises them. */
final class PlainKernel extends Kernel {
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
                best = Math.max(best, products[i] * scales[i]);
            }
            maxima[row] = best;
        }
    }

    private static void addProducts(float[] products, float factor, float[] group, int at, int width) {
        for (int i = 0; i < width; i++) {
            products[i] += factor * group[at + i];
        }
    }

    @Override
    void scoreBits(int[] group, int width, BitQuery query, float[] counts, float[] maxima) {
        Arrays.fill(counts, 0);
        int[] common = new int[GROUP];
        for (int word = 0; word < query.words; word++) {
            for (int i = 0; i < GROUP; i++) {
                counts[i] += Integer.bitCount(group[word * GROUP + i]);
            }
        }
        for (int row = 0, plane = 0; row < query.count; row++) {
            Arrays.fill(common, 0);
            for (int word = 0; word < query.words; word++) {
                for (int weight = 0; weight < BitQuery.PLANES; weight++) {
                    addCommon(common, group, word * GROUP, query.planes[plane++], weight);
                }
            }
            float best = Float.NEGATIVE_INFINITY;
            for (int i = 0; i < width; i++) {
                best = Math.max(best, counts[i] * query.perBit[row] + common[i] * query.perCommonBit[row]);
            }
            maxima[row] = Math.max(maxima[row], best + query.constant[row]);
        }
    }

    private static void addCommon(int[] common, int[] group, int at, int plane, int weight) {
        for (int i = 0; i < GROUP; i++) {
            common[i] += Integer.bitCount(group[at + i] & plane) << weight;
        }
    }
}
