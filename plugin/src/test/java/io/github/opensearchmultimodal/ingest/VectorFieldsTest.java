package io.github.opensearchmultimodal.ingest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class VectorFieldsTest {
    private static final Map<String, Object> DENSE = Map.of("model", "m", "input", "text");
    private static final Map<String, Object> BINARY = Map.of("derived_from", "dense", "transform", "sign");
    private static final Map<String, Object> PICTURE = Map.of("model", "p", "input", "image");

    private static VectorFields parse(Map<String, Object> fields, String... only) {
        return VectorFields.parse("i", Map.of("_meta", Map.of("multimodal", Map.of("fields", fields))), List.of(only));
    }

    private static String refusal(Map<String, Object> fields, String... only) {
        return assertThrows(IllegalArgumentException.class, () -> parse(fields, only)).getMessage();
    }

    @Test
    void everyFieldHasTheInputOfItsSource() {
        VectorFields fields = parse(Map.of("dense", DENSE, "binary", BINARY, "picture", PICTURE));
        assertEquals(Map.of("dense", "text", "binary", "text", "picture", "image"), fields.inputs());
        assertEquals(Set.of("text", "image"), fields.inputsUsed());
    }

    @Test
    void aChosenFieldBringsItsSourceButIsFilledAlone() {
        VectorFields fields = parse(Map.of("dense", DENSE, "binary", BINARY, "picture", PICTURE), "binary");
        assertEquals(Map.of("dense", DENSE, "binary", BINARY), fields.described());
        assertEquals(Map.of("binary", "text"), fields.inputs());
    }

    @Test
    void whatIsNotDescribedIsRefused() {
        assertTrue(refusal(Map.of()).contains("osmm index stamp"));
        assertTrue(refusal(Map.of("dense", DENSE), "other").endsWith("does not describe field [other]"));
        assertTrue(refusal(Map.of("binary", BINARY)).endsWith("does not describe field [binary]"));
        assertTrue(refusal(Map.of("a", Map.of("model", "m", "input", "sound"))).endsWith("must be text or image"));
    }

    @Test
    void aMappingOfAnyShapeIsNoDescription() {
        assertThrows(IllegalArgumentException.class, () -> VectorFields.parse("i", Map.of("_meta", "x"), List.of()));
        assertThrows(IllegalArgumentException.class, () -> VectorFields.parse("i", Map.of(), List.of()));
    }
}
