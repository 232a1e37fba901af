package io.github.opensearchmultimodal.vectors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.apache.lucene.util.BytesRef;

/**
 * The doc value of a multi-vector: what MaxSim reads, and the same numbers as the wire format, bit for bit.
 *
 * <p>Little-endian: a byte {@code layout version << 4 | encoding}, the dimension as uint16, the count as uint32. Then
 * {@code int8}: the scales, one float32 per vector. Then the vectors in groups of {@link #GROUP}, the last one smaller,
 * each dimension by dimension: a group of w vectors has, for every dimension, w floats or w bytes; for {@code bit}, w
 * words of 32 bits for every 32 dimensions ({@link #word}). So the values that one instruction takes lie side by side.
 */
public final class BlockLayout {
    /** Vectors of a group. */
    public static final int GROUP = 64;

    private static final int VERSION = 1;
    private static final int HEADER = 7;

    private BlockLayout() {}

    /**
     * Where things are in a doc value.
     *
     * @param encoding how the vectors are stored
     * @param dimension components of a vector
     * @param count number of vectors
     * @param scales offset of the scales of {@link Encoding#INT8}
     * @param groups offset of the first group
     */
    public record Header(Encoding encoding, int dimension, int count, int scales, int groups) {
        /** Reads the header of a doc value. */
        public static Header read(BytesRef value) {
            byte[] bytes = value.bytes;
            int at = value.offset;
            if (bytes[at] >> 4 != VERSION) {
                throw new IllegalStateException(
                    "multi-vector doc value of layout version " + (bytes[at] >> 4) + ", only " + VERSION + " is understood"
                );
            }
            Encoding encoding = Encoding.of(bytes[at] & 0xF);
            ByteBuffer header = WireHeader.littleEndian(bytes);
            int count = header.getInt(at + 3);
            int scales = at + HEADER;
            int groups = encoding == Encoding.INT8 ? scales + 4 * count : scales;
            return new Header(encoding, Short.toUnsignedInt(header.getShort(at + 1)), count, scales, groups);
        }

        /** Returns the bytes of a group of {@code width} vectors. */
        public int groupBytes(int width) {
            return switch (encoding) {
                case FLOAT32 -> 4 * width * dimension;
                case INT8 -> width * dimension;
                case BIT -> 4 * width * words(dimension);
                case FLOAT16 -> throw new IllegalStateException("no field has the encoding float16");
            };
        }

        private int size() {
            return groups - scales + HEADER + count / GROUP * groupBytes(GROUP) + groupBytes(count % GROUP);
        }
    }

    /** Returns how many words of 32 bits a vector of {@link Encoding#BIT} takes. */
    public static int words(int dimension) {
        return (dimension + Integer.SIZE - 1) / Integer.SIZE;
    }

    /** Returns which of a vector's words has the bit of a component. */
    public static int word(int component) {
        return component / Integer.SIZE;
    }

    /** Returns where in its word the bit of a component is: words are little-endian, bytes most significant bit first. */
    public static int bit(int component) {
        return component % Integer.SIZE / 8 * 8 + 7 - component % 8;
    }

    /** Lays out a checked message for a field; its encoding must be one that fields can have. */
    public static byte[] fromWire(byte[] message) {
        WireHeader wire = WireHeader.read(message);
        int scaleBytes = wire.encoding() == Encoding.INT8 ? 4 * wire.count() : 0;
        Header header = new Header(wire.encoding(), wire.dimension(), wire.count(), HEADER, HEADER + scaleBytes);
        byte[] value = new byte[header.size()];
        WireHeader.littleEndian(value).put((byte) (VERSION << 4 | wire.encoding().ordinal()))
            .putShort((short) wire.dimension()).putInt(wire.count());
        System.arraycopy(message, WireHeader.SIZE, value, HEADER, scaleBytes);
        transpose(header, value, message, WireHeader.SIZE + scaleBytes, true);
        return value;
    }

    /** Returns the message that {@link #fromWire} was given. */
    public static byte[] toWire(BytesRef value) {
        Header header = Header.read(value);
        byte[] message = new WireHeader(header.encoding(), header.dimension(), header.count()).start().array();
        int scaleBytes = header.groups() - header.scales();
        System.arraycopy(value.bytes, header.scales(), message, WireHeader.SIZE, scaleBytes);
        transpose(header, value.bytes, message, WireHeader.SIZE + scaleBytes, false);
        return message;
    }

    /** Moves every component between the groups of a doc value and the rows of a message, which start at {@code rows}. */
    private static void transpose(Header header, byte[] value, byte[] message, int rows, boolean toValue) {
        FloatBuffer groupFloats = null;
        FloatBuffer rowFloats = null;
        if (header.encoding() == Encoding.FLOAT32) {
            groupFloats = WireHeader.littleEndian(value).position(header.groups()).slice()
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
            rowFloats = WireHeader.littleEndian(message).position(rows).slice()
                .order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        }
        int dimension = header.dimension();
        for (int first = 0, group = header.groups(); first < header.count(); first += GROUP) {
            int width = Math.min(GROUP, header.count() - first);
            switch (header.encoding()) {
                case FLOAT32 -> transposeFloats(
                    groupFloats, (group - header.groups()) / 4, rowFloats, first * dimension, width, dimension, toValue
                );
                case INT8 -> transposeBytes(value, group, message, rows + first * dimension, width, dimension, toValue);
                default -> {
                    int row = rows + first * Encoding.BIT.rowBytes(dimension);
                    transposeBits(value, group, message, row, width, dimension, toValue);
                }
            }
            group += header.groupBytes(width);
        }
    }

    private static void transposeFloats(
        FloatBuffer groups, int group, FloatBuffer rows, int row, int width, int dimension, boolean toGroups
    ) {
        for (int vector = 0; vector < width; vector++) {
            for (int j = 0; j < dimension; j++, row++) {
                if (toGroups) {
                    groups.put(group + j * width + vector, rows.get(row));
                } else {
                    rows.put(row, groups.get(group + j * width + vector));
                }
            }
        }
    }

    private static void transposeBytes(
        byte[] groups, int group, byte[] rows, int row, int width, int dimension, boolean toGroups
    ) {
        for (int vector = 0; vector < width; vector++) {
            for (int j = 0; j < dimension; j++, row++) {
                if (toGroups) {
                    groups[group + j * width + vector] = rows[row];
                } else {
                    rows[row] = groups[group + j * width + vector];
                }
            }
        }
    }

    private static void transposeBits(
        byte[] groups, int group, byte[] rows, int row, int width, int dimension, boolean toGroups
    ) {
        int rowBytes = Encoding.BIT.rowBytes(dimension);
        for (int vector = 0; vector < width; vector++) {
            for (int j = 0; j < rowBytes; j++, row++) {
                int inGroup = group + 4 * (j / 4 * width + vector) + j % 4;
                if (toGroups) {
                    groups[inGroup] = rows[row];
                } else {
                    rows[row] = groups[inGroup];
                }
            }
        }
    }
}
