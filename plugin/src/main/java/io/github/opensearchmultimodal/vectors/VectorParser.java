package io.github.opensearchmultimodal.vectors;

import java.io.IOException;
import java.util.Arrays;
import java.util.Base64;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.core.xcontent.XContentParser.Token;

/** Reads a multi-vector from JSON (or CBOR, SMILE, YAML): the wire format in base64, or an array of arrays of numbers. */
public final class VectorParser {
    private VectorParser() {}

    /**
     * Reads the value at the parser's position; afterwards the parser is at the value's last token.
     *
     * <p>Arrays become {@code float32} first: each number as double, narrowed.
     *
     * @param dimension the only dimension that is taken, or 0: any
     * @param encoding what to convert to, or null: keep (arrays become {@code float32})
     * @return a checked message in the wire format
     * @throws InvalidVectors if the value is no multi-vector, or has another dimension
     */
    public static byte[] parse(XContentParser parser, int dimension, Encoding encoding) throws IOException {
        Token token = parser.currentToken();
        if (token == Token.START_ARRAY) {
            return parseArrays(parser, dimension, encoding);
        }
        if (token == Token.VALUE_STRING) {
            return fromMessage(decode(parser.text()), dimension, encoding);
        }
        if (token == Token.VALUE_EMBEDDED_OBJECT) {
            return fromMessage(parser.binaryValue(), dimension, encoding);
        }
        throw new InvalidVectors(
            "multi-vector: expected base64 of the wire format or an array of arrays of numbers, got " + shown(token)
        );
    }

    private static byte[] fromMessage(byte[] message, int dimension, Encoding encoding) {
        checkDimension(WireHeader.read(message).dimension(), dimension);
        if (encoding == null) {
            WireFormat.check(message);
            return message;
        }
        return WireFormat.convert(message, encoding);
    }

    private static byte[] decode(String base64) {
        try {
            return Base64.getDecoder().decode(base64);
        } catch (IllegalArgumentException e) {
            throw new InvalidVectors("multi-vector: a string of " + base64.length() + " characters that is not base64");
        }
    }

    private static byte[] parseArrays(XContentParser parser, int expected, Encoding encoding) throws IOException {
        float[] rows = new float[0];
        int used = 0;
        int dimension = expected;
        int count = 0;
        for (Token token = parser.nextToken(); token != Token.END_ARRAY; token = parser.nextToken(), count++) {
            if (token != Token.START_ARRAY) {
                throw new InvalidVectors("multi-vector: row " + count + " is " + shown(token) + ", expected an array of numbers");
            }
            int start = used;
            while (parser.nextToken() != Token.END_ARRAY) {
                if (parser.currentToken() != Token.VALUE_NUMBER) {
                    throw new InvalidVectors(
                        "multi-vector: component (" + count + ", " + (used - start) + ") is " + shown(parser.currentToken())
                            + ", expected a number"
                    );
                }
                if (used == WireHeader.MAX_COMPONENTS) {
                    throw new InvalidVectors(
                        "multi-vector: more than " + WireHeader.MAX_COMPONENTS + " components, which are the most allowed"
                    );
                }
                if (used == rows.length) {
                    rows = Arrays.copyOf(rows, Math.max(1024, 2 * used));
                }
                rows[used++] = (float) parser.doubleValue();
            }
            int width = used - start;
            if (count == 0) {
                checkRange(width);
                checkDimension(width, expected);
                dimension = width;
            } else if (width != dimension) {
                throw new InvalidVectors(
                    "multi-vector: row " + count + " has " + width + " components, row 0 has " + dimension
                );
            }
        }
        if (count == 0) {
            throw new InvalidVectors("multi-vector: an empty array, at least 1 row is required");
        }
        float[] exact = Arrays.copyOf(rows, used);
        return encoding == null
            ? WireFormat.pack(exact, dimension, Encoding.FLOAT32)
            : WireFormat.packForField(exact, dimension, encoding);
    }

    private static void checkRange(int dimension) {
        if (dimension < 1 || dimension > WireHeader.MAX_DIMENSION) {
            throw new InvalidVectors(
                "multi-vector: dimension " + dimension + " is outside 1–" + WireHeader.MAX_DIMENSION
            );
        }
    }

    private static void checkDimension(int dimension, int expected) {
        if (expected != 0 && dimension != expected) {
            throw new InvalidVectors("multi-vector: dimension " + dimension + ", but the field has " + expected);
        }
    }

    private static String shown(Token token) {
        return switch (token) {
            case START_ARRAY -> "an array";
            case START_OBJECT -> "an object";
            case VALUE_STRING -> "a string";
            case VALUE_NUMBER -> "a number";
            case VALUE_BOOLEAN -> "a boolean";
            case VALUE_NULL -> "null";
            default -> token.toString();
        };
    }
}
