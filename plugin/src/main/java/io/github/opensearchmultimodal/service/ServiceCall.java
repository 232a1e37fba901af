package io.github.opensearchmultimodal.service;

import java.io.IOException;
import java.util.Map;
import org.opensearch.common.CheckedFunction;
import org.opensearch.common.unit.TimeValue;

/**
 * What is asked of the service.
 *
 * @param kind what kind of call it is
 * @param bytes about how many bytes it carries
 * @param timeout how long one attempt may take; null for the node's setting
 * @param headers headers beside the client's own
 * @param body makes the JSON body of an attempt, from the milliseconds after which its answer is useless
 */
public record ServiceCall(
    Kind kind,
    long bytes,
    TimeValue timeout,
    Map<String, String> headers,
    CheckedFunction<Long, byte[], IOException> body
) {
    /** The kinds of calls; each has its own limits, so that none starves the other. */
    public enum Kind {
        /** Vectors for documents. */
        ENCODE("/v1/encode"),
        /** Ranked documents for a query. */
        RANK("/v1/rank");

        private final String path;

        Kind(String path) {
            this.path = path;
        }

        String path() {
            return path;
        }
    }
}
