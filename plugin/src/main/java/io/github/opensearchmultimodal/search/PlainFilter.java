package io.github.opensearchmultimodal.search;

import java.io.IOException;
import java.util.Map;
import java.util.Set;
import org.opensearch.common.xcontent.XContentFactory;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.index.query.QueryBuilder;

/**
 * Tells whether a query can go to the service as a filter: one with our own queries in it, at any depth, would make the
 * service call itself, and what a {@code wrapper} holds cannot be seen.
 */
final class PlainFilter {
    private static final Set<String> NOT_PLAIN =
        Set.of(MultimodalQueryBuilder.NAME, RankedDocumentsQueryBuilder.NAME, "wrapper");
    /** Queries in whose objects names are those of fields. The service has the same list. */
    private static final Set<String> OF_FIELDS = Set.of(
        "fuzzy",
        "intervals",
        "knn",
        "match",
        "match_bool_prefix",
        "match_phrase",
        "match_phrase_prefix",
        "neural",
        "neural_sparse",
        "prefix",
        "range",
        "regexp",
        "span_term",
        "term",
        "terms",
        "terms_set",
        "wildcard"
    );

    private PlainFilter() {}

    /** Returns the query, or nothing (null) where it is none that can go to the service. */
    static QueryBuilder orNull(QueryBuilder query) {
        return query == null || isPlain(query) == false ? null : query;
    }

    static boolean isPlain(QueryBuilder query) {
        try (XContentBuilder json = XContentFactory.jsonBuilder()) {
            query.toXContent(json, ToXContent.EMPTY_PARAMS);
            return isPlain(XContentHelper.convertToMap(JsonXContent.jsonXContent, BytesReference.bytes(json).streamInput(), false), "");
        } catch (IOException | RuntimeException e) {
            return false; // what cannot be written cannot be sent
        }
    }

    private static boolean isPlain(Object value, String above) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().allMatch(entry -> {
                boolean field = OF_FIELDS.contains(above);
                String name = (String) entry.getKey();
                return (field || NOT_PLAIN.contains(name) == false) && isPlain(entry.getValue(), field ? "" : name);
            });
        }
        if (value instanceof Iterable<?> list) {
            for (Object each : list) {
                if (isPlain(each, above) == false) {
                    return false;
                }
            }
        }
        return true;
    }
}
