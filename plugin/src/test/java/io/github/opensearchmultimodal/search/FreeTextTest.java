package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.index.query.MatchQueryBuilder;
import org.opensearch.index.query.MultiMatchQueryBuilder;
import org.opensearch.index.query.Operator;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryStringQueryBuilder;
import org.opensearch.index.query.SimpleQueryStringBuilder;

class FreeTextTest {
    private static Optional<String> of(QueryBuilder query) {
        return FreeText.of(query, Set.of("text"));
    }

    @ParameterizedTest
    @ValueSource(
        strings = {
            "budget",
            "what is the budget?",
            "state-of-the-art models",
            "O'Neill & sons, 2024",
            "Größe in %",
            "and or not",
            "price 5 € a.b" }
    )
    void wordsAreWords(String words) {
        assertEquals(Optional.of(words), of(new QueryStringQueryBuilder(words)));
        assertEquals(Optional.of(words), of(new SimpleQueryStringBuilder(words)));
    }

    @ParameterizedTest
    @ValueSource(
        strings = {
            "a AND b",
            "a OR b",
            "NOT a",
            "a && b",
            "a || b",
            "a | b",
            "+a b",
            "a -b",
            "!a",
            "bud*",
            "b?d get",
            "field:value",
            "\"a phrase\"",
            "roam~",
            "a^2",
            "(a b)",
            "[1 TO 5]",
            "{1 TO 5}",
            "/reg.x/",
            "a\\:b",
            ">5",
            "*" }
    )
    void operatorsAreNotWords(String text) {
        assertEquals(Optional.empty(), of(new QueryStringQueryBuilder(text)));
        assertEquals(Optional.empty(), of(new SimpleQueryStringBuilder(text)));
    }

    @Test
    void whatNeedsNoSyntaxMayHoldAnything() {
        assertEquals(Optional.of("a AND b?"), of(new MultiMatchQueryBuilder("a AND b?").lenient(true)));
        assertEquals(Optional.of("a AND b?"), of(new MultiMatchQueryBuilder("a AND b?")));
        assertEquals(Optional.of("a AND b?"), of(new MatchQueryBuilder("text", "a AND b?")));
    }

    @Test
    void blankIsNoText() {
        assertEquals(Optional.empty(), of(new MultiMatchQueryBuilder(" ")));
        assertEquals(Optional.empty(), of(new MatchQueryBuilder("text", "")));
    }

    @Test
    void optionsOfDashboardsAreTaken() {
        QueryStringQueryBuilder string = new QueryStringQueryBuilder("a").analyzeWildcard(true).timeZone("Europe/Berlin");
        assertEquals(Optional.of("a"), of(string));
        assertEquals(Optional.of("a"), of(new QueryStringQueryBuilder("a").defaultField("*")));
    }

    @Test
    void otherOptionsAskForSomethingInParticular() {
        for (QueryBuilder query : new QueryBuilder[] {
            new QueryStringQueryBuilder("a").defaultField("title"),
            new QueryStringQueryBuilder("a").field("title"),
            new QueryStringQueryBuilder("a b").defaultOperator(Operator.AND),
            new QueryStringQueryBuilder("a").queryName("mine"),
            new SimpleQueryStringBuilder("a").field("title"),
            new SimpleQueryStringBuilder("a").boost(2),
            new MultiMatchQueryBuilder("a", "title"),
            new MultiMatchQueryBuilder("a").type(MultiMatchQueryBuilder.Type.PHRASE),
            new MultiMatchQueryBuilder("a").minimumShouldMatch("2"),
            new MatchQueryBuilder("title", "a"),
            new MatchQueryBuilder("text", 5),
            new MatchQueryBuilder("text", "a").fuzziness("AUTO"),
            new MatchQueryBuilder("text", "a").operator(Operator.AND) }) {
            assertEquals(Optional.empty(), of(query), query.toString());
        }
    }
}
