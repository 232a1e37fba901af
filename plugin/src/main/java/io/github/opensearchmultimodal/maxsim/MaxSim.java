package io.github.opensearchmultimodal.maxsim;

import io.github.opensearchmultimodal.vectors.BlockLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import org.apache.lucene.util.BytesRef;

/**
 * Scores doc values (see {@link BlockLayout}) against one query by MaxSim: the sum over the query's rows of the largest
 * inner product with any vector (Khattab and Zaharia, "ColBERT", 2020, arXiv:2004.12832).
 *
 * <p>Against float32 and int8 the query stays in floats, so nothing is lost beyond what the document's encoding lost.
 * Against bits it is quantised, within the bound that {@link BitQuery} states.
 * An instance belongs to one thread; {@link #copy} makes another.
 */
public final class MaxSim {
    private static final float[] ONES = ones();

    private final Kernel kernel;
    private final int count;
    private final int dimension;
    private final float[] query;
    private final BitQuery bitQuery;
    private final float[] maxima;
    private final float[] group;
    private final float[] scales = new float[BlockLayout.GROUP];
    private final int[] words;

    /**
     * Prepares a query.
     *
     * @param rows the query's rows, one after the other, at least one
     * @param dimension components of a row
     */
    public MaxSim(float[] rows, int dimension) {
        this(rows, dimension, Kernel.fastest());
    }

    MaxSim(float[] rows, int dimension, Kernel kernel) {
        this(kernel, dimension, tiles(rows, dimension), new BitQuery(rows, dimension));
    }

    private MaxSim(Kernel kernel, int dimension, float[] query, BitQuery bitQuery) {
        this.kernel = kernel;
        this.count = bitQuery.count;
        this.dimension = dimension;
        this.query = query;
        this.bitQuery = bitQuery;
        this.maxima = new float[query.length / dimension * kernel.lanes()];
        this.group = new float[dimension * BlockLayout.GROUP];
        this.words = new int[bitQuery.words * BlockLayout.GROUP];
    }

    /** Returns an instance for another thread. */
    public MaxSim copy() {
        return new MaxSim(kernel, dimension, query, bitQuery);
    }

    /** Returns the name of the implementation in use, for logs. */
    public static String implementation() {
        return Kernel.fastest().toString();
    }

    /** Returns how many multiplications it takes to score a doc value. */
    public long multiplications(BytesRef value) {
        return (long) BlockLayout.Header.read(value).count() * count * dimension;
    }

    /**
     * Scores one multi-vector; its dimension must be the query's.
     *
     * @param value a doc value
     */
    public float score(BytesRef value) {
        BlockLayout.Header header = BlockLayout.Header.read(value);
        if (header.dimension() != dimension) {
            throw new IllegalArgumentException(
                "query of dimension " + dimension + ", multi-vector of dimension " + header.dimension()
            );
        }
        Arrays.fill(maxima, Float.NEGATIVE_INFINITY);
        ByteBuffer bytes = ByteBuffer.wrap(value.bytes).order(ByteOrder.LITTLE_ENDIAN);
        int at = header.groups();
        for (int first = 0; first < header.count(); first += BlockLayout.GROUP) {
            int width = Math.min(BlockLayout.GROUP, header.count() - first);
            switch (header.encoding()) {
                case FLOAT32 -> {
                    gather(bytes.position(at).asFloatBuffer(), width);
                    kernel.score(group, width, dimension, query, ONES, maxima);
                }
                case INT8 -> {
                    bytes.position(header.scales() + 4 * first).asFloatBuffer().get(scales, 0, width);
                    Arrays.fill(scales, width, BlockLayout.GROUP, scales[width - 1]);
                    kernel.widenBytes(value.bytes, at, width, dimension, group);
                    repeatLast(width);
                    kernel.score(group, width, dimension, query, scales, maxima);
                }
                case BIT -> {
                    gather(bytes.position(at).asIntBuffer(), width);
                    kernel.scoreBits(words, width, bitQuery, scales, maxima);
                }
                case FLOAT16 -> throw new IllegalStateException("no field has the encoding float16");
            }
            at += header.groupBytes(width);
        }
        return sum();
    }

    private static float[] ones() {
        float[] ones = new float[BlockLayout.GROUP];
        Arrays.fill(ones, 1);
        return ones;
    }

    private void gather(FloatBuffer floats, int width) {
        if (width == BlockLayout.GROUP) {
            floats.get(group);
        } else {
            for (int to = 0; to < group.length; to += BlockLayout.GROUP) {
                floats.get(group, to, width);
            }
            repeatLast(width);
        }
    }

    private void gather(IntBuffer bits, int width) {
        for (int to = 0; to < words.length; to += BlockLayout.GROUP) {
            bits.get(words, to, width);
            Arrays.fill(words, to + width, to + BlockLayout.GROUP, words[to + width - 1]);
        }
    }

    /** Fills the group up with repetitions of its last vector. */
    private void repeatLast(int width) {
        if (width < BlockLayout.GROUP) {
            for (int to = 0; to < group.length; to += BlockLayout.GROUP) {
                Arrays.fill(group, to + width, to + BlockLayout.GROUP, group[to + width - 1]);
            }
        }
    }

    private float sum() {
        int lanes = kernel.lanes();
        double sum = 0;
        for (int row = 0; row < count; row++) {
            float best = maxima[row * lanes];
            for (int i = row * lanes + 1; i < (row + 1) * lanes; i++) {
                best = Math.max(best, maxima[i]);
            }
            sum += best;
        }
        return (float) sum;
    }

    /** Arranges rows in tiles; missing rows of the last tile are 0 and do not count. */
    private static float[] tiles(float[] rows, int dimension) {
        int count = rows.length / dimension;
        int tiles = (count + Kernel.TILE - 1) / Kernel.TILE;
        float[] arranged = new float[tiles * Kernel.TILE * dimension];
        for (int row = 0; row < count; row++) {
            int tile = row / Kernel.TILE * Kernel.TILE * dimension;
            for (int j = 0; j < dimension; j++) {
                arranged[tile + j * Kernel.TILE + row % Kernel.TILE] = rows[row * dimension + j];
            }
        }
        return arranged;
    }
}
