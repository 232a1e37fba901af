package io.github.opensearchmultimodal.maxsim;

import io.github.opensearchmultimodal.vectors.BlockLayout;

/**
 * The inner loops of MaxSim over one group of vectors (see {@link BlockLayout}).
 *
 * <p>A group is widened to {@link BlockLayout#GROUP} floats for every dimension. Where only the first {@code width} are
 * vectors of the document, the others repeat the last of them: that changes no maximum.
 * The query's rows come in tiles of {@link #TILE}: component j of the rows of a tile lie side by side.
 */
abstract class Kernel {
    /** Query rows that are scored together. */
    static final int TILE = 4;

    /** Returns the fastest kernel that this JVM can run. */
    static Kernel fastest() {
        return Fastest.KERNEL;
    }

    /** Returns how many running maxima there are per query row. */
    abstract int lanes();

    /** Widens a group of signed bytes: {@code width} of them per dimension, from {@code bytes[at]}. */
    abstract void widenBytes(byte[] bytes, int at, int width, int dimension, float[] group);

    /**
     * Raises {@code maxima} to the inner products of every query row with every vector of a group.
     *
     * @param group the widened group
     * @param width how many of its vectors are no repetitions
     * @param query the query's rows in tiles; their number is a multiple of {@link #TILE}
     * @param scales a factor for each of the group's vectors
     * @param maxima {@link #lanes()} floats for each query row
     */
    abstract void score(float[] group, int width, int dimension, float[] query, float[] scales, float[] maxima);

    /**
     * Raises {@code maxima} to the inner products of every query row with every vector of a group of bits.
     *
     * @param group {@link BlockLayout#GROUP} words for every 32 dimensions
     * @param width how many of its vectors are no repetitions
     * @param counts overwritten, {@link BlockLayout#GROUP} floats
     * @param maxima {@link #lanes()} floats for each query row
     */
    abstract void scoreBits(int[] group, int width, BitQuery query, float[] counts, float[] maxima);

    @Override
    public String toString() {
        return getClass().getSimpleName();
    }

    /** Chooses once, when first used. */
    private static final class Fastest {
        static final Kernel KERNEL = choose();

        private static Kernel choose() {
            if (ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent()) {
                try {
                    return VectorKernel.create();
                } catch (LinkageError e) {
                    return new PlainKernel();
                }
            }
            return new PlainKernel();
        }
    }
}
