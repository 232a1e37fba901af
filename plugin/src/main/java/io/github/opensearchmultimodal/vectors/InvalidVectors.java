package io.github.opensearchmultimodal.vectors;

/** A multi-vector that is refused; the message names the offending value or shape, and no other content. */
public final class InvalidVectors extends IllegalArgumentException {
    /** Creates a refusal. */
    public InvalidVectors(String message) {
        super(message);
    }
}
