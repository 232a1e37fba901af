package io.github.opensearchmultimodal.ingest;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.opensearch.core.common.unit.ByteSizeValue;
import org.opensearch.ingest.IngestDocument;

/**
 * What one document gives to be encoded.
 *
 * @param json the input as the service gets it
 * @param given the inputs that the document mentions, blank ones too: {@code text}, {@code image}
 * @param characters how many characters its texts have
 * @param bytes about how many bytes it is
 */
record EncodeInput(Map<String, Object> json, Set<String> given, long characters, long bytes) {
    private static final Pattern URI = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*:.*", Pattern.DOTALL);

    /**
     * Reads the inputs that are needed.
     *
     * @throws IllegalArgumentException a value is of the wrong kind or too large; the message never quotes it
     */
    static EncodeInput read(IngestDocument document, EncodeConfig config, Limits limits, Set<String> needed) {
        Map<String, Object> json = new LinkedHashMap<>();
        Set<String> given = new HashSet<>();
        if (needed.contains("text")) {
            String text = text(document, config.textField());
            String title = text(document, config.titleField());
            checkLength(text, title, config, limits.text());
            if (text != null) {
                given.add("text");
                json.put("text", text);
            }
            if (title != null) {
                json.put("title", title);
            }
        }
        if (needed.contains("image")) {
            String image = image(document, config.imageField(), limits.image());
            if (image != null) {
                given.add("image");
                json.put("image", image);
            }
        }
        long bytes = json.values().stream().mapToLong(value -> ((String) value).length()).sum();
        long characters = bytes - (json.get("image") instanceof String image ? image.length() : 0);
        return new EncodeInput(json, Set.copyOf(given), characters, bytes);
    }

    /** Whether there is anything that a model could read. */
    boolean worthSending() {
        boolean text = json.get("text") instanceof String value && value.isBlank() == false;
        return text || json.containsKey("image");
    }

    private static String text(IngestDocument document, String field) {
        Object value = document.getFieldValue(field, Object.class, true);
        if (value == null || value instanceof String) {
            return (String) value;
        }
        if (value instanceof Number || value instanceof Boolean) {
            return value.toString();
        }
        throw new IllegalArgumentException("field [" + field + "] must be a string, not " + kind(value));
    }

    private static void checkLength(String text, String title, EncodeConfig config, int limit) {
        int length = (text == null ? 0 : text.length()) + (title == null ? 0 : title.length());
        if (length > limit) {
            throw new IllegalArgumentException(
                "field [" + config.textField() + "] with [" + config.titleField() + "] has " + length
                    + " characters, more than " + limit + ", the limit of [multimodal.ingest.max_text_length]"
            );
        }
    }

    private static String image(IngestDocument document, String field, ByteSizeValue limit) {
        Object value = document.getFieldValue(field, Object.class, true);
        if (value == null) {
            return null;
        }
        if (value instanceof String == false) {
            throw new IllegalArgumentException("field [" + field + "] must be a base64 string, not " + kind(value));
        }
        String image = (String) value;
        if (image.isEmpty()) {
            throw new IllegalArgumentException("field [" + field + "] is empty: leave it out, or give the image in base64");
        }
        if (image.length() < 2048 && URI.matcher(image).matches() || image.startsWith("data:")) {
            throw new IllegalArgumentException(
                "field [" + field + "] holds a URI: images come inline only, as base64 without a prefix"
            );
        }
        if (image.length() / 4 * 3L > limit.getBytes()) {
            throw new IllegalArgumentException(
                "field [" + field + "] has about " + image.length() / 4 * 3L + " bytes, more than " + limit
                    + ", the limit of [multimodal.ingest.max_image_size]"
            );
        }
        if (isBase64(image) == false) {
            throw new IllegalArgumentException("field [" + field + "] is not base64");
        }
        return image;
    }

    private static boolean isBase64(String value) {
        int end = value.length();
        while (end > 0 && value.length() - end < 2 && value.charAt(end - 1) == '=') {
            end--;
        }
        for (int i = 0; i < end; i++) {
            char c = value.charAt(i);
            if ((c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/') == false) {
                return false;
            }
        }
        return value.length() % 4 == 0;
    }

    private static String kind(Object value) {
        return value instanceof Iterable<?> ? "a list" : value instanceof Map<?, ?> ? "an object" : "this";
    }
}
