package io.github.opensearchmultimodal.search;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.common.io.stream.Writeable;
import org.opensearch.core.rest.RestStatus;

/**
 * The documents that the service ranked, best first, each with a score below that of the one before.
 *
 * @param hits the documents
 * @param degraded how the service fell back, null if it did not
 */
record RankedHits(List<Hit> hits, String degraded) {
    /** One document: concrete index, id, score. */
    record Hit(String index, String id, float score) implements Writeable {
        Hit(StreamInput in) throws IOException {
            this(in.readString(), in.readString(), in.readFloat());
        }

        @Override
        public void writeTo(StreamOutput out) throws IOException {
            out.writeString(index);
            out.writeString(id);
            out.writeFloat(score);
        }
    }

    /**
     * Reads the answer of {@code /v1/rank}.
     *
     * @throws OpenSearchStatusException it is not what was asked for (502)
     */
    static RankedHits read(Map<String, Object> answer, int k) {
        if (answer.get("hits") instanceof List<?> list && list.size() <= k) {
            List<Hit> hits = new ArrayList<>(list.size());
            Set<List<String>> seen = new HashSet<>();
            for (Object each : list) {
                Hit hit = hit(each);
                if (seen.add(List.of(hit.index(), hit.id()))) {
                    hits.add(hit);
                }
            }
            return new RankedHits(descending(hits), answer.get("degraded") instanceof String how ? how : null);
        }
        throw broken("no list of at most " + k + " hits");
    }

    private static Hit hit(Object value) {
        if (value instanceof Map<?, ?> map
            && map.get("index") instanceof String index
            && map.get("id") instanceof String id
            && map.get("score") instanceof Number score
            && Float.isFinite(score.floatValue())) {
            return new Hit(index, id, score.floatValue());
        }
        throw broken("a hit without index, id and score");
    }

    /**
     * Makes the scores fit for Lucene: none below zero (all are shifted then), and none equal to another, which Lucene would
     * order by shard; an equal score is raised by the least possible.
     */
    private static List<Hit> descending(List<Hit> hits) {
        float least = hits.isEmpty() ? 0 : Math.min(0, hits.get(hits.size() - 1).score());
        Hit[] fit = new Hit[hits.size()];
        float above = -1;
        for (int i = fit.length - 1; i >= 0; i--) {
            Hit hit = hits.get(i);
            if (i > 0 && hits.get(i - 1).score() < hit.score()) {
                throw broken("hits that are not in the order of their scores");
            }
            above = Math.max(hit.score() - least, above < 0 ? 0 : Math.nextUp(above));
            fit[i] = new Hit(hit.index(), hit.id(), above);
        }
        return List.of(fit);
    }

    private static OpenSearchStatusException broken(String what) {
        return new OpenSearchStatusException("the multimodal service cannot be understood: " + what, RestStatus.BAD_GATEWAY);
    }
}
