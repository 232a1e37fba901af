package io.github.opensearchmultimodal.vectors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;

/**
 * The first 12 bytes of a multi-vector in wire format 1 (docs/wire-format.md).
 *
 * @param encoding how the rows are stored
 * @param dimension components of a row, 1–4096
 * @param count number of rows, at least 1; read as uint32, but never above {@link #MAX_COMPONENTS} / dimension
 */
public record WireHeader(Encoding encoding, int dimension, int count) {
    /** Bytes of the header. */
    public static final int SIZE = 12;
    /** The largest number of components of a row. */
    public static final int MAX_DIMENSION = 4096;
    /** The largest count times dimension that is taken: 32,768 vectors of dimension 128, 16 MiB as float32. */
    public static final int MAX_COMPONENTS = 1 << 22;

    private static final int VERSION = 1;

    /** Returns the exact number of bytes of the whole message, header included. */
    public int size() {
        return SIZE + encoding.rowBytes(dimension) * count;
    }

    /** Returns the number of components of all rows. */
    public int components() {
        return dimension * count;
    }

    /**
     * Reads and checks the header, and that the message has exactly the length that it announces.
     *
     * @throws InvalidVectors if the bytes are no complete message
     */
    public static WireHeader read(byte[] message) {
        if (message.length < SIZE) {
            throw new InvalidVectors("multi-vector: " + message.length + " bytes, the header alone has " + SIZE);
        }
        if (message[0] != 'M' || message[1] != 'V') {
            String start = HexFormat.ofDelimiter(" ").withUpperCase().formatHex(message, 0, 2);
            throw new InvalidVectors("multi-vector: starts with bytes " + start + ", expected 4D 56");
        }
        if (message[2] != VERSION) {
            throw new InvalidVectors(
                "multi-vector: version " + Byte.toUnsignedInt(message[2]) + ", only version 1 is understood"
            );
        }
        int code = Byte.toUnsignedInt(message[3]);
        Encoding encoding = Encoding.of(code);
        if (encoding == null) {
            throw new InvalidVectors("multi-vector: encoding " + code + ", only 0–3 are understood");
        }
        ByteBuffer header = littleEndian(message);
        long dimension = Integer.toUnsignedLong(header.getInt(4));
        if (dimension < 1 || dimension > MAX_DIMENSION) {
            throw new InvalidVectors("multi-vector: dimension " + dimension + " is outside 1–" + MAX_DIMENSION);
        }
        long count = Integer.toUnsignedLong(header.getInt(8));
        checkSize(count, (int) dimension);
        WireHeader read = new WireHeader(encoding, (int) dimension, (int) count);
        if (message.length != read.size()) {
            throw new InvalidVectors(
                "multi-vector: " + message.length + " bytes, but " + count + " rows of dimension " + dimension
                    + " as " + encoding + " take " + read.size()
            );
        }
        return read;
    }

    /** Refuses an empty multi-vector, and one of more than {@link #MAX_COMPONENTS} components. */
    static void checkSize(long count, int dimension) {
        if (count < 1) {
            throw new InvalidVectors("multi-vector: count 0, at least 1 row is required");
        }
        if (count * dimension > MAX_COMPONENTS) {
            throw new InvalidVectors(
                "multi-vector: " + count + " rows of dimension " + dimension + " have " + count * dimension
                    + " components, at most " + MAX_COMPONENTS + " are allowed"
            );
        }
    }

    /** Starts a message: its bytes with the header written, little-endian, positioned after it. */
    ByteBuffer start() {
        ByteBuffer message = littleEndian(new byte[size()]);
        return message.put((byte) 'M').put((byte) 'V').put((byte) VERSION).put((byte) encoding.ordinal())
            .putInt(dimension).putInt(count);
    }

    static ByteBuffer littleEndian(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
