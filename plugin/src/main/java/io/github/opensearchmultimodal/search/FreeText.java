package io.github.opensearchmultimodal.search;

import java.util.Arrays;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.opensearch.index.query.MatchQueryBuilder;
import org.opensearch.index.query.MultiMatchQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryStringQueryBuilder;
import org.opensearch.index.query.SimpleQueryStringBuilder;

/**
 * Tells whether a query is nothing but words that somebody typed.
 *
 * <p>A query with any option that Dashboards does not set asks for something in particular and is none: each is compared with
 * one made of the words alone.
 */
final class FreeText {
    private static final Pattern OPERATORS = Pattern.compile("[\"*~^:/\\\\(){}\\[\\]<>=|]|&&|(^|\\s)[+!-]|[?](?!\\s*$)");
    private static final Set<String> OPERATOR_WORDS = Set.of("AND", "OR", "NOT");

    private FreeText() {}

    /**
     * Returns the words, or nothing.
     *
     * @param fields the text fields whose {@code match} queries count
     */
    static Optional<String> of(QueryBuilder query, Set<String> fields) {
        return words(query, fields).filter(words -> words.isBlank() == false);
    }

    private static Optional<String> words(QueryBuilder query, Set<String> fields) {
        if (query instanceof MultiMatchQueryBuilder match && match.value() instanceof String words) {
            boolean plain = match.equals(new MultiMatchQueryBuilder(words));
            return keep(words, plain || match.equals(new MultiMatchQueryBuilder(words).lenient(true)));
        }
        if (query instanceof MatchQueryBuilder match && match.value() instanceof String words) {
            boolean ours = fields.contains(match.fieldName());
            return keep(words, ours && match.equals(new MatchQueryBuilder(match.fieldName(), words)));
        }
        if (query instanceof QueryStringQueryBuilder string) {
            return keep(string.queryString(), string.equals(plain(string)) && hasNoOperator(string.queryString()));
        }
        if (query instanceof SimpleQueryStringBuilder string) {
            return keep(string.value(), string.equals(plain(string)) && hasNoOperator(string.value()));
        }
        return Optional.empty();
    }

    private static Optional<String> keep(String words, boolean plain) {
        return plain ? Optional.of(words) : Optional.empty();
    }

    /** The same words with the options of Dashboards' setting query:queryString:options, and those that change no result. */
    private static QueryStringQueryBuilder plain(QueryStringQueryBuilder string) {
        QueryStringQueryBuilder plain = new QueryStringQueryBuilder(string.queryString()).analyzeWildcard(string.analyzeWildcard())
            .lenient(string.lenient());
        if (string.timeZone() != null) {
            plain.timeZone(string.timeZone());
        }
        return "*".equals(string.defaultField()) ? plain.defaultField("*") : plain;
    }

    private static SimpleQueryStringBuilder plain(SimpleQueryStringBuilder string) {
        return new SimpleQueryStringBuilder(string.value()).analyzeWildcard(string.analyzeWildcard());
    }

    /** Whether Lucene's syntax would read nothing but words; a question mark at the very end is taken as one. */
    static boolean hasNoOperator(String text) {
        boolean words = Arrays.stream(text.trim().split("\\s+")).noneMatch(OPERATOR_WORDS::contains);
        return words && OPERATORS.matcher(text).find() == false;
    }
}
