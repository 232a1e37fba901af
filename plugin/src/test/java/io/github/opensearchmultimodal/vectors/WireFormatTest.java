package io.github.opensearchmultimodal.vectors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.opensearchmultimodal.support.Golden;
import java.io.IOException;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** The wire format against the golden files that Python's tests read too, and the layout of doc values. */
class WireFormatTest {
    private static byte[] bytes(Map<String, Object> golden) {
        return Base64.getDecoder().decode((String) golden.get("bytes"));
    }

    private static Encoding encoding(Map<String, Object> golden) {
        return Encoding.valueOf(((String) golden.get("encoding")).toUpperCase(Locale.ROOT));
    }

    @Test
    void goldenMessagesAreRead() throws IOException {
        List<Map<String, Object>> golden = Golden.read("wire/valid.json");
        assertFalse(golden.isEmpty());
        for (Map<String, Object> message : golden) {
            WireHeader header = WireFormat.check(bytes(message));
            assertEquals(encoding(message), header.encoding());
            assertEquals(message.get("dimension"), header.dimension());
            assertEquals(message.get("count"), header.count());
            float[] expected = Golden.floats(message.get("rows"));
            float tolerance = header.encoding() == Encoding.BIT ? Math.ulp(1f) : 0;
            float[] rows = WireFormat.unpack(bytes(message));
            if (tolerance == 0) {
                assertArrayEquals(expected, rows, (String) message.get("name"));
            } else {
                assertArrayEquals(expected, rows, tolerance, (String) message.get("name"));
            }
        }
    }

    @Test
    void goldenMessagesAreWritten() throws IOException {
        int written = 0;
        for (Map<String, Object> message : Golden.read("wire/valid.json")) {
            if (message.get("given") != null) {
                float[] given = Golden.floats(message.get("given"));
                float[] before = given.clone();
                byte[] packed = WireFormat.pack(given, (int) message.get("dimension"), encoding(message));
                assertArrayEquals(bytes(message), packed, (String) message.get("name"));
                assertArrayEquals(before, given);
                written++;
            }
        }
        assertTrue(written > 10);
    }

    @Test
    void goldenBrokenMessagesAreRefusedByValue() throws IOException {
        List<Map<String, Object>> golden = Golden.read("wire/broken.json");
        assertFalse(golden.isEmpty());
        for (Map<String, Object> message : golden) {
            InvalidVectors refusal = assertThrows(
                InvalidVectors.class, () -> WireFormat.check(bytes(message)), (String) message.get("name")
            );
            String named = (String) message.get("names");
            assertTrue(refusal.getMessage().contains(named), () -> refusal.getMessage() + " lacks " + named);
        }
    }

    @Test
    void everyGoldenMessageSurvivesTheLayoutOfDocValues() throws IOException {
        for (Map<String, Object> message : Golden.read("wire/valid.json")) {
            if (encoding(message) != Encoding.FLOAT16) {
                assertRoundTrip(bytes(message));
            }
        }
    }

    @Test
    void everyCountSurvivesTheLayoutOfDocValues() {
        Random random = new Random(3);
        for (int count : new int[] {1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1030}) {
            for (int dimension : new int[] {1, 8, 13, 128}) {
                float[] rows = new float[count * dimension];
                for (int i = 0; i < rows.length; i++) {
                    rows[i] = (float) random.nextGaussian();
                }
                for (Encoding encoding : List.of(Encoding.FLOAT32, Encoding.INT8, Encoding.BIT)) {
                    assertRoundTrip(WireFormat.pack(rows, dimension, encoding));
                }
            }
        }
    }

    private static void assertRoundTrip(byte[] message) {
        byte[] value = BlockLayout.fromWire(message);
        byte[] shifted = new byte[value.length + 5];
        System.arraycopy(value, 0, shifted, 3, value.length);
        assertArrayEquals(message, BlockLayout.toWire(new BytesRef(shifted, 3, value.length)));
    }

    @Test
    void aPageOf1030VectorsTakesItsRawSize() {
        float[] rows = new float[1030 * 128];
        Arrays.fill(rows, 1);
        assertEquals(4 * 1030 * 128 + 7, BlockLayout.fromWire(WireFormat.pack(rows, 128, Encoding.FLOAT32)).length);
        assertEquals(1030 * (128 + 4) + 7, BlockLayout.fromWire(WireFormat.pack(rows, 128, Encoding.INT8)).length);
        assertEquals(1030 * 128 / 8 + 7, BlockLayout.fromWire(WireFormat.pack(rows, 128, Encoding.BIT)).length);
    }

    @Test
    void aMessageIsConvertedOnce() {
        float[] rows = {0.5f, -0.25f, 0.125f, 1f, -2f, 3f};
        byte[] floats = WireFormat.pack(rows, 3, Encoding.FLOAT32);
        byte[] halves = WireFormat.pack(rows, 3, Encoding.FLOAT16);
        for (Encoding encoding : List.of(Encoding.FLOAT32, Encoding.INT8, Encoding.BIT)) {
            byte[] expected = WireFormat.pack(rows, 3, encoding);
            assertArrayEquals(expected, WireFormat.convert(floats, encoding));
            assertArrayEquals(expected, WireFormat.convert(halves, encoding)); // these floats are exact as halves
            assertSame(expected, WireFormat.convert(expected, encoding));
        }
        byte[] bits = WireFormat.pack(rows, 3, Encoding.BIT);
        float unit = (float) (1 / Math.sqrt(3));
        float[] signs = {unit, -unit, unit, unit, -unit, unit};
        assertArrayEquals(signs, WireFormat.unpack(WireFormat.convert(bits, Encoding.FLOAT32)));
    }

    @Test
    void aRowOfZerosIsKeptExceptAsBits() {
        float[] rows = {1, 0, 0, -0f};
        byte[] floats = WireFormat.pack(rows, 2, Encoding.FLOAT32);
        assertArrayEquals(rows, WireFormat.unpack(floats));
        assertArrayEquals(new float[] {1, 0, 0, 0}, WireFormat.unpack(WireFormat.convert(floats, Encoding.INT8)));
        InvalidVectors refusal = assertThrows(
            InvalidVectors.class, () -> WireFormat.convert(floats, Encoding.BIT)
        );
        assertTrue(refusal.getMessage().contains("row 1 is a zero vector"), refusal.getMessage());
    }

    @Test
    void tooLongIsRefusedBeforeMemoryIsReserved() {
        byte[] message = WireFormat.pack(new float[] {1}, 1, Encoding.FLOAT32);
        Arrays.fill(message, 8, 11, (byte) 0xFF); // count 16,777,215
        InvalidVectors refusal = assertThrows(InvalidVectors.class, () -> WireFormat.check(message));
        assertTrue(refusal.getMessage().contains("16777215 components, at most 4194304"), refusal.getMessage());
    }
}
