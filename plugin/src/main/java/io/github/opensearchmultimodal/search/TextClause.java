package io.github.opensearchmultimodal.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.MatchAllQueryBuilder;
import org.opensearch.index.query.QueryBuilder;

/**
 * The one clause of free text in a query, and how to put another in its place.
 *
 * <p>Only what every match must satisfy is looked at: {@code must} and {@code filter}, through any depth of bool queries.
 */
final class TextClause {
    private final QueryBuilder root;
    private final QueryBuilder clause;
    private final String words;

    private TextClause(QueryBuilder root, QueryBuilder clause, String words) {
        this.root = root;
        this.clause = clause;
        this.words = words;
    }

    /** Returns the clause; nothing where there is none, or more than one. */
    static Optional<TextClause> find(QueryBuilder root, Set<String> fields) {
        List<TextClause> found = new ArrayList<>();
        collect(root, root, fields, found);
        return found.size() == 1 ? Optional.of(found.get(0)) : Optional.empty();
    }

    private static void collect(QueryBuilder root, QueryBuilder at, Set<String> fields, List<TextClause> found) {
        FreeText.of(at, fields).ifPresent(words -> found.add(new TextClause(root, at, words)));
        if (at instanceof BoolQueryBuilder bool) {
            bool.must().forEach(child -> collect(root, child, fields, found));
            bool.filter().forEach(child -> collect(root, child, fields, found));
        }
    }

    /** The words that were typed. */
    String words() {
        return words;
    }

    /**
     * Returns the query with a scoring clause instead of the text, at the top.
     *
     * @param replacement makes that clause, from what else every match must satisfy (null for nothing)
     */
    QueryBuilder replaced(Function<QueryBuilder, QueryBuilder> replacement) {
        if (root == clause) {
            return replacement.apply(null);
        }
        BoolQueryBuilder rest = without((BoolQueryBuilder) root, true);
        BoolQueryBuilder demands = new BoolQueryBuilder();
        rest.must().forEach(demands::filter);
        rest.filter().forEach(demands::filter);
        rest.mustNot().forEach(demands::mustNot);
        return rest.must(replacement.apply(demands.hasClauses() ? demands : null));
    }

    private BoolQueryBuilder without(BoolQueryBuilder bool, boolean top) {
        BoolQueryBuilder copy = new BoolQueryBuilder();
        bool.must().stream().filter(child -> child != clause).forEach(child -> copy.must(inner(child)));
        bool.filter().stream().filter(child -> child != clause).forEach(child -> copy.filter(inner(child)));
        bool.should().forEach(copy::should);
        bool.mustNot().forEach(copy::mustNot);
        boolean held = bool.must().contains(clause) || bool.filter().contains(clause);
        if (top == false && held) {
            copy.filter(new MatchAllQueryBuilder()); // or its optional clauses would become required
        }
        copy.minimumShouldMatch(bool.minimumShouldMatch()).adjustPureNegative(bool.adjustPureNegative());
        return copy.boost(bool.boost()).queryName(bool.queryName());
    }

    private QueryBuilder inner(QueryBuilder child) {
        return child instanceof BoolQueryBuilder bool && find(bool) ? without(bool, false) : child;
    }

    private boolean find(QueryBuilder at) {
        if (at == clause) {
            return true;
        }
        return at instanceof BoolQueryBuilder bool
            && (bool.must().stream().anyMatch(this::find) || bool.filter().stream().anyMatch(this::find));
    }
}
