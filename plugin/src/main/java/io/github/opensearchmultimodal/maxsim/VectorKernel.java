package io.github.opensearchmultimodal.maxsim;

import static io.github.opensearchmultimodal.vectors.BlockLayout.GROUP;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The Vector API. A tile of 4 query rows × 4 vectors of lanes (4 × 2 where a CPU has only 16 registers, AVX2) stays in
 * registers while it runs over the dimensions; nothing is added up across lanes.
 *
 * <p>The tiles are written out, and nothing in them is a method of ours: a vector that is passed to a method which the
 * compiler does not inline is an object on the heap.
 */
final class VectorKernel extends Kernel {
    private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
    private static final int LANES = FLOATS.length();
    private static final VectorSpecies<Byte> BYTES =
        VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, 8 * LANES)));
    private static final boolean FEW_REGISTERS = FLOATS.vectorBitSize() == 256;

    private VectorKernel() {}

    /** Returns this kernel, or the plain one where vectors are too short for it. */
    static Kernel create() {
        boolean usable = LANES >= 8 && GROUP % (4 * LANES) == 0;
        return usable ? new VectorKernel() : new PlainKernel();
    }

    @Override
    int lanes() {
        return LANES;
    }

    @Override
    void widenBytes(byte[] bytes, int at, int width, int dimension, float[] group) {
        for (int j = 0; j < dimension; j++) {
            int from = at + j * width;
            for (int i = 0; i < width; i += LANES) {
                widenBytes(bytes, from + i, group, j * GROUP + i);
            }
        }
    }

    /** Widens {@link #LANES} bytes; past the group's width they are other bytes. */
    private static void widenBytes(byte[] bytes, int from, float[] group, int to) {
        if (from + LANES <= bytes.length) {
            ((FloatVector) ByteVector.fromArray(BYTES, bytes, from).convertShape(VectorOperators.B2F, FLOATS, 0))
                .intoArray(group, to);
        } else {
            for (int i = 0; from + i < bytes.length; i++) {
                group[to + i] = bytes[from + i];
            }
        }
    }

    @Override
    void score(float[] group, int width, int dimension, float[] query, float[] scales, float[] maxima) {
        int tile = FEW_REGISTERS ? 2 * LANES : 4 * LANES;
        for (int row = 0; row * LANES < maxima.length; row += TILE) {
            int component = row * dimension;
            int best = row * LANES;
            for (int first = 0; first < width; first += tile) {
                if (width - first <= LANES) {
                    tile1(group, first, dimension, query, component, scales, maxima, best);
                } else if (FEW_REGISTERS) {
                    tile2(group, first, dimension, query, component, scales, maxima, best);
                } else {
                    tile4(group, first, dimension, query, component, scales, maxima, best);
                }
            }
        }
    }

    /** 4 query rows × 4 vectors of lanes. */
    private static void tile4(
        float[] group, int first, int dimension, float[] query, int component, float[] scales, float[] maxima, int best
    ) {
        FloatVector a0 = FloatVector.zero(FLOATS), a1 = a0, a2 = a0, a3 = a0;
        FloatVector b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        FloatVector c0 = a0, c1 = a0, c2 = a0, c3 = a0;
        FloatVector d0 = a0, d1 = a0, d2 = a0, d3 = a0;
        for (int j = 0, at = first, q = component; j < dimension; j++, at += GROUP, q += TILE) {
            FloatVector x0 = FloatVector.fromArray(FLOATS, group, at);
            FloatVector x1 = FloatVector.fromArray(FLOATS, group, at + LANES);
            FloatVector x2 = FloatVector.fromArray(FLOATS, group, at + 2 * LANES);
            FloatVector x3 = FloatVector.fromArray(FLOATS, group, at + 3 * LANES);
            FloatVector row = FloatVector.broadcast(FLOATS, query[q]);
            a0 = x0.fma(row, a0);
            a1 = x1.fma(row, a1);
            a2 = x2.fma(row, a2);
            a3 = x3.fma(row, a3);
            row = FloatVector.broadcast(FLOATS, query[q + 1]);
            b0 = x0.fma(row, b0);
            b1 = x1.fma(row, b1);
            b2 = x2.fma(row, b2);
            b3 = x3.fma(row, b3);
            row = FloatVector.broadcast(FLOATS, query[q + 2]);
            c0 = x0.fma(row, c0);
            c1 = x1.fma(row, c1);
            c2 = x2.fma(row, c2);
            c3 = x3.fma(row, c3);
            row = FloatVector.broadcast(FLOATS, query[q + 3]);
            d0 = x0.fma(row, d0);
            d1 = x1.fma(row, d1);
            d2 = x2.fma(row, d2);
            d3 = x3.fma(row, d3);
        }
        FloatVector s0 = FloatVector.fromArray(FLOATS, scales, first);
        FloatVector s1 = FloatVector.fromArray(FLOATS, scales, first + LANES);
        FloatVector s2 = FloatVector.fromArray(FLOATS, scales, first + 2 * LANES);
        FloatVector s3 = FloatVector.fromArray(FLOATS, scales, first + 3 * LANES);
        a0.mul(s0).max(a1.mul(s1)).max(a2.mul(s2)).max(a3.mul(s3))
            .max(FloatVector.fromArray(FLOATS, maxima, best)).intoArray(maxima, best);
        b0.mul(s0).max(b1.mul(s1)).max(b2.mul(s2)).max(b3.mul(s3))
            .max(FloatVector.fromArray(FLOATS, maxima, best + LANES)).intoArray(maxima, best + LANES);
        c0.mul(s0).max(c1.mul(s1)).max(c2.mul(s2)).max(c3.mul(s3))
            .max(FloatVector.fromArray(FLOATS, maxima, best + 2 * LANES)).intoArray(maxima, best + 2 * LANES);
        d0.mul(s0).max(d1.mul(s1)).max(d2.mul(s2)).max(d3.mul(s3))
            .max(FloatVector.fromArray(FLOATS, maxima, best + 3 * LANES)).intoArray(maxima, best + 3 * LANES);
    }

    /** 4 query rows × 2 vectors of lanes. */
    private static void tile2(
        float[] group, int first, int dimension, float[] query, int component, float[] scales, float[] maxima, int best
    ) {
        FloatVector a0 = FloatVector.zero(FLOATS), a1 = a0;
        FloatVector b0 = a0, b1 = a0;
        FloatVector c0 = a0, c1 = a0;
        FloatVector d0 = a0, d1 = a0;
        for (int j = 0, at = first, q = component; j < dimension; j++, at += GROUP, q += TILE) {
            FloatVector x0 = FloatVector.fromArray(FLOATS, group, at);
            FloatVector x1 = FloatVector.fromArray(FLOATS, group, at + LANES);
            FloatVector row = FloatVector.broadcast(FLOATS, query[q]);
            a0 = x0.fma(row, a0);
            a1 = x1.fma(row, a1);
            row = FloatVector.broadcast(FLOATS, query[q + 1]);
            b0 = x0.fma(row, b0);
            b1 = x1.fma(row, b1);
            row = FloatVector.broadcast(FLOATS, query[q + 2]);
            c0 = x0.fma(row, c0);
            c1 = x1.fma(row, c1);
            row = FloatVector.broadcast(FLOATS, query[q + 3]);
            d0 = x0.fma(row, d0);
            d1 = x1.fma(row, d1);
        }
        FloatVector s0 = FloatVector.fromArray(FLOATS, scales, first);
        FloatVector s1 = FloatVector.fromArray(FLOATS, scales, first + LANES);
        a0.mul(s0).max(a1.mul(s1)).max(FloatVector.fromArray(FLOATS, maxima, best)).intoArray(maxima, best);
        b0.mul(s0).max(b1.mul(s1)).max(FloatVector.fromArray(FLOATS, maxima, best + LANES)).intoArray(maxima, best + LANES);
        c0.mul(s0).max(c1.mul(s1)).max(FloatVector.fromArray(FLOATS, maxima, best + 2 * LANES)).intoArray(maxima, best + 2 * LANES);
        d0.mul(s0).max(d1.mul(s1)).max(FloatVector.fromArray(FLOATS, maxima, best + 3 * LANES)).intoArray(maxima, best + 3 * LANES);
    }

    /** 4 query rows × 1 vectors of lanes. */
    private static void tile1(
        float[] group, int first, int dimension, float[] query, int component, float[] scales, float[] maxima, int best
    ) {
        FloatVector a0 = FloatVector.zero(FLOATS);
        FloatVector b0 = a0;
        FloatVector c0 = a0;
        FloatVector d0 = a0;
        for (int j = 0, at = first, q = component; j < dimension; j++, at += GROUP, q += TILE) {
            FloatVector x0 = FloatVector.fromArray(FLOATS, group, at);
            FloatVector row = FloatVector.broadcast(FLOATS, query[q]);
            a0 = x0.fma(row, a0);
            row = FloatVector.broadcast(FLOATS, query[q + 1]);
            b0 = x0.fma(row, b0);
            row = FloatVector.broadcast(FLOATS, query[q + 2]);
            c0 = x0.fma(row, c0);
            row = FloatVector.broadcast(FLOATS, query[q + 3]);
            d0 = x0.fma(row, d0);
        }
        FloatVector s0 = FloatVector.fromArray(FLOATS, scales, first);
        a0.mul(s0).max(FloatVector.fromArray(FLOATS, maxima, best)).intoArray(maxima, best);
        b0.mul(s0).max(FloatVector.fromArray(FLOATS, maxima, best + LANES)).intoArray(maxima, best + LANES);
        c0.mul(s0).max(FloatVector.fromArray(FLOATS, maxima, best + 2 * LANES)).intoArray(maxima, best + 2 * LANES);
        d0.mul(s0).max(FloatVector.fromArray(FLOATS, maxima, best + 3 * LANES)).intoArray(maxima, best + 3 * LANES);
    }

    @Override
    void scoreBits(int[] group, int width, BitQuery query, float[] counts, float[] maxima) {
        for (int first = 0; first < GROUP; first += LANES) {
            count(group, first, query.words, counts);
        }
        for (int row = 0; row < query.count; row++) {
            for (int first = 0; first < width; first += 2 * LANES) {
                bits2(group, first, query, row, counts, maxima);
            }
        }
    }

    /** Counts the bits of each vector. */
    private static void count(int[] group, int first, int words, float[] counts) {
        IntVector bits = IntVector.zero(INTS);
        for (int word = 0; word < words; word++) {
            bits = bits.add(IntVector.fromArray(INTS, group, word * GROUP + first).lanewise(VectorOperators.BIT_COUNT));
        }
        ((FloatVector) bits.convertShape(VectorOperators.I2F, FLOATS, 0)).intoArray(counts, first);
    }

    /** 1 query row × 2 vectors of lanes, of bits. */
    private static void bits2(int[] group, int first, BitQuery query, int row, float[] counts, float[] maxima) {
        IntVector a0 = IntVector.zero(INTS), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        int plane = row * query.words * BitQuery.PLANES;
        for (int word = 0, at = first; word < query.words; word++, at += GROUP, plane += BitQuery.PLANES) {
            IntVector x0 = IntVector.fromArray(INTS, group, at);
            IntVector x1 = IntVector.fromArray(INTS, group, at + LANES);
            IntVector bits = IntVector.broadcast(INTS, query.planes[plane]);
            a0 = a0.add(x0.and(bits).lanewise(VectorOperators.BIT_COUNT));
            a1 = a1.add(x1.and(bits).lanewise(VectorOperators.BIT_COUNT));
            bits = IntVector.broadcast(INTS, query.planes[plane + 1]);
            b0 = b0.add(x0.and(bits).lanewise(VectorOperators.BIT_COUNT));
            b1 = b1.add(x1.and(bits).lanewise(VectorOperators.BIT_COUNT));
            bits = IntVector.broadcast(INTS, query.planes[plane + 2]);
            c0 = c0.add(x0.and(bits).lanewise(VectorOperators.BIT_COUNT));
            c1 = c1.add(x1.and(bits).lanewise(VectorOperators.BIT_COUNT));
            bits = IntVector.broadcast(INTS, query.planes[plane + 3]);
            d0 = d0.add(x0.and(bits).lanewise(VectorOperators.BIT_COUNT));
            d1 = d1.add(x1.and(bits).lanewise(VectorOperators.BIT_COUNT));
        }
        FloatVector perCommonBit = FloatVector.broadcast(FLOATS, query.perCommonBit[row]);
        FloatVector perBit = FloatVector.broadcast(FLOATS, query.perBit[row]);
        FloatVector constant = FloatVector.broadcast(FLOATS, query.constant[row]);
        a0 = a0.add(b0.add(b0)).add(c0.add(d0.add(d0)).mul(4));
        a1 = a1.add(b1.add(b1)).add(c1.add(d1.add(d1)).mul(4));
        FloatVector score0 = ((FloatVector) a0.convertShape(VectorOperators.I2F, FLOATS, 0))
            .fma(perCommonBit, FloatVector.fromArray(FLOATS, counts, first).fma(perBit, constant));
        FloatVector score1 = ((FloatVector) a1.convertShape(VectorOperators.I2F, FLOATS, 0))
            .fma(perCommonBit, FloatVector.fromArray(FLOATS, counts, first + LANES).fma(perBit, constant));
        score0.max(score1).max(FloatVector.fromArray(FLOATS, maxima, row * LANES)).intoArray(maxima, row * LANES);
    }
}
