package io.github.opensearchmultimodal.maxsim;

import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.WireFormat;

/**
 * A query's rows in whole numbers, for multi-vectors of bits: then an inner product is a count of common bits.
 *
 * <p>A component q of a row with the least component l and the largest h becomes l + u·s with s = (h − l) / (2^{@link
 * #PLANES} − 1) and u = round((q − l) / s), which is wrong by at most s / 2. So the inner product with a vector of
 * ±1/√d is wrong by at most √d · s / 2, and a score by at most the sum of that over the query's rows.
 * With b the vector's bits and p<sub>i</sub> the i-th bits of the row's u, the inner product is
 * {@link #perBit} · |b| + {@link #perCommonBit} · Σ 2<sup>i</sup> |b ∧ p<sub>i</sub>| + {@link #constant}.
 * The same in Gao and Long, "RaBitQ" (2024, arXiv:2405.12497), section 3.3, with random rounding.
 */
final class BitQuery {
    /** Bits of u. */
    static final int PLANES = 4;

    private static final int LEVELS = (1 << PLANES) - 1;

    /** Number of rows. */
    final int count;
    /** Words of a vector. */
    final int words;
    /** For every row, for every word: {@link #PLANES} words, the least significant bits of u first. */
    final int[] planes;
    /** For every row. */
    final float[] perBit;
    /** For every row. */
    final float[] perCommonBit;
    /** For every row. */
    final float[] constant;

    /** Quantises rows, one after the other. */
    BitQuery(float[] rows, int dimension) {
        count = rows.length / dimension;
        words = BlockLayout.words(dimension);
        planes = new int[count * words * PLANES];
        perBit = new float[count];
        perCommonBit = new float[count];
        constant = new float[count];
        float unit = WireFormat.unit(dimension);
        for (int row = 0; row < count; row++) {
            quantise(rows, row, dimension, unit);
        }
    }

    private void quantise(float[] rows, int row, int dimension, float unit) {
        int start = row * dimension;
        double least = rows[start];
        double largest = rows[start];
        for (int j = 1; j < dimension; j++) {
            least = Math.min(least, rows[start + j]);
            largest = Math.max(largest, rows[start + j]);
        }
        double step = (largest - least) / LEVELS;
        long sum = 0;
        for (int j = 0; j < dimension; j++) {
            int level = step == 0 ? 0 : (int) Math.rint((rows[start + j] - least) / step);
            sum += level;
            int at = (row * words + BlockLayout.word(j)) * PLANES;
            for (int plane = 0; plane < PLANES; plane++) {
                planes[at + plane] |= (level >> plane & 1) << BlockLayout.bit(j);
            }
        }
        perBit[row] = (float) (2 * unit * least);
        perCommonBit[row] = (float) (2 * unit * step);
        constant[row] = (float) (-unit * (dimension * least + step * sum));
    }
}
