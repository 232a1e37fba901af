package io.github.opensearchmultimodal.codec;

import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a stored source has in place of a multi-vector: a JSON string that no vector can be.
 *
 * @param distance how many Lucene documents before the one with the source is the one with the vector; more than 0 for a
 *     nested object; segments keep the documents of a block together, so it never changes
 * @param checksum of the doc value: a string that somebody sent in this form is not taken for a placeholder
 */
record Placeholder(int distance, int checksum) {
    /** How every placeholder begins in JSON: quote, escaped NUL, marker. */
    static final byte[] START = "\"\\u0000mv:".getBytes(StandardCharsets.US_ASCII);

    private static final Pattern FORM = Pattern.compile("\"\\\\u0000mv:(\\d{1,9}):(-?\\d{1,10})\"");

    /** Returns the JSON string. */
    byte[] json() {
        return ("\"\\u0000mv:" + distance + ":" + checksum + '"').getBytes(StandardCharsets.US_ASCII);
    }

    /** Returns the placeholder that these bytes are, or null. */
    static Placeholder read(byte[] json, int start, int end) {
        if (end - start > 40) {
            return null;
        }
        Matcher form = FORM.matcher(new String(json, start, end - start, StandardCharsets.ISO_8859_1));
        if (!form.matches()) {
            return null;
        }
        return new Placeholder(Integer.parseInt(form.group(1)), (int) Long.parseLong(form.group(2)));
    }
}
