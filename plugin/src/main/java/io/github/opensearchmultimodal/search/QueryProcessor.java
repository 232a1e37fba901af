package io.github.opensearchmultimodal.search;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;
import static org.opensearch.ingest.ConfigurationUtils.readBooleanProperty;
import static org.opensearch.ingest.ConfigurationUtils.readIntProperty;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalList;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalStringProperty;
import static org.opensearch.ingest.ConfigurationUtils.readStringProperty;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiPredicate;
import java.util.function.Supplier;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.search.pipeline.AbstractProcessor;
import org.opensearch.search.pipeline.Processor;
import org.opensearch.search.pipeline.SearchRequestProcessor;
import org.opensearch.search.sort.FieldSortBuilder;
import org.opensearch.search.sort.ScoreSortBuilder;
import org.opensearch.search.sort.SortOrder;

/**
 * The search request processor {@code multimodal_query}: makes a {@code multimodal} clause of the words in a search bar.
 *
 * <p>As an index's default pipeline it also sees what is no search for the best documents: counts, scrolls, and with them
 * everything "by query"; points in time and other orders, by which all matches are read. Those, and whatever it does not
 * understand, pass unchanged.
 */
public final class QueryProcessor extends AbstractProcessor implements SearchRequestProcessor {
    /** The processor's name in a pipeline. */
    public static final String TYPE = "multimodal_query";

    private static final int DEFAULT_K = 50;
    private static final int DEFAULT_SIZE = 10;

    /**
     * What a pipeline says of one processor.
     *
     * @param profile the index's search profile; null for its default
     * @param k how many documents are ranked at least
     * @param onFailure what a search gets when the service does not answer
     * @param fields the text fields whose match queries count as free text
     * @param byScore whether a descending date sort comes second after the score
     */
    record Config(String profile, int k, OnFailure onFailure, Set<String> fields, boolean byScore) {
        static Config read(String tag, Map<String, Object> config) {
            int k = readIntProperty(TYPE, tag, config, "k", DEFAULT_K);
            if (k < 1 || k > MultimodalQueryBuilder.MAX_K) {
                throw newConfigurationException(TYPE, tag, "k", "must be from 1 to " + MultimodalQueryBuilder.MAX_K);
            }
            List<?> fields = readOptionalList(TYPE, tag, config, "fields");
            if (fields != null && fields.stream().anyMatch(field -> field instanceof String == false)) {
                throw newConfigurationException(TYPE, tag, "fields", "must be a list of names of text fields");
            }
            return new Config(
                readOptionalStringProperty(TYPE, tag, config, "profile"),
                k,
                onFailure(tag, readStringProperty(TYPE, tag, config, "on_failure", "error")),
                fields == null
                    ? Set.of(OnFailure.TEXT_FIELD)
                    : Set.copyOf(fields.stream().map(String.class::cast).toList()),
                readBooleanProperty(TYPE, tag, config, "sort_by_score", true)
            );
        }

        private static OnFailure onFailure(String tag, String value) {
            try {
                return OnFailure.parse(value);
            } catch (IllegalArgumentException e) {
                throw newConfigurationException(TYPE, tag, "on_failure", "must be error or bm25");
            }
        }
    }

    private final Config config;
    private final Supplier<Ranker> ranker;
    private final BiPredicate<SearchRequest, String> isDate;

    QueryProcessor(
        String tag,
        String description,
        boolean ignoreFailure,
        Config config,
        Supplier<Ranker> ranker,
        BiPredicate<SearchRequest, String> isDate
    ) {
        super(tag, description, ignoreFailure);
        this.config = config;
        this.ranker = ranker;
        this.isDate = isDate;
    }

    @Override
    public String getType() {
        return TYPE;
    }

    @Override
    public SearchRequest processRequest(SearchRequest request) {
        SearchSourceBuilder source = request.source();
        if (ranksDocuments(request, source) == false) {
            return request;
        }
        Optional<TextClause> text = TextClause.find(source.query(), config.fields());
        boolean byDate = sortsByDate(request, source);
        boolean byScore = config.byScore() && byDate;
        if (text.isEmpty() || byDate == false && wantsTheBest(source) == false || byScore && continuesOtherSort(source)) {
            return request;
        }
        SearchSourceBuilder changed = source.shallowCopy();
        changed.query(text.get().replaced(filter -> {
            MultimodalQueryBuilder clause = new MultimodalQueryBuilder(ranker).text(text.get().words());
            return clause.profile(config.profile())
                .k(Math.max(config.k(), page(source)))
                .restrictedTo(PlainFilter.orNull(filter))
                .onFailure(config.onFailure());
        }));
        if (byScore) {
            changed.sorts().add(0, new ScoreSortBuilder());
            changed.trackScores(true);
        }
        return request.source(changed);
    }

    /** Whether the request asks for the best documents, in a way that this processor knows. */
    private static boolean ranksDocuments(SearchRequest request, SearchSourceBuilder source) {
        if (request.scroll() != null || source == null || source.query() == null) {
            return false;
        }
        for (String index : request.indices()) {
            if (index.indexOf(':') >= 0) {
                return false;
            }
        }
        boolean plain = source.slice() == null
            && source.pointInTimeBuilder() == null
            && source.minScore() == null
            && (source.rescores() == null || source.rescores().isEmpty());
        return plain && source.size() != 0 && page(source) <= MultimodalQueryBuilder.MAX_K;
    }

    /** Whether the best documents come first: in the order of their scores, or in none that the request names. */
    private static boolean wantsTheBest(SearchSourceBuilder source) {
        return source.sorts() == null
            || source.sorts().isEmpty()
            || source.sorts().get(0) instanceof ScoreSortBuilder first && first.order() == SortOrder.DESC;
    }

    private static int page(SearchSourceBuilder source) {
        return Math.max(source.from(), 0) + (source.size() < 0 ? DEFAULT_SIZE : source.size());
    }

    /** Whether the newest come first, and nothing else orders them: with a tie-breaker somebody means to page through all. */
    private boolean sortsByDate(SearchRequest request, SearchSourceBuilder source) {
        return source.sorts() != null
            && source.sorts().size() == 1
            && source.sorts().get(0) instanceof FieldSortBuilder first
            && first.order() == SortOrder.DESC
            && isDate.test(request, first.getFieldName());
    }

    /** Whether the page follows one that was sorted without the score. */
    private static boolean continuesOtherSort(SearchSourceBuilder source) {
        return source.searchAfter() != null && source.searchAfter().length != source.sorts().size() + 1;
    }

    /** Makes processors from pipelines. */
    public static final class Factory implements Processor.Factory<SearchRequestProcessor> {
        private final Supplier<Ranker> ranker;
        private final BiPredicate<SearchRequest, String> isDate;

        /**
         * Prepares a factory.
         *
         * @param ranker asks the service
         * @param isDate tells whether a field of the searched indices is a date
         */
        public Factory(Supplier<Ranker> ranker, BiPredicate<SearchRequest, String> isDate) {
            this.ranker = ranker;
            this.isDate = isDate;
        }

        @Override
        public SearchRequestProcessor create(
            Map<String, Processor.Factory<SearchRequestProcessor>> factories,
            String tag,
            String description,
            boolean ignoreFailure,
            Map<String, Object> config,
            PipelineContext context
        ) {
            return new QueryProcessor(tag, description, ignoreFailure, Config.read(tag, config), ranker, isDate);
        }
    }
}
