package io.github.opensearchmultimodal.vectors;

import java.util.Locale;

/** How the rows of a multi-vector are stored; the ordinal is the number in the wire format's header. */
public enum Encoding {
    /** IEEE 754 single floats. */
    FLOAT32,
    /** IEEE 754 half floats; messages may have it, fields cannot. */
    FLOAT16,
    /** A float32 scale per row and signed bytes. */
    INT8,
    /** One bit per component: whether it is greater than 0. */
    BIT;

    private static final Encoding[] CODES = values();

    /** Returns the encoding with this number, or null where there is none. */
    static Encoding of(int code) {
        return code < CODES.length ? CODES[code] : null;
    }

    /** Returns how many bytes a row of {@code dimension} components takes, its scale included. */
    public int rowBytes(int dimension) {
        return switch (this) {
            case FLOAT32 -> 4 * dimension;
            case FLOAT16 -> 2 * dimension;
            case INT8 -> 4 + dimension;
            case BIT -> (dimension + 7) / 8;
        };
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
