package io.github.opensearchmultimodal.query;

import io.github.opensearchmultimodal.vectors.InvalidVectors;
import io.github.opensearchmultimodal.vectors.VectorParser;
import io.github.opensearchmultimodal.vectors.WireFormat;
import io.github.opensearchmultimodal.vectors.WireHeader;
import java.io.IOException;
import java.util.Arrays;
import java.util.Base64;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.common.io.stream.Writeable;
import org.opensearch.core.xcontent.XContentParser;

/** The vectors of a query: a checked message in the wire format, in any encoding. */
public final class QueryVectors implements Writeable {
    /** The largest count times dimension: 4,096 vectors of dimension 128. */
    public static final int MAX_COMPONENTS = 1 << 19;

    private final byte[] message;
    private final WireHeader header;

    /**
     * Takes a message in the wire format.
     *
     * @throws InvalidVectors if it is broken or too long
     */
    public QueryVectors(byte[] message) {
        this.message = message;
        this.header = WireFormat.check(message);
        if (header.components() > MAX_COMPONENTS) {
            throw new InvalidVectors(
                "multi-vector: " + header.count() + " rows of dimension " + header.dimension() + " have "
                    + header.components() + " components, a query can have at most " + MAX_COMPONENTS
            );
        }
    }

    QueryVectors(StreamInput in) throws IOException {
        this(in.readByteArray());
    }

    /** Reads base64 of the wire format, or nested arrays of numbers. */
    static QueryVectors parse(XContentParser parser) throws IOException {
        return new QueryVectors(VectorParser.parse(parser, 0, null));
    }

    /** Returns the number of vectors. */
    public int count() {
        return header.count();
    }

    /** Returns the number of components of each vector. */
    public int dimension() {
        return header.dimension();
    }

    /** Returns the vectors, one after the other. */
    public float[] rows() {
        return WireFormat.unpack(message);
    }

    /** Returns the message in base64. */
    String base64() {
        return Base64.getEncoder().encodeToString(message);
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
        out.writeByteArray(message);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof QueryVectors vectors && Arrays.equals(message, vectors.message);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(message);
    }

    @Override
    public String toString() {
        return header.count() + "×" + header.dimension();
    }
}
