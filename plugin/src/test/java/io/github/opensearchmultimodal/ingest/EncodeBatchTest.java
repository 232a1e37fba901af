package io.github.opensearchmultimodal.ingest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.opensearch.core.common.unit.ByteSizeUnit;
import org.opensearch.core.common.unit.ByteSizeValue;
import org.opensearch.ingest.IngestDocument;
import org.opensearch.ingest.IngestDocumentWrapper;

class EncodeBatchTest {
    private static final long BYTES = 16 << 20;
    private static final Limits LIMITS = new Limits(new ByteSizeValue(10, ByteSizeUnit.MB), 1_000_000, BYTES);

    private static VectorFields fields(String input) {
        Map<String, Object> described = Map.of("dense", Map.of("model", "m", "input", input));
        return VectorFields.parse("i", Map.of("_meta", Map.of("multimodal", Map.of("fields", described))), List.of());
    }

    private static EncodeConfig config() {
        return EncodeConfig.read("multimodal_encode", null, new HashMap<>());
    }

    private static IngestDocument document(Map<String, Object> source) {
        return new IngestDocument("i", "1", null, null, null, new HashMap<>(source));
    }

    private static EncodeInput input(IngestDocument document, VectorFields fields) {
        return EncodeInput.read(document, config(), LIMITS, fields.inputsUsed());
    }

    private static EncodeBatch batch(VectorFields fields, IngestDocument... documents) {
        EncodeBatch batch = new EncodeBatch(fields);
        for (IngestDocument document : documents) {
            batch.add(new IngestDocumentWrapper(0, 0, document, null), input(document, fields));
        }
        return batch;
    }

    private static EncodeInput text(int characters) {
        return input(document(Map.of("text", "a".repeat(characters))), fields("text"));
    }

    private static Map<String, Object> answer(Object result) {
        return Map.of("results", List.of(result));
    }

    @Test
    void aFieldThatNoVectorsAreMadeOfStays() {
        IngestDocument document = document(Map.of("text", "a", "image", "https://example.org/a.png"));
        VectorFields fields = fields("text");
        batch(fields, document).succeed(answer(Map.of("values", Map.of("dense", List.of(1, 2)))), config());
        assertEquals("https://example.org/a.png", document.getFieldValue("image", String.class));
        EncodeProcessor.dropImage(document, fields, config());
        assertTrue(document.hasField("image"));
    }

    @Test
    void anImageThatWasEncodedGoes() {
        IngestDocument document = document(Map.of("image", "AAAA"));
        batch(fields("image"), document).succeed(answer(Map.of("values", Map.of("dense", List.of(1, 2)))), config());
        assertFalse(document.hasField("image"));
    }

    @Test
    void aCallHasNoMoreThanTheServiceTakes() {
        EncodeBatch texts = new EncodeBatch(fields("text"));
        IntStream.range(0, 5).forEach(i -> {
            assertTrue(texts.hasRoomFor(text(100_000), BYTES));
            texts.add(null, text(100_000));
        });
        assertFalse(texts.hasRoomFor(text(1), BYTES));
        EncodeBatch many = new EncodeBatch(fields("text"));
        IntStream.range(0, 256).forEach(i -> many.add(null, text(1)));
        assertFalse(many.hasRoomFor(text(1), BYTES));
        assertTrue(new EncodeBatch(fields("text")).hasRoomFor(text(900_000), BYTES), "alone");
    }

    @Test
    void halvesHoldEveryDocumentOnce() {
        EncodeBatch batch = new EncodeBatch(fields("text"));
        IntStream.range(0, 5).forEach(i -> batch.add(null, text(1)));
        assertEquals(List.of(2, 3), batch.halves().stream().map(EncodeBatch::size).toList());
    }

    @Test
    void theDeadlineIsTold() throws IOException {
        byte[] body = batch(fields("text"), document(Map.of("text", "a"))).call(null).body().apply(1_234L);
        assertTrue(new String(body, StandardCharsets.UTF_8).contains("\"deadline_ms\":1234,"));
    }

    @Test
    void aReasonIsOneLineOfBoundedLength() {
        IngestDocument document = document(Map.of("text", "a"));
        Map<String, Object> error = Map.of("error", Map.of("reason", "line\nbreak\u0000" + "x".repeat(100_000)));
        List<IngestDocumentWrapper> done = batch(fields("text"), document).succeed(answer(error), config());
        String message = done.get(0).getException().getMessage();
        assertTrue(message.length() < 400);
        assertFalse(message.chars().anyMatch(Character::isISOControl));
        assertNull(done.get(0).getException().getCause());
    }
}
