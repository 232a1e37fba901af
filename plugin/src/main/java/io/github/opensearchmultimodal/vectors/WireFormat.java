package io.github.opensearchmultimodal.vectors;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/**
 * Multi-vectors in wire format 1 ↔ float rows (docs/wire-format.md; Python's {@code opensearch_multimodal.wire}).
 *
 * <p>Float rows are one array, row after row: component j of row i is {@code rows[i * dimension + j]}.
 */
public final class WireFormat {
    private static final float LARGEST_SCALE = Float.MAX_VALUE / 128;

    private WireFormat() {}

    /**
     * Encodes rows exactly as Python's {@code wire.pack} does.
     *
     * @throws InvalidVectors if the shape is wrong or a component is not finite or too large for the encoding
     */
    public static byte[] pack(float[] rows, int dimension, Encoding encoding) {
        WireHeader.checkSize(rows.length / dimension, dimension);
        checkFinite(rows, dimension);
        WireHeader header = new WireHeader(encoding, dimension, rows.length / dimension);
        ByteBuffer message = header.start();
        switch (encoding) {
            case FLOAT32 -> message.asFloatBuffer().put(rows);
            case FLOAT16 -> packHalves(rows, dimension, message);
            case INT8 -> packBytes(rows, header, message);
            case BIT -> packBits(rows, header, message);
        }
        return message.array();
    }

    /**
     * Decodes a message; rows of {@link Encoding#BIT} are ±1/√dimension.
     *
     * @throws InvalidVectors if the message is broken
     */
    public static float[] unpack(byte[] message) {
        WireHeader header = check(message);
        int dimension = header.dimension();
        float[] rows = new float[header.components()];
        ByteBuffer body = WireHeader.littleEndian(message).position(WireHeader.SIZE);
        switch (header.encoding()) {
            case FLOAT32 -> body.asFloatBuffer().get(rows);
            case FLOAT16 -> {
                for (int i = 0; i < rows.length; i++) {
                    rows[i] = Float.float16ToFloat(body.getShort());
                }
            }
            case INT8 -> {
                FloatBuffer scales = body.asFloatBuffer();
                int codes = WireHeader.SIZE + 4 * header.count();
                for (int i = 0; i < rows.length; i++) {
                    rows[i] = scales.get(i / dimension) * message[codes + i];
                }
            }
            case BIT -> {
                float unit = unit(dimension);
                int rowBytes = Encoding.BIT.rowBytes(dimension);
                for (int i = 0; i < rows.length; i++) {
                    int column = i % dimension;
                    int bits = message[WireHeader.SIZE + i / dimension * rowBytes + column / 8];
                    rows[i] = (bits & 0x80 >> column % 8) == 0 ? -unit : unit;
                }
            }
        }
        return rows;
    }

    /**
     * Checks a whole message: its header, its length and every value.
     *
     * @throws InvalidVectors if the message is broken
     */
    public static WireHeader check(byte[] message) {
        WireHeader header = WireHeader.read(message);
        ByteBuffer body = WireHeader.littleEndian(message).position(WireHeader.SIZE);
        switch (header.encoding()) {
            case FLOAT32 -> {
                FloatBuffer components = body.asFloatBuffer();
                for (int i = 0; i < header.components(); i++) {
                    checkFinite(components.get(i), i, header.dimension());
                }
            }
            case FLOAT16 -> {
                for (int i = 0; i < header.components(); i++) {
                    checkFinite(Float.float16ToFloat(body.getShort()), i, header.dimension());
                }
            }
            case INT8 -> {
                for (int row = 0; row < header.count(); row++) {
                    checkScale(body.getFloat(), row);
                }
            }
            case BIT -> checkPadding(message, header);
        }
        return header;
    }

    /**
     * Converts a message to a field's encoding, through float rows; a message that has it already is returned.
     *
     * @throws InvalidVectors if the message is broken, or has a row of zeros and is to become bits, which know no 0
     */
    public static byte[] convert(byte[] message, Encoding encoding) {
        WireHeader header = check(message);
        if (header.encoding() == encoding) {
            return message;
        }
        return packForField(unpack(message), header.dimension(), encoding);
    }

    /** Encodes rows for a field: as {@link #pack}, but a row of zeros cannot become bits, which know no 0. */
    static byte[] packForField(float[] rows, int dimension, Encoding encoding) {
        if (encoding == Encoding.BIT) {
            checkNotZero(rows, dimension);
        }
        return pack(rows, dimension, encoding);
    }

