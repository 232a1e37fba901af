package io.github.opensearchmultimodal.ingest;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.opensearch.cluster.ClusterState;
import org.opensearch.cluster.metadata.IndexAbstraction;
import org.opensearch.cluster.metadata.IndexMetadata;
import org.opensearch.cluster.metadata.MappingMetadata;

/**
 * The vector fields that an index describes in {@code _meta.multimodal}.
 *
 * @param index the index that is written to
 * @param described field → what the index says of it, as the service gets it
 * @param inputs field → the input it is made of, {@code text} or {@code image}; only the fields to fill
 */
record VectorFields(String index, Map<String, Object> described, Map<String, String> inputs) {
    private static final String HOW = "create the index by 'osmm index create', or describe it by 'osmm index stamp'";

    /**
     * Reads the description of the index that a document goes to.
     *
     * @param target the index, alias or data stream that the document names
     * @param only the fields to fill; empty for all
     * @throws IllegalArgumentException it does not exist, has no write index, or describes no such fields
     */
    static VectorFields of(ClusterState state, String target, List<String> only) {
        IndexAbstraction found = state.metadata().getIndicesLookup().get(target);
        if (found == null) {
            throw new IllegalArgumentException("index [" + target + "] does not exist: " + HOW);
        }
        IndexMetadata index = found.getWriteIndex();
        if (index == null) {
            throw new IllegalArgumentException("alias [" + target + "] has no write index");
        }
        return parse(index.getIndex().getName(), mapping(index), only);
    }

    private static Map<String, Object> mapping(IndexMetadata index) {
        MappingMetadata mapping = index.mapping();
        return mapping == null ? Map.of() : mapping.sourceAsMap();
    }

    static VectorFields parse(String index, Map<String, Object> mapping, List<String> only) {
        Map<String, Object> all = fields(mapping);
        if (all.isEmpty()) {
            throw new IllegalArgumentException("index [" + index + "] has no fields in _meta.multimodal: " + HOW);
        }
        Map<String, Object> described = new LinkedHashMap<>();
        Map<String, String> inputs = new LinkedHashMap<>();
        for (String name : only.isEmpty() ? all.keySet() : only) {
            String source = source(index, all, name);
            described.put(source, all.get(source));
            described.put(name, all.get(name));
            inputs.put(name, input(index, all, source));
        }
        return new VectorFields(index, described, inputs);
    }

    /** The inputs that the fields are made of. */
    Set<String> inputsUsed() {
        return inputs.values().stream().collect(Collectors.toUnmodifiableSet());
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> fields(Map<String, Object> mapping) {
        Object found = mapping;
        for (String key : List.of("_meta", "multimodal", "fields")) {
            found = found instanceof Map<?, ?> map ? map.get(key) : null;
        }
        return found instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
    }

    /** Returns the field that a model fills: the field itself, or the one it is derived from. */
    private static String source(String index, Map<String, Object> all, String name) {
        if (all.get(name) instanceof Map<?, ?> field) {
            Object from = field.get("derived_from");
            if (from == null) {
                return name;
            }
            if (all.get(from) instanceof Map<?, ?>) {
                return (String) from;
            }
        }
        throw new IllegalArgumentException("_meta.multimodal of index [" + index + "] does not describe field [" + name + "]");
    }

    private static String input(String index, Map<String, Object> all, String source) {
        Object input = ((Map<?, ?>) all.get(source)).get("input");
        if ("text".equals(input) || "image".equals(input)) {
            return (String) input;
        }
        throw new IllegalArgumentException(
            "_meta.multimodal of index [" + index + "]: input of field [" + source + "] must be text or image"
        );
    }
}
