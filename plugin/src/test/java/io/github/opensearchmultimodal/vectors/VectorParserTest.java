package io.github.opensearchmultimodal.vectors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.opensearchmultimodal.support.Golden;
import java.io.IOException;
import java.util.Base64;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.core.xcontent.XContentParser.Token;

/** What JSON is taken as a multi-vector, and how the rest is refused. */
class VectorParserTest {
    private static byte[] parse(String json, int dimension, Encoding encoding) throws IOException {
        try (XContentParser parser = Golden.parser(json)) {
            parser.nextToken();
            byte[] message = VectorParser.parse(parser, dimension, encoding);
            assertTrue(parser.currentToken() == Token.END_ARRAY || parser.currentToken() == Token.VALUE_STRING);
            return message;
        }
    }

    private static String base64(byte[] message) {
        return '"' + Base64.getEncoder().encodeToString(message) + '"';
    }

    @Test
    void arraysAndBase64GiveTheSame() throws IOException {
        float[] rows = {0.1f, -3e-5f, 7, 1.5f, 2, -1};
        byte[] floats = WireFormat.pack(rows, 3, Encoding.FLOAT32);
        String arrays = "[[0.1, -3e-5, 7], [1.5, 2, -1]]";
        assertArrayEquals(floats, parse(arrays, 0, null));
        assertArrayEquals(floats, parse(arrays, 3, Encoding.FLOAT32));
        assertArrayEquals(floats, parse(base64(floats), 0, null));
        byte[] bytes = WireFormat.pack(rows, 3, Encoding.INT8);
        assertArrayEquals(bytes, parse(arrays, 3, Encoding.INT8));
        assertArrayEquals(bytes, parse(base64(floats), 3, Encoding.INT8));
        assertArrayEquals(bytes, parse(base64(bytes), 3, Encoding.INT8));
    }

    @Test
    void numbersAreReadAsDoubleAndNarrowedAsPythonDoes() throws IOException {
        String tie = "1.00000017881393432617187499"; // just below half way: as double half way, then to even
        byte[] message = parse("[[" + tie + "]]", 1, Encoding.FLOAT32);
        assertEquals((float) Double.parseDouble(tie), WireFormat.unpack(message)[0]);
    }

    @Test
    void goldenBrokenMessagesAreRefusedInBase64() throws IOException {
        for (Map<String, Object> golden : Golden.read("wire/broken.json")) {
            String json = '"' + (String) golden.get("bytes") + '"';
            InvalidVectors refusal = assertThrows(InvalidVectors.class, () -> parse(json, 0, Encoding.INT8));
            assertTrue(refusal.getMessage().contains((String) golden.get("names")), refusal.getMessage());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "[]                  | an empty array, at least 1 row is required",
        "[[]]                | dimension 0 is outside 1–4096",
        "[[1, 2]]            | dimension 2, but the field has 3",
        "[[1, 2, 3], [1, 2]] | row 1 has 2 components, row 0 has 3",
        "[1, 2, 3]           | row 0 is a number, expected an array of numbers",
        "[[1, 2, 3], \"x\"]  | row 1 is a string, expected an array of numbers",
        "[[1, \"secret\", 3]]| component (0, 1) is a string, expected a number",
        "[[1, null, 3]]      | component (0, 1) is null, expected a number",
        "[[1, [2], 3]]       | component (0, 1) is an array, expected a number",
        "[[1, 1e39, 3]]      | component (0, 1) is inf: it is not finite",
        "7                   | expected base64 of the wire format or an array of arrays of numbers, got a number",
        "{\"a\": 1}          | got an object",
        "true                | got a boolean",
        "\"not base64!\"     | a string of 11 characters that is not base64",
    })
    void whatIsNoMultiVectorIsRefused(String json, String reason) {
        InvalidVectors refusal = assertThrows(InvalidVectors.class, () -> parse(json, 3, Encoding.FLOAT32));
        assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
        assertTrue(!refusal.getMessage().contains("secret"), refusal.getMessage());
    }

    @Test
    void aMessageOfAnotherDimensionIsRefused() {
        byte[] message = WireFormat.pack(new float[] {1, 2}, 2, Encoding.FLOAT32);
        InvalidVectors refusal = assertThrows(
            InvalidVectors.class, () -> parse(base64(message), 128, Encoding.INT8)
        );
        assertEquals("multi-vector: dimension 2, but the field has 128", refusal.getMessage());
    }
}
