package io.github.opensearchmultimodal.ingest;

import io.github.opensearchmultimodal.service.Reason;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.core.rest.RestStatus;

/**
 * What the service made of one input.
 *
 * @param values vector field → value; empty where it failed
 * @param error why there is none, else null
 */
record EncodeAnswer(Map<String, Object> values, String error) {

    /**
     * Reads the answers to a call.
     *
     * @param answer the JSON object that came back
     * @param inputs how many inputs were sent
     * @param fields the fields that were asked for
     * @throws OpenSearchStatusException the answer is not what was asked for (502)
     */
    static List<EncodeAnswer> read(Map<String, Object> answer, int inputs, Set<String> fields) {
        if (answer.get("results") instanceof List<?> results && results.size() == inputs) {
            List<EncodeAnswer> read = new ArrayList<>(inputs);
            results.forEach(result -> read.add(one(result, fields)));
            return read;
        }
        throw broken("not one result for each of " + inputs + " inputs");
    }

    private static EncodeAnswer one(Object result, Set<String> fields) {
        if (result instanceof Map<?, ?> map) {
            if (map.get("error") instanceof Map<?, ?> error) {
                Object reason = error.get("reason");
                return new EncodeAnswer(Map.of(), reason instanceof String said ? Reason.plain(said) : "it cannot be encoded");
            }
            if (map.get("values") instanceof Map<?, ?> values) {
                return new EncodeAnswer(checked(values, fields), null);
            }
        }
        throw broken("a result with neither values nor error");
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> checked(Map<?, ?> values, Set<String> fields) {
        values.forEach((name, value) -> {
            if (fields.contains(name) == false) {
                throw broken("a value for a field that was not asked for");
            }
            boolean vector = value instanceof String || value instanceof List<?> list && finite(list);
            if (vector == false) {
                throw broken("a value of field [" + name + "] that is no vector");
            }
        });
        return (Map<String, Object>) values;
    }

    private static boolean finite(List<?> numbers) {
        return numbers.isEmpty() == false
            && numbers.stream().allMatch(number -> number instanceof Number n && Double.isFinite(n.doubleValue()));
    }

    private static OpenSearchStatusException broken(String what) {
        return new OpenSearchStatusException("the multimodal service cannot be understood: " + what, RestStatus.BAD_GATEWAY);
    }
}
