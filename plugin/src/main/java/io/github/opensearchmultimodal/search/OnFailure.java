package io.github.opensearchmultimodal.search;

import java.util.Locale;

/** What a search gets when the service does not answer. */
enum OnFailure {
    /** The error. */
    ERROR,
    /** Documents ranked by BM25 on the text field, and a Warning header. */
    BM25;

    /** The field that BM25 searches instead. */
    static final String TEXT_FIELD = "text";

    static OnFailure parse(String value) {
        return switch (value) {
            case "error" -> ERROR;
            case "bm25" -> BM25;
            default -> throw new IllegalArgumentException("[on_failure] must be error or bm25");
        };
    }

    String written() {
        return name().toLowerCase(Locale.ROOT);
    }
}
