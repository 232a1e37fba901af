package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.ExistsQueryBuilder;
import org.opensearch.index.query.MatchAllQueryBuilder;
import org.opensearch.index.query.MultiMatchQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.TermQueryBuilder;
import org.opensearch.index.query.WrapperQueryBuilder;

class TextClauseTest {
    private static final QueryBuilder TEXT = new MultiMatchQueryBuilder("words").lenient(true);
    private static final QueryBuilder GREEN = new TermQueryBuilder("colour", "green");
    private static final QueryBuilder BLUE = new TermQueryBuilder("colour", "blue");
    private static final QueryBuilder NEW = new ExistsQueryBuilder("replacement");

    private QueryBuilder demands;

    private static Optional<TextClause> find(QueryBuilder query) {
        return TextClause.find(query, Set.of("text"));
    }

    private QueryBuilder replaced(QueryBuilder query) {
        return find(query).orElseThrow().replaced(filter -> {
            demands = filter;
            return NEW;
        });
    }

    @Test
    void theClauseAloneIsReplaced() {
        assertEquals(NEW, replaced(TEXT));
        assertNull(demands);
    }

    @Test
    void fromFilterItMovesToMust() {
        BoolQueryBuilder query = new BoolQueryBuilder().filter(TEXT).filter(GREEN).mustNot(BLUE).queryName("mine").boost(2);
        BoolQueryBuilder expected = new BoolQueryBuilder().must(NEW).filter(GREEN).mustNot(BLUE).queryName("mine").boost(2);
        BoolQueryBuilder before = new BoolQueryBuilder().filter(TEXT).filter(GREEN).mustNot(BLUE).queryName("mine").boost(2);
        assertEquals(expected, replaced(query));
        assertEquals(new BoolQueryBuilder().filter(GREEN).mustNot(BLUE), demands);
        assertEquals(before, query, "the query that came in is left as it was");
    }

    @Test
    void optionalClausesBesideItStayOptional() {
        BoolQueryBuilder deep = new BoolQueryBuilder().filter(TEXT).should(BLUE);
        BoolQueryBuilder rest = new BoolQueryBuilder().filter(new MatchAllQueryBuilder()).should(BLUE);
        BoolQueryBuilder query = new BoolQueryBuilder().filter(deep).filter(GREEN);
        assertEquals(new BoolQueryBuilder().must(NEW).filter(rest).filter(GREEN), replaced(query));
    }

    @Test
    void whatMustBeStaysAsItWas() {
        BoolQueryBuilder query = new BoolQueryBuilder().must(TEXT).must(GREEN).should(BLUE).minimumShouldMatch(1);
        assertEquals(new BoolQueryBuilder().must(GREEN).must(NEW).should(BLUE).minimumShouldMatch(1), replaced(query));
    }

    @Test
    void otherPlacesAreNotLookedAt() {
        assertTrue(find(new BoolQueryBuilder().should(TEXT)).isEmpty());
        assertTrue(find(new BoolQueryBuilder().mustNot(TEXT)).isEmpty());
        assertTrue(find(new BoolQueryBuilder().filter(new BoolQueryBuilder().should(TEXT))).isEmpty());
        assertTrue(find(new WrapperQueryBuilder("{\"match\":{\"text\":\"a\"}}")).isEmpty());
        assertTrue(find(GREEN).isEmpty());
    }

    @Test
    void twoTextsAreOneTooMany() {
        assertTrue(find(new BoolQueryBuilder().must(TEXT).filter(new MultiMatchQueryBuilder("more"))).isEmpty());
        assertTrue(find(new BoolQueryBuilder().must(TEXT).filter(TEXT)).isEmpty());
    }
}