    /** Returns the size of a bit row's components. */
    public static float unit(int dimension) {
        return (float) (1 / Math.sqrt(dimension));
    }

    private static void packHalves(float[] rows, int dimension, ByteBuffer message) {
        for (int i = 0; i < rows.length; i++) {
            short half = Float.floatToFloat16(rows[i]);
            if (Float.isInfinite(Float.float16ToFloat(half))) {
                throw new InvalidVectors(
                    position(i, dimension) + rows[i] + ": it is too large for float16 (at most 65504)"
                );
            }
            message.putShort(half);
        }
    }

    private static void packBytes(float[] rows, WireHeader header, ByteBuffer message) {
        int dimension = header.dimension();
        byte[] bytes = message.array();
        int at = WireHeader.SIZE + 4 * header.count();
        for (int row = 0; row < header.count(); row++) {
            float largest = 0;
            for (int i = row * dimension; i < (row + 1) * dimension; i++) {
                largest = Math.max(largest, Math.abs(rows[i]));
            }
            float scale = largest / 127;
            checkScale(scale, row);
            message.putFloat(scale);
            for (int i = row * dimension; i < (row + 1) * dimension; i++, at++) {
                double code = scale > 0 ? Math.rint(rows[i] / scale) : 0;
                bytes[at] = (byte) Math.max(-127, Math.min(127, code));
            }
        }
    }

    private static void packBits(float[] rows, WireHeader header, ByteBuffer message) {
        byte[] bytes = message.array();
        int rowBytes = Encoding.BIT.rowBytes(header.dimension());
        for (int i = 0; i < rows.length; i++) {
            if (rows[i] > 0) {
                int column = i % header.dimension();
                bytes[WireHeader.SIZE + i / header.dimension() * rowBytes + column / 8] |= (byte) (0x80 >> column % 8);
            }
        }
    }

    private static void checkFinite(float[] rows, int dimension) {
        for (int i = 0; i < rows.length; i++) {
            checkFinite(rows[i], i, dimension);
        }
    }

    private static void checkFinite(float component, int at, int dimension) {
        if (!Float.isFinite(component)) {
            String shown = Float.isNaN(component) ? "nan" : component > 0 ? "inf" : "-inf";
            throw new InvalidVectors(position(at, dimension) + shown + ": it is not finite");
        }
    }

    private static String position(int at, int dimension) {
        return "multi-vector: component (" + at / dimension + ", " + at % dimension + ") is ";
    }

    private static void checkScale(float scale, int row) {
        if (!(scale >= 0 && scale <= LARGEST_SCALE)) {
            String shown = Float.isNaN(scale) ? "nan" : Float.isInfinite(scale) ? scale > 0 ? "inf" : "-inf" : shown(scale);
            throw new InvalidVectors(
                "multi-vector: the scale of row " + row + " is " + shown + "; it must be finite, at least 0 and at most "
                    + shown(LARGEST_SCALE)
            );
        }
    }

    /** Writes a number as Python and C do: 3e+36. */
    private static String shown(float value) {
        String text = Float.toString(value).replace(".0E", "E");
        return text.replace("E-", "e-").replace("E", "e+");
    }

    private static void checkPadding(byte[] message, WireHeader header) {
        int unused = -header.dimension() & 7;
        int rowBytes = Encoding.BIT.rowBytes(header.dimension());
        for (int row = 0; row < header.count(); row++) {
            int last = Byte.toUnsignedInt(message[WireHeader.SIZE + (row + 1) * rowBytes - 1]);
            if ((last & (1 << unused) - 1) != 0) {
                throw new InvalidVectors(
                    "multi-vector: the last byte of row " + row + " is " + String.format("%02X", last) + "; its lowest "
                        + unused + " bits are padding and must be 0"
                );
            }
        }
    }

    private static void checkNotZero(float[] rows, int dimension) {
        for (int start = 0; start < rows.length; start += dimension) {
            int i = start;
            while (i < start + dimension && rows[i] == 0) {
                i++;
            }
            if (i == start + dimension) {
                throw new InvalidVectors(
                    "multi-vector: row " + start / dimension + " is a zero vector, which bits cannot express"
                );
            }
        }
    }
}
