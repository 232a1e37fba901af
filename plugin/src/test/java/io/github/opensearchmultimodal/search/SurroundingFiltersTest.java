package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import org.apache.lucene.search.join.ScoreMode;
import org.junit.jupiter.api.Test;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.ConstantScoreQueryBuilder;
import org.opensearch.index.query.DisMaxQueryBuilder;
import org.opensearch.index.query.MatchQueryBuilder;
import org.opensearch.index.query.NestedQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.TermQueryBuilder;
import org.opensearch.index.query.WrapperQueryBuilder;
import org.opensearch.index.query.functionscore.FunctionScoreQueryBuilder;

class SurroundingFiltersTest {
    private static final QueryBuilder RED = new TermQueryBuilder("colour", "red");
    private static final QueryBuilder GREEN = new TermQueryBuilder("colour", "green");
    private static final QueryBuilder BLUE = new TermQueryBuilder("colour", "blue");

    private static MultimodalQueryBuilder clause() {
        return new MultimodalQueryBuilder(() -> null).text("words");
    }

    private static Optional<QueryBuilder> around(QueryBuilder root) {
        return SurroundingFilters.around(root, clause());
    }

    @Test
    void everyLevelDemands() {
        BoolQueryBuilder inner = new BoolQueryBuilder().must(clause()).filter(RED);
        BoolQueryBuilder outer = new BoolQueryBuilder().must(inner).must(GREEN).mustNot(BLUE).should(BLUE);
        assertEquals(Optional.of(new BoolQueryBuilder().filter(GREEN).mustNot(BLUE).filter(RED)), around(outer));
    }

    @Test
    void siblingsHoldForAnOptionalClauseToo() {
        BoolQueryBuilder query = new BoolQueryBuilder().should(clause()).should(BLUE).filter(RED);
        assertEquals(Optional.of(new BoolQueryBuilder().filter(RED)), around(new ConstantScoreQueryBuilder(query)));
    }

    @Test
    void otherBranchesDemandNothing() {
        BoolQueryBuilder other = new BoolQueryBuilder().filter(RED);
        assertTrue(around(new BoolQueryBuilder().should(other).should(clause())).isEmpty());
        assertTrue(around(clause()).isEmpty());
        assertTrue(around(null).isEmpty());
        assertTrue(around(new DisMaxQueryBuilder().add(clause())).isEmpty());
        assertTrue(around(new BoolQueryBuilder().mustNot(clause()).filter(RED)).isEmpty());
    }

    @Test
    void theServiceIsNotAskedToAskItself() {
        MultimodalQueryBuilder other = new MultimodalQueryBuilder(() -> null).text("other");
        BoolQueryBuilder hidden = new BoolQueryBuilder().should(other);
        QueryBuilder ranked = new ConstantScoreQueryBuilder(new RankedDocumentsQueryBuilder(List.of()));
        BoolQueryBuilder query = new BoolQueryBuilder().must(clause()).filter(hidden).filter(ranked).filter(RED);
        assertEquals(Optional.of(new BoolQueryBuilder().filter(RED)), around(query));
    }

    @Test
    void equalClausesEachHaveTheirOwnSurroundings() {
        MultimodalQueryBuilder one = clause();
        MultimodalQueryBuilder other = clause();
        QueryBuilder query = new BoolQueryBuilder().should(new BoolQueryBuilder().must(one).filter(RED))
            .should(new BoolQueryBuilder().must(other).filter(BLUE));
        assertEquals(Optional.of(new BoolQueryBuilder().filter(RED)), SurroundingFilters.around(query, one));
        assertEquals(Optional.of(new BoolQueryBuilder().filter(BLUE)), SurroundingFilters.around(query, other));
        assertTrue(SurroundingFilters.around(query, clause()).isEmpty());
    }

    @Test
    void fieldsMayHaveTheNamesOfQueries() {
        assertTrue(PlainFilter.isPlain(new BoolQueryBuilder().filter(new TermQueryBuilder("multimodal", "wrapper"))));
        assertTrue(PlainFilter.isPlain(new MatchQueryBuilder("wrapper", "words")));
        assertFalse(PlainFilter.isPlain(new NestedQueryBuilder("path", clause(), ScoreMode.Avg)));
        assertFalse(PlainFilter.isPlain(new BoolQueryBuilder().mustNot(new WrapperQueryBuilder("{}"))));
        assertFalse(PlainFilter.isPlain(new FunctionScoreQueryBuilder(clause())));
    }

    @Test
    void demandsAreAddedUp() {
        assertEquals(RED, SurroundingFilters.both(RED, null));
        assertEquals(RED, SurroundingFilters.both(null, RED));
        assertEquals(RED, SurroundingFilters.both(RED, new TermQueryBuilder("colour", "red")));
        assertEquals(new BoolQueryBuilder().filter(RED).filter(BLUE), SurroundingFilters.both(RED, BLUE));
    }
}
