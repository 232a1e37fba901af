package io.github.opensearchmultimodal.maxsim;

import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.lucene.util.BytesRef;

/**
 * Scores doc values (see {@link BlockLayout}) against one query by MaxSim: the sum over the query's rows of the largest
 * inner product with any vector (Khattab and Zaharia, "ColBERT", 2020, arXiv:2004.12832).
 *
 * <p>The query stays in floats whatever the encoding, so nothing is lost beyond what the document's encoding lost.
 * An instance belongs to one thread; {@link #copy} makes another.
 */
public final class MaxSim {
    private final Kernel kernel;
    private final int count;
    private final int dimension;
    private final float[] query;
    private final float[] maxima;
    private final float[] group;
    private final float[] scales = new float[BlockLayout.GROUP];

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
        this(kernel, rows.length / dimension, dimension, tiles(rows, dimension));
    }

    private MaxSim(Kernel kernel, int count, int dimension, float[] query) {
        this.kernel = kernel;
        this.count = count;
        this.dimension = dimension;
        this.query = query;
        this.maxima = new float[query.length / dimension * kernel.lanes()];
        this.group = new float[dimension * BlockLayout.GROUP];
    }

    /** Returns an instance for another thread. */
    public MaxSim copy() {
        return new MaxSim(kernel, count, dimension, query);
    }

    /** Returns the name of the implementation in use, for logs. */
    public static String implementation() {
        return Kernel.fastest().toString();
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
            widen(header, bytes, at, width);
            float[] factors = null;
            if (header.encoding() == Encoding.INT8) {
                bytes.position(header.scales() + 4 * first).asFloatBuffer().get(scales, 0, width);
                factors = scales;
            }
            kernel.score(group, width, dimension, query, factors, maxima);
            at += dimension * header.stride(width);
        }
        return sum();
    }

    private void widen(BlockLayout.Header header, ByteBuffer bytes, int at, int width) {
        switch (header.encoding()) {
            case FLOAT32 -> {
                var floats = bytes.position(at).asFloatBuffer();
                if (width == BlockLayout.GROUP) {
                    floats.get(group);
                } else {
                    for (int j = 0; j < dimension; j++) {
                        floats.get(group, j * BlockLayout.GROUP, width);
                    }
                }
            }
            case INT8 -> kernel.widenBytes(bytes.array(), at, width, dimension, group);
            case BIT -> kernel.widenBits(bytes.array(), at, width, dimension, WireFormat.unit(dimension), group);
            case FLOAT16 -> throw new IllegalStateException("no field has the encoding float16");
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
