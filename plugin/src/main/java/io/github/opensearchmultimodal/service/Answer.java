package io.github.opensearchmultimodal.service;

import java.io.IOException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;

/**
 * What the service answered.
 *
 * @param status the HTTP status
 * @param protocol the value of the protocol header, null if absent
 * @param retryAfter the value of Retry-After, null if absent
 * @param body the body's bytes
 */
record Answer(int status, String protocol, String retryAfter, byte[] body) {
    /** The header by which both sides say which protocol they speak. */
    static final String PROTOCOL_HEADER = "X-Multimodal-Protocol";
    /** The protocol that this plugin speaks. */
    static final String PROTOCOL = "1";

    private static final Set<Integer> WORTH_RETRYING = Set.of(429, 502, 503, 504);

    /** Whether the same call may succeed later. */
    boolean worthRetrying() {
        return WORTH_RETRYING.contains(status);
    }

    /** How long the service asked to be left alone: seconds or a date. */
    Optional<Duration> askedPause(Instant now) {
        if (retryAfter == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(Duration.ofSeconds(Math.max(0, Long.parseLong(retryAfter.strip()))));
        } catch (NumberFormatException e) {
            try {
                ZonedDateTime until = ZonedDateTime.parse(retryAfter.strip(), DateTimeFormatter.RFC_1123_DATE_TIME);
                return Optional.of(Duration.between(now, until.toInstant())).filter(pause -> pause.isNegative() == false);
            } catch (DateTimeException notADate) {
                return Optional.empty();
            }
        }
    }

    /**
     * Returns the JSON object of a success.
     *
     * @throws OpenSearchStatusException the service refused or failed, speaks another protocol, or answered something else
     */
    Map<String, Object> value() {
        if (worthRetrying() == false || protocol != null) {
            checkProtocol();
        }
        if (status != 200) {
            throw failure();
        }
        try {
            return object();
        } catch (IOException | RuntimeException e) {
            throw badGateway("its answer is not a JSON object");
        }
    }

    /** Returns what to tell the caller about an answer that is no success. */
    private OpenSearchStatusException failure() {
        String said = reason();
        return switch (status) {
            case 400 -> failure(RestStatus.BAD_REQUEST, "refused the input" + said);
            case 413 -> new InputTooLargeException("the multimodal service refused the input" + said);
            case 401 -> failure(RestStatus.UNAUTHORIZED, "did not accept the credentials" + said);
            case 403 -> failure(RestStatus.FORBIDDEN, "did not allow it" + said);
            case 409 -> failure(RestStatus.CONFLICT, "has another model than the index" + said);
            case 429 -> failure(RestStatus.TOO_MANY_REQUESTS, "is busy" + said);
            case 503 -> failure(RestStatus.SERVICE_UNAVAILABLE, "is not available" + said);
            case 504 -> failure(RestStatus.GATEWAY_TIMEOUT, "took too long" + said);
            default -> failure(RestStatus.BAD_GATEWAY, "answered with status " + status + said);
        };
    }

    static OpenSearchStatusException failure(RestStatus status, String what) {
        return new OpenSearchStatusException("the multimodal service " + what, status);
    }

    /** Returns the failure of an answer that breaks the contract. */
    static OpenSearchStatusException badGateway(String what) {
        return new OpenSearchStatusException("the multimodal service cannot be understood: " + what, RestStatus.BAD_GATEWAY);
    }

    private void checkProtocol() {
        if (protocol == null) {
            throw badGateway(
                "it answered with status " + status + " and without the header " + PROTOCOL_HEADER
                    + "; is [multimodal.service.url] right?"
            );
        }
        if (PROTOCOL.equals(protocol.strip()) == false) {
            String spoken = protocol.matches("[0-9.]{1,8}") ? protocol : "?";
            throw badGateway("it speaks protocol " + spoken + ", this plugin " + PROTOCOL + ": upgrade the older of the two");
        }
    }

    private String reason() {
        if (protocol == null) {
            return "";
        }
        try {
            if (object().get("error") instanceof Map<?, ?> error && error.get("reason") instanceof String reason) {
                return ": " + Reason.plain(reason);
            }
        } catch (IOException | RuntimeException e) {
            return "";
        }
        return "";
    }

    private Map<String, Object> object() throws IOException {
        try (
            XContentParser parser = JsonXContent.jsonXContent.createParser(
                NamedXContentRegistry.EMPTY,
                DeprecationHandler.THROW_UNSUPPORTED_OPERATION,
                body
            )
        ) {
            if (parser.nextToken() != XContentParser.Token.START_OBJECT) {
                throw new ParsingException(parser.getTokenLocation(), "no object");
            }
            Map<String, Object> object = parser.map();
            if (parser.nextToken() != null) {
                throw new ParsingException(parser.getTokenLocation(), "more than one object");
            }
            return object;
        }
    }
}
