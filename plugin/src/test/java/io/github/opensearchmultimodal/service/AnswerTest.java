package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.OpenSearchStatusException;

class AnswerTest {
    private static Answer answer(int status, String protocol, String body) {
        return new Answer(status, protocol, null, body.getBytes(StandardCharsets.UTF_8));
    }

    private static OpenSearchStatusException failure(Answer answer) {
        return assertThrows(OpenSearchStatusException.class, answer::value);
    }

    @Test
    void aSuccessIsItsObject() {
        assertEquals(Map.of("results", List.of(1, 2.5)), answer(200, "1", "{\"results\":[1,2.5]}").value());
    }

    @ParameterizedTest
    @ValueSource(strings = { "", "[]", "<html>", "{\"a\":1", "{}{}", "null" })
    void anythingElseIsNotUnderstood(String body) {
        OpenSearchStatusException failure = failure(answer(200, "1", body));
        assertEquals(502, failure.status().getStatus());
        assertEquals("the multimodal service cannot be understood: its answer is not a JSON object", failure.getMessage());
    }

    @Test
    void anotherProtocolIsRefusedByNumber() {
        assertTrue(failure(answer(200, "2", "{}")).getMessage().contains("speaks protocol 2, this plugin 1"));
        assertTrue(failure(answer(200, "<script>", "{}")).getMessage().contains("speaks protocol ?"));
        assertTrue(failure(answer(404, null, "{}")).getMessage().contains("is [multimodal.service.url] right?"));
    }

    @ParameterizedTest
    @CsvSource({ "400,400", "401,401", "403,403", "404,502", "409,409", "413,400", "429,429", "500,502", "503,503", "504,504" })
    void statusesAreTold(int status, int told) {
        OpenSearchStatusException failure = failure(answer(status, "1", "{\"error\":{\"type\":\"x\",\"reason\":\"so\"}}"));
        assertEquals(told, failure.status().getStatus());
        assertTrue(failure.getMessage().endsWith(": so"));
    }

    @Test
    void aBalancerInBetweenNeedsNoProtocol() {
        assertEquals(503, failure(answer(503, null, "<html>down</html>")).status().getStatus());
        assertEquals("the multimodal service is not available", failure(answer(503, null, "<html>")).getMessage());
    }

    @Test
    void reasonsAreCutAndPlain() {
        String reason = "line\\nbreak " + "x".repeat(1_000);
        String message = failure(answer(400, "1", "{\"error\":{\"reason\":\"" + reason + "\"}}")).getMessage();
        assertTrue(message.length() < 400);
        assertFalse(message.contains("\n"));
    }

    @Test
    void noReasonBringsWhatIsNotPlain() {
        assertEquals("a b c d", Reason.plain(" a\u0000b\u0085c\u2028d\u202e"));
        assertEquals(300 + 1, Reason.plain("x".repeat(1_000_000)).length());
    }

    @Test
    void aCallThatIsTooLargeIsToldApart() {
        assertTrue(failure(answer(413, "1", "{}")) instanceof InputTooLargeException);
        assertFalse(failure(answer(400, "1", "{}")) instanceof InputTooLargeException);
    }

    @Test
    void pausesAreSecondsOrDates() {
        Instant now = Instant.parse("2026-01-01T00:00:00Z");
        assertEquals(Optional.of(Duration.ofSeconds(7)), asked("7", now));
        assertEquals(Optional.of(Duration.ofSeconds(90)), asked("Thu, 01 Jan 2026 00:01:30 GMT", now));
        assertEquals(Optional.empty(), asked("Wed, 31 Dec 2025 00:00:00 GMT", now));
        assertEquals(Optional.empty(), asked("soon", now));
        assertEquals(Optional.empty(), asked(null, now));
    }

    private static Optional<Duration> asked(String header, Instant now) {
        return new Answer(429, "1", header, new byte[0]).askedPause(now);
    }
}
