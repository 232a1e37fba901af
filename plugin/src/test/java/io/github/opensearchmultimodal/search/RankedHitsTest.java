package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.opensearch.OpenSearchStatusException;

class RankedHitsTest {
    private static Map<String, Object> hit(String id, Object score) {
        return Map.of("index", "i", "id", id, "score", score);
    }

    @SafeVarargs
    private static List<Float> scores(Map<String, Object>... hits) {
        return RankedHits.read(Map.of("hits", List.of(hits)), 10).hits().stream().map(RankedHits.Hit::score).toList();
    }

    private static void refused(Map<String, Object> answer) {
        OpenSearchStatusException failure =
            assertThrows(OpenSearchStatusException.class, () -> RankedHits.read(answer, 2));
        assertEquals(502, failure.status().getStatus());
    }

    @Test
    void goodScoresStay() {
        assertEquals(List.of(3f, 0.5f, 0f), scores(hit("a", 3), hit("b", 0.5), hit("c", 0.0)));
        assertTrue(scores().isEmpty());
    }

    @Test
    void equalScoresAreToldApartByTheLeast() {
        assertEquals(
            List.of(Math.nextUp(Math.nextUp(0.5f)), Math.nextUp(0.5f), 0.5f),
            scores(hit("a", 0.5), hit("b", 0.5), hit("c", 0.5))
        );
        assertEquals(List.of(Math.nextUp(0f), 0f), scores(hit("a", 0), hit("b", 0)));
    }

    @Test
    void negativeScoresAreShifted() {
        assertEquals(List.of(1f + 2f, -1f + 2f, 0f), scores(hit("a", 1), hit("b", -1), hit("c", -2)));
    }

    @Test
    void aDocumentCountsOnce() {
        assertEquals(List.of(3f), scores(hit("a", 3), hit("a", 2)));
    }

    @Test
    void orderHoldsForAnyNumberOfTies() {
        List<Object> hits = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            hits.add(hit("d" + i, i < 500 ? 0.1 : -3.0));
        }
        List<RankedHits.Hit> read = RankedHits.read(Map.of("hits", hits), 1000).hits();
        for (int i = 1; i < read.size(); i++) {
            assertTrue(read.get(i - 1).score() > read.get(i).score());
        }
    }

    @Test
    void anythingElseIsRefused() {
        refused(Map.of());
        refused(Map.of("hits", "x"));
        refused(Map.of("hits", List.of(1)));
        refused(Map.of("hits", List.of(Map.of("index", "i", "id", "a"))));
        refused(Map.of("hits", List.of(hit("a", Double.NaN))));
        refused(Map.of("hits", List.of(hit("a", 1e300))));
        refused(Map.of("hits", List.of(hit("a", 1), hit("b", 2))));
        refused(Map.of("hits", List.of(hit("a", 3), hit("b", 2), hit("c", 1))));
    }
}
