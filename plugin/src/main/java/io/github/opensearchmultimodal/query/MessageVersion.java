package io.github.opensearchmultimodal.query;

import java.io.IOException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;

/** The version of the layout in which queries travel between nodes; a query begins with it. */
public final class MessageVersion {
    private static final byte CURRENT = 1;

    private MessageVersion() {}

    /** Writes the version that this node speaks. */
    public static void write(StreamOutput out) throws IOException {
        out.writeByte(CURRENT);
    }

    /**
     * Reads the version.
     *
     * @throws IOException it is one that this node does not know
     */
    public static void read(StreamInput in, String query) throws IOException {
        byte version = in.readByte();
        if (version != CURRENT) {
            throw new IOException("[" + query + "] comes in version " + version + ", this node reads " + CURRENT);
        }
    }
}
