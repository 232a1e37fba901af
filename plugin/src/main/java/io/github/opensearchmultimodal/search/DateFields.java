package io.github.opensearchmultimodal.search;

import java.util.Map;
import java.util.Set;
import org.opensearch.cluster.ClusterState;
import org.opensearch.cluster.metadata.IndexMetadata;

/** Tells which fields hold dates, from the mappings in the cluster state. */
final class DateFields {
    private static final Set<String> DATES = Set.of("date", "date_nanos");

    private DateFields() {}

    /** Whether the field is a date in one of the concrete indices. */
    static boolean isDate(ClusterState state, String[] indices, String field) {
        for (String name : indices) {
            IndexMetadata index = state.metadata().index(name);
            if (index != null && index.mapping() != null && DATES.contains(type(index.mapping().sourceAsMap(), field))) {
                return true;
            }
        }
        return false;
    }

    static String type(Map<String, Object> mapping, String field) {
        Object at = mapping;
        for (String part : field.split("\\.")) {
            at = at instanceof Map<?, ?> map && map.get("properties") instanceof Map<?, ?> properties ? properties.get(part) : null;
        }
        return at instanceof Map<?, ?> map && map.get("type") instanceof String type ? type : "";
    }
}
