package io.github.opensearchmultimodal.codec;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Finding values in JSON bytes, and replacing them. */
class JsonValuesTest {
    /** Returns the JSON as part of a larger array. */
    private static BytesRef bytes(String json) {
        byte[] bytes = ("~~" + json + "\"}~").getBytes(StandardCharsets.UTF_8);
        return new BytesRef(bytes, 2, bytes.length - 5);
    }

    private static String replaced(String json, String... names) {
        BytesRef bytes = bytes(json);
        List<JsonValues.Value> values = JsonValues.find(bytes, Set.of(names));
        return JsonValues.replace(bytes, values, value -> value.name().getBytes(StandardCharsets.UTF_8)).utf8ToString();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"a\":\"x\",\"b\":1}                       | {\"a\":v,\"b\":1}",
        "{ \"a\" : [[1, 2], [3e-5]] , \"b\" : [] }   | { \"a\" : v , \"b\" : [] }",
        "{\"b\":{\"a\":\"x\"},\"a\":null}            | {\"b\":{\"a\":\"x\"},\"a\":null}",
        "{\"b\":\"\\\"a\\\":\\\\\",\"a\":\"]}\\\"\"} | {\"b\":\"\\\"a\\\":\\\\\",\"a\":v}",
        "{\"\\u0061\":\"x\"}                         | {\"\\u0061\":v}",
        "{\"a\":{\"a\":[1]}}                         | {\"a\":{\"a\":[1]}}",
        "{\"a\":[\"]\",{\"}\":\"[\"}],\"c\":-1.5e+3} | {\"a\":v,\"c\":-1.5e+3}",
        "{\"a\":1,\"c\":true}                        | {\"a\":1,\"c\":true}",
        "{}                                          | {}",
    })
    void onlyTheNamedValueIsReplaced(String json, String expected) {
        assertEquals(expected, replaced(json, "a").replace(":a", ":v").replace(": a", ": v"));
    }

    @Test
    void dotsAndArraysOfObjectsMakeThePath() {
        String json = "{\"a.b\":{\"c\":[1]},\"a\":{\"b.c\":[2],\"b\":[{\"c\":[3]},[{\"c\":[4],\"x\":{\"c\":[5]}}],7]},\"a.b.c\":[6]}";
        String marked = "{\"a.b\":{\"c\":#},\"a\":{\"b.c\":#,\"b\":[{\"c\":#},[{\"c\":#,\"x\":{\"c\":[5]}}],7]},\"a.b.c\":#}";
        assertEquals(marked.replace("#", "a.b.c"), replaced(json, "a.b.c"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "[\"a\"]", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":[", "{\"a\":[\"\\", "{\"b\":}", "no-op", "{\"a\" \"b\"}"
    })
    void whatIsNoJsonObjectIsLeftAlone(String text) {
        BytesRef bytes = bytes(text);
        List<JsonValues.Value> found = JsonValues.find(bytes, Set.of("a"));
        assertTrue(found.isEmpty(), text);
        assertSame(bytes, JsonValues.replace(bytes, found, value -> new byte[0]));
    }

    @Test
    void aPlaceholderIsReadAsItWasWritten() {
        for (Placeholder placeholder : List.of(new Placeholder(0, 1), new Placeholder(12345, Integer.MIN_VALUE))) {
            byte[] json = placeholder.json();
            assertEquals(placeholder, Placeholder.read(json, 0, json.length));
        }
        byte[] other = "\"\\u0000mv:1:\"".getBytes(StandardCharsets.US_ASCII);
        assertEquals(null, Placeholder.read(other, 0, other.length));
    }
}
