package io.github.opensearchmultimodal.service;

import org.opensearch.OpenSearchStatusException;
import org.opensearch.core.rest.RestStatus;

/** Says that the service refused a call for its size (413): with fewer inputs it may be taken. */
public final class InputTooLargeException extends OpenSearchStatusException {
    private static final long serialVersionUID = 1L;

    InputTooLargeException(String message) {
        super(message, RestStatus.BAD_REQUEST);
    }
}
