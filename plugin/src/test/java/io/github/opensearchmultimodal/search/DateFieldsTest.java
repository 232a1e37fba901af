package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import org.junit.jupiter.api.Test;

class DateFieldsTest {
    private static final Map<String, Object> MAPPING = Map.of(
        "properties",
        Map.of("when", Map.of("type", "date"), "page", Map.of("properties", Map.of("seen", Map.of("type", "date_nanos"))))
    );

    @Test
    void typesAreFoundByPath() {
        assertEquals("date", DateFields.type(MAPPING, "when"));
        assertEquals("date_nanos", DateFields.type(MAPPING, "page.seen"));
        assertEquals("", DateFields.type(MAPPING, "page"));
        assertEquals("", DateFields.type(MAPPING, "when.deeper"));
        assertEquals("", DateFields.type(Map.of(), "when"));
    }
}
