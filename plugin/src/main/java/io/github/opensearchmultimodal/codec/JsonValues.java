package io.github.opensearchmultimodal.codec;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import org.apache.lucene.util.BytesRef;

/**
 * Finds and replaces values in JSON bytes and leaves every other byte as it is.
 *
 * <p>A value is named as OpenSearch names fields: the keys on the way to it, joined by dots, whether the dots stand in
 * the keys or between objects; arrays of objects add nothing.
 */
final class JsonValues {
    private final byte[] json;
    private final int end;
    private final Set<String> names;
    private final List<Value> found = new ArrayList<>();
    private final StringBuilder path = new StringBuilder();
    private int at;

    /**
     * A string or an array.
     *
     * @param name its field
     * @param start of its bytes
     * @param end of its bytes, exclusive
     */
    record Value(String name, int start, int end) {}

    private JsonValues(BytesRef json, Set<String> names) {
        this.json = json.bytes;
        this.at = json.offset;
        this.end = json.offset + json.length;
        this.names = names;
    }

    /**
     * Returns the strings and arrays with these names, in order; none if the bytes are no JSON object.
     *
     * @param names the fields to find
     */
    static List<Value> find(BytesRef json, Set<String> names) {
        JsonValues values = new JsonValues(json, names);
        try {
            values.skipSpace();
            if (values.json[values.at] != '{') {
                return new ArrayList<>();
            }
            values.object();
            return values.found;
        } catch (IndexOutOfBoundsException | NotJson e) {
            return new ArrayList<>();
        }
    }

    /** Returns the JSON with each of {@code values}, which are in order, replaced. */
    static BytesRef replace(BytesRef json, List<Value> values, Function<Value, byte[]> replacement) {
        if (values.isEmpty()) {
            return json;
        }
        ByteArrayOutputStream replaced = new ByteArrayOutputStream(json.length);
        int from = json.offset;
        for (Value value : values) {
            replaced.write(json.bytes, from, value.start() - from);
            replaced.writeBytes(replacement.apply(value));
            from = value.end();
        }
        replaced.write(json.bytes, from, json.offset + json.length - from);
        return new BytesRef(replaced.toByteArray());
    }

    private void object() {
        int parent = path.length();
        at++;
        for (skipSpace(); json[at] != '}'; skipSpace()) {
            if (json[at] == ',') {
                at++;
                skipSpace();
            }
            if (parent > 0) {
                path.append('.');
            }
            path.append(key());
            skipSpace();
            expect(':');
            skipSpace();
            member();
            path.setLength(parent);
        }
        at++;
    }

    private void member() {
        String name = path.toString();
        boolean wanted = (json[at] == '"' || json[at] == '[') && names.contains(name);
        int start = at;
        if (wanted) {
            skip();
            found.add(new Value(name, start, at));
        } else {
            value();
        }
    }

    /** Goes through a value that is not wanted itself; there may be wanted ones in its objects. */
    private void value() {
        switch (json[at]) {
            case '{' -> object();
            case '[' -> {
                at++;
                for (skipSpace(); json[at] != ']'; skipSpace()) {
                    if (json[at] == ',') {
                        at++;
                    } else {
                        value();
                    }
                }
                at++;
            }
            default -> skip();
        }
    }

    /** Goes past a value without looking for others in it. */
    private void skip() {
        if (json[at] == '"') {
            skipString();
            return;
        }
        if (json[at] != '[' && json[at] != '{') {
            skipScalar();
            return;
        }
        int depth = 0;
        do {
            switch (json[at]) {
                case '"' -> skipString();
                case '[', '{' -> {
                    depth++;
                    at++;
                }
                case ']', '}' -> {
                    depth--;
                    at++;
                }
                default -> at++;
            }
            check();
        } while (depth > 0);
    }

    private void skipScalar() {
        int start = at;
        while (at < end && json[at] > ' ' && json[at] != ',' && json[at] != ']' && json[at] != '}') {
            at++;
        }
        if (at == start) {
            throw new NotJson();
        }
    }

    private void skipString() {
        expect('"');
        while (json[at] != '"') {
            at += json[at] == '\\' ? 2 : 1;
            check();
        }
        at++;
    }

    private String key() {
        int start = at + 1;
        skipString();
        String key = new String(json, start, at - 1 - start, StandardCharsets.UTF_8);
        return key.indexOf('\\') < 0 ? key : unescape(key);
    }

    private static String unescape(String key) {
        StringBuilder plain = new StringBuilder(key.length());
        for (int i = 0; i < key.length(); i++) {
            char c = key.charAt(i);
            if (c != '\\') {
                plain.append(c);
                continue;
            }
            char escaped = key.charAt(++i);
            switch (escaped) {
                case 'b' -> plain.append('\b');
                case 'f' -> plain.append('\f');
                case 'n' -> plain.append('\n');
                case 'r' -> plain.append('\r');
                case 't' -> plain.append('\t');
                case 'u' -> {
                    plain.append((char) Integer.parseInt(key.substring(i + 1, i + 5), 16));
                    i += 4;
                }
                default -> plain.append(escaped);
            }
        }
        return plain.toString();
    }

    private void skipSpace() {
        while (json[at] == ' ' || json[at] == '\n' || json[at] == '\r' || json[at] == '\t') {
            at++;
            check();
        }
        check();
    }

    private void expect(char expected) {
        if (json[at] != expected) {
            throw new NotJson();
        }
        at++;
        check();
    }

    private void check() {
        if (at >= end) {
            throw new NotJson();
        }
    }

    /** The bytes are no JSON; the caller leaves them alone. */
    private static final class NotJson extends RuntimeException {
        NotJson() {
            super(null, null, false, false);
        }
    }
}
