package io.github.opensearchmultimodal.maxsim;

import static io.github.opensearchmultimodal.vectors.BlockLayout.GROUP;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The Vector API. A tile of 4 query rows × 4 vectors (4 × 2 where a CPU has only 16 registers, AVX2) stays in registers
 * while it runs over the dimensions; nothing is added up across lanes.
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

    /** Widens {@link #LANES} bytes; past the group's width they are other bytes, whose products do not count. */
    private static void widenBytes(byte[] bytes, int from, float[] group, int to) {
        if (from + LANES <= bytes.length) {
            FloatVector wide = (FloatVector) ByteVector.fromArray(BYTES, bytes, from)
                .convertShape(VectorOperators.B2F, FLOATS, 0);
            wide.intoArray(group, to);
        } else {
            for (int i = 0; from + i < bytes.length; i++) {
                group[to + i] = bytes[from + i];
            }
        }
    }

    @Override
    void score(float[] group, int width, int dimension, float[] query, float[] scales, float[] maxima) {
        for (int row = 0; row * LANES < maxima.length; row += TILE) {
            int component = row * dimension;
            int best = row * LANES;
            if (width < GROUP) {
                for (int first = 0; first < width; first += LANES) {
                    tile1(group, first, width, dimension, query, component, scales, maxima, best);
                }
            } else if (FEW_REGISTERS) {
                for (int first = 0; first < GROUP; first += 2 * LANES) {
                    tile2(group, first, dimension, query, component, scales, maxima, best);
                }
            } else {
                for (int first = 0; first < GROUP; first += 4 * LANES) {
                    tile4(group, first, dimension, query, component, scales, maxima, best);
                }
            }
        }
    }

    /** 4 query rows × 4 vectors. */
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
        if (scales != null) {
            FloatVector s = FloatVector.fromArray(FLOATS, scales, first);
            a0 = a0.mul(s);
            b0 = b0.mul(s);
            c0 = c0.mul(s);
            d0 = d0.mul(s);
            s = FloatVector.fromArray(FLOATS, scales, first + LANES);
            a1 = a1.mul(s);
            b1 = b1.mul(s);
            c1 = c1.mul(s);
            d1 = d1.mul(s);
            s = FloatVector.fromArray(FLOATS, scales, first + 2 * LANES);
            a2 = a2.mul(s);
            b2 = b2.mul(s);
            c2 = c2.mul(s);
            d2 = d2.mul(s);
            s = FloatVector.fromArray(FLOATS, scales, first + 3 * LANES);
            a3 = a3.mul(s);
            b3 = b3.mul(s);
            c3 = c3.mul(s);
            d3 = d3.mul(s);
        }
        raise(maxima, best, a0.max(a1).max(a2.max(a3)));
        raise(maxima, best + LANES, b0.max(b1).max(b2.max(b3)));
        raise(maxima, best + 2 * LANES, c0.max(c1).max(c2.max(c3)));
        raise(maxima, best + 3 * LANES, d0.max(d1).max(d2.max(d3)));
    }

    /** 4 query rows × 2 vectors. */
    private static void tile2(
        float[] group, int first, int dimension, float[] query, int component, float[] scales, float[] maxima, int best
    ) {
        FloatVector a0 = FloatVector.zero(FLOATS), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
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
        if (scales != null) {
            FloatVector s0 = FloatVector.fromArray(FLOATS, scales, first);
            FloatVector s1 = FloatVector.fromArray(FLOATS, scales, first + LANES);
            a0 = a0.mul(s0);
            a1 = a1.mul(s1);
            b0 = b0.mul(s0);
            b1 = b1.mul(s1);
            c0 = c0.mul(s0);
            c1 = c1.mul(s1);
            d0 = d0.mul(s0);
            d1 = d1.mul(s1);
        }
        raise(maxima, best, a0.max(a1));
        raise(maxima, best + LANES, b0.max(b1));
        raise(maxima, best + 2 * LANES, c0.max(c1));
        raise(maxima, best + 3 * LANES, d0.max(d1));
    }

    /** 4 query rows × 1 vector, of which only the lanes below {@code width} count. */
    private static void tile1(
        float[] group, int first, int width, int dimension, float[] query, int component, float[] scales, float[] maxima,
        int best
    ) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int j = 0, at = first, q = component; j < dimension; j++, at += GROUP, q += TILE) {
            FloatVector x = FloatVector.fromArray(FLOATS, group, at);
            a = x.fma(FloatVector.broadcast(FLOATS, query[q]), a);
            b = x.fma(FloatVector.broadcast(FLOATS, query[q + 1]), b);
            c = x.fma(FloatVector.broadcast(FLOATS, query[q + 2]), c);
            d = x.fma(FloatVector.broadcast(FLOATS, query[q + 3]), d);
        }
        if (scales != null) {
            FloatVector s = FloatVector.fromArray(FLOATS, scales, first);
            a = a.mul(s);
            b = b.mul(s);
            c = c.mul(s);
            d = d.mul(s);
        }
        VectorMask<Float> counts = FLOATS.indexInRange(first, width);
        FloatVector none = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
        raise(maxima, best, none.blend(a, counts));
        raise(maxima, best + LANES, none.blend(b, counts));
        raise(maxima, best + 2 * LANES, none.blend(c, counts));
        raise(maxima, best + 3 * LANES, none.blend(d, counts));
    }

    @Override
    void scoreBits(int[] group, int width, BitQuery query, float[] maxima) {
        for (int first = 0; first < width; first += 2 * LANES) {
            FloatVector bits0 = bits(group, first, query.words);
            FloatVector bits1 = bits(group, first + LANES, query.words);
            for (int row = 0; row < query.count; row++) {
                bits(group, first, width, query, row, bits0, bits1, maxima);
            }
        }
    }

    /** Counts the bits of each vector. */
    private static FloatVector bits(int[] group, int first, int words) {
        IntVector bits = IntVector.zero(INTS);
        for (int word = 0; word < words; word++) {
            bits = bits.add(IntVector.fromArray(INTS, group, word * GROUP + first).lanewise(VectorOperators.BIT_COUNT));
        }
        return (FloatVector) bits.convertShape(VectorOperators.I2F, FLOATS, 0);
    }

    /** 1 query row × 2 vectors of bits. */
    private static void bits(
        int[] group, int first, int width, BitQuery query, int row, FloatVector bits0, FloatVector bits1, float[] maxima
    ) {
        IntVector a0 = IntVector.zero(INTS), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        int plane = row * query.words * BitQuery.PLANES;
        for (int word = 0, at = first; word < query.words; word++, at += GROUP, plane += BitQuery.PLANES) {
            IntVector x0 = IntVector.fromArray(INTS, group, at);
            IntVector x1 = IntVector.fromArray(INTS, group, at + LANES);
            int a = query.planes[plane];
            a0 = a0.add(x0.and(a).lanewise(VectorOperators.BIT_COUNT));
            a1 = a1.add(x1.and(a).lanewise(VectorOperators.BIT_COUNT));
            int b = query.planes[plane + 1];
            b0 = b0.add(x0.and(b).lanewise(VectorOperators.BIT_COUNT));
            b1 = b1.add(x1.and(b).lanewise(VectorOperators.BIT_COUNT));
            int c = query.planes[plane + 2];
            c0 = c0.add(x0.and(c).lanewise(VectorOperators.BIT_COUNT));
            c1 = c1.add(x1.and(c).lanewise(VectorOperators.BIT_COUNT));
            int d = query.planes[plane + 3];
            d0 = d0.add(x0.and(d).lanewise(VectorOperators.BIT_COUNT));
            d1 = d1.add(x1.and(d).lanewise(VectorOperators.BIT_COUNT));
        }
        FloatVector constant = FloatVector.broadcast(FLOATS, query.constant[row]);
        FloatVector perBit = FloatVector.broadcast(FLOATS, query.perBit[row]);
        FloatVector perCommonBit = FloatVector.broadcast(FLOATS, query.perCommonBit[row]);
        FloatVector none = FloatVector.broadcast(FLOATS, Float.NEGATIVE_INFINITY);
        FloatVector score0 = weighted(a0, b0, c0, d0).fma(perCommonBit, bits0.fma(perBit, constant));
        FloatVector score1 = weighted(a1, b1, c1, d1).fma(perCommonBit, bits1.fma(perBit, constant));
        score0 = none.blend(score0, FLOATS.indexInRange(first, width));
        score1 = none.blend(score1, FLOATS.indexInRange(first + LANES, width));
        raise(maxima, row * LANES, score0.max(score1));
    }

    private static FloatVector weighted(IntVector a, IntVector b, IntVector c, IntVector d) {
        IntVector sum = a.add(b.add(b)).add(c.add(d.add(d)).lanewise(VectorOperators.LSHL, 2));
        return (FloatVector) sum.convertShape(VectorOperators.I2F, FLOATS, 0);
    }

    private static void raise(float[] maxima, int at, FloatVector to) {
        FloatVector.fromArray(FLOATS, maxima, at).max(to).intoArray(maxima, at);
    }
}
