package io.github.opensearchmultimodal.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;

/** The golden files that Python's and Java's tests share. */
public final class Golden {
    private static final Path FOLDER = Path.of(System.getProperty("basedir", "."), "..", "tests", "golden");

    private Golden() {}

    /** Reads a list of objects, for example from {@code wire/valid.json}. */
    @SuppressWarnings("unchecked")
    public static List<Map<String, Object>> read(String file) throws IOException {
        try (XContentParser parser = parser(Files.readString(FOLDER.resolve(file)))) {
            return (List<Map<String, Object>>) (List<?>) parser.list();
        }
    }

    /** Returns a parser of JSON, before its first token. */
    public static XContentParser parser(String json) throws IOException {
        return JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY, DeprecationHandler.THROW_UNSUPPORTED_OPERATION, json
        );
    }

    /** Returns rows of numbers, one after the other, as floats. */
    public static float[] floats(Object rows) {
        List<?> list = (List<?>) rows;
        int dimension = ((List<?>) list.get(0)).size();
        float[] floats = new float[list.size() * dimension];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) ((Number) ((List<?>) list.get(i / dimension)).get(i % dimension)).doubleValue();
        }
        return floats;
    }
}
