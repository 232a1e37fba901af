package io.github.opensearchmultimodal.search;

import io.github.opensearchmultimodal.query.MessageVersion;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.apache.lucene.search.Query;
import org.apache.lucene.util.SetOnce;
import org.opensearch.ExceptionsHelper;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.action.IndicesRequest;
import org.opensearch.action.search.SearchContextId;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.logging.HeaderWarning;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.MatchAllQueryBuilder;
import org.opensearch.index.query.MatchQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryCoordinatorContext;
import org.opensearch.index.query.QueryRewriteContext;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.search.builder.SearchSourceBuilder;

/**
 * The query {@code multimodal}: rewritten on the coordinating node to the documents that the service ranks for a text, an
 * image, or both.
 */
public final class MultimodalQueryBuilder extends AbstractQueryBuilder<MultimodalQueryBuilder> {
    /** The query's name. */
    public static final String NAME = "multimodal";
    /** The most documents that may be asked for. */
    static final int MAX_K = 2_000;

    private static final int DEFAULT_K = 10;
    private static final int DEFAULT_SIZE = 10;

    private final Supplier<Ranker> ranker;
    private String text;
    private String image;
    private String profile;
    private Integer k;
    private QueryBuilder filter;
    private Map<String, Object> overrides = Map.of();
    private OnFailure onFailure = OnFailure.ERROR;
    /** What the clause becomes, once the service has answered; null before it is asked. */
    private Supplier<QueryBuilder> rewritten;

    MultimodalQueryBuilder(Supplier<Ranker> ranker) {
        this.ranker = ranker;
    }

    /** Reads the query from another node. */
    public MultimodalQueryBuilder(StreamInput in, Supplier<Ranker> ranker) throws IOException {
        super(in);
        MessageVersion.read(in, NAME);
        this.ranker = ranker;
        text = in.readOptionalString();
        image = in.readOptionalString();
        profile = in.readOptionalString();
        k = in.readOptionalVInt();
        filter = in.readOptionalNamedWriteable(QueryBuilder.class);
        overrides = in.readMap();
        onFailure = in.readEnum(OnFailure.class);
    }

    /** Reads the query from a request's body. */
    public static MultimodalQueryBuilder parse(XContentParser parser, Supplier<Ranker> ranker) throws IOException {
        MultimodalQueryBuilder query = new MultimodalQueryBuilder(ranker);
        String field = null;
        for (XContentParser.Token token = parser.nextToken(); token != XContentParser.Token.END_OBJECT; token = parser.nextToken()) {
            if (token == XContentParser.Token.FIELD_NAME) {
                field = parser.currentName();
            } else if (query.take(field, token, parser) == false) {
                throw new ParsingException(parser.getTokenLocation(), "[" + NAME + "] does not take [" + field + "] as " + token);
            }
        }
        try {
            query.check();
        } catch (IllegalArgumentException e) {
            throw new ParsingException(parser.getTokenLocation(), e.getMessage());
        }
        return query;
    }

    private boolean take(String field, XContentParser.Token token, XContentParser parser) throws IOException {
        if (token == XContentParser.Token.START_OBJECT) {
            switch (field) {
                case "filter" -> filter = parseInnerQueryBuilder(parser);
                case "overrides" -> overrides = parser.map();
                default -> {
                    return false;
                }
            }
            return true;
        }
        if (token.isValue() == false) {
            return false;
        }
        switch (field) {
            case "query_text" -> text = parser.text();
            case "query_image" -> image = parser.text();
            case "profile" -> profile = parser.text();
            case "k" -> k = parser.intValue();
            case "on_failure" -> onFailure = onFailure(parser);
            case "boost" -> boost(parser.floatValue());
            case "_name" -> queryName(parser.text());
            default -> {
                return false;
            }
        }
        return true;
    }

    private static OnFailure onFailure(XContentParser parser) throws IOException {
        try {
            return OnFailure.parse(parser.text());
        } catch (IllegalArgumentException e) {
            throw new ParsingException(parser.getTokenLocation(), "[" + NAME + "]: " + e.getMessage());
        }
    }

    private void check() {
        if ((text == null || text.isBlank()) && image == null) {
            throw new IllegalArgumentException("[" + NAME + "] needs [query_text] or [query_image]");
        }
        if (k != null && (k < 1 || k > MAX_K)) {
            throw new IllegalArgumentException("[" + NAME + "]: [k] must be from 1 to " + MAX_K + ", not " + k);
        }
        if (onFailure == OnFailure.BM25 && (text == null || text.isBlank())) {
            throw new IllegalArgumentException("[" + NAME + "]: [on_failure] bm25 needs [query_text]");
        }
        if (filter != null && PlainFilter.isPlain(filter) == false) {
            throw new IllegalArgumentException("[" + NAME + "]: [filter] takes no [multimodal] and no [wrapper] query");
        }
    }

    MultimodalQueryBuilder text(String value) {
        text = value;
        return this;
    }

    MultimodalQueryBuilder profile(String value) {
        profile = value;
        return this;
    }

    MultimodalQueryBuilder k(int value) {
        k = value;
        return this;
    }

    MultimodalQueryBuilder restrictedTo(QueryBuilder value) {
        filter = value;
        return this;
    }

    MultimodalQueryBuilder onFailure(OnFailure value) {
        onFailure = value;
        return this;
    }

    @Override
    protected QueryBuilder doRewrite(QueryRewriteContext context) {
        if (context.validate()) {
            return new MatchAllQueryBuilder();
        }
        if (rewritten != null) {
            QueryBuilder answer = rewritten.get();
            return answer == null ? this : answer;
        }
        QueryCoordinatorContext search = context.convertToCoordinatorContext();
        if (search == null) {
            return this;
        }
        SearchSourceBuilder source = search.getSearchRequest() instanceof SearchRequest request ? request.source() : null;
        ranker.get().checkImage(image);
        RankQuestion question = question(search, source);
        boolean highlighted = source != null && source.highlighter() != null;
        SetOnce<QueryBuilder> answer = new SetOnce<>();
        search.registerAsyncAction((client, listener) -> ask(search, question, highlighted, answer, listener));
        return waitingFor(answer::get);
    }

    private void ask(
        QueryCoordinatorContext search,
        RankQuestion question,
        boolean highlighted,
        SetOnce<QueryBuilder> answer,
        ActionListener<?> listener
    ) {
        ranker.get().rank(search, question, ActionListener.wrap(hits -> {
            if (hits.degraded() != null) {
                warn("the multimodal service answered with less than its profile: " + hits.degraded().replaceAll("[^a-z0-9_]", ""));
            }
            answer.set(withHighlights(new RankedDocumentsQueryBuilder(hits.hits()), highlighted));
            listener.onResponse(null);
        }, failure -> {
            if (onFailure == OnFailure.BM25 && isOutage(failure)) {
                warn("the multimodal service did not answer; documents are ranked by BM25");
                answer.set(bm25());
                listener.onResponse(null);
            } else {
                listener.onFailure(failure);
            }
        }));
    }

    private static boolean isOutage(Exception failure) {
        RestStatus status = ExceptionsHelper.status(failure);
        return failure instanceof OpenSearchStatusException && status.getStatus() >= 500 || status == RestStatus.TOO_MANY_REQUESTS;
    }

    private static void warn(String message) {
        HeaderWarning.addWarning(message);
    }

    private RankQuestion question(QueryCoordinatorContext search, SearchSourceBuilder source) {
        IndicesRequest request = search.getSearchRequest();
        List<String> indices = indices(search, request, source);
        QueryBuilder around = source == null ? null : SurroundingFilters.around(source.query(), this).orElse(null);
        String preference = request instanceof SearchRequest searched ? searched.preference() : null;
        QueryBuilder both = SurroundingFilters.both(filter, around);
        return new RankQuestion(indices, text, image, profile, depth(source), both, overrides, preference, onFailure);
    }

    private static List<String> indices(QueryCoordinatorContext search, IndicesRequest request, SearchSourceBuilder source) {
        String[] named = request.indices();
        if (source != null && source.pointInTimeBuilder() != null) {
            String id = source.pointInTimeBuilder().getId();
            named = SearchContextId.decode(search.getWriteableRegistry(), id).getActualIndices();
        }
        if (Arrays.stream(named).anyMatch(name -> name.indexOf(':') >= 0)) {
            throw new IllegalArgumentException("[" + NAME + "] does not search other clusters");
        }
        return named.length == 0 ? List.of("_all") : Arrays.stream(named).sorted().toList();
    }

    /** Returns how many documents are asked for: what the page needs, unless the query says. */
    private int depth(SearchSourceBuilder source) {
        int page = source == null ? 0 : Math.max(source.from(), 0) + (source.size() < 0 ? DEFAULT_SIZE : source.size());
        if (page > MAX_K) {
            throw new IllegalArgumentException(
                "from + size = " + page + " is more than the " + MAX_K + " documents that [" + NAME + "] can rank"
            );
        }
        if (k == null) {
            return Math.max(DEFAULT_K, page);
        }
        if (page > k && (source.from() > 0 || source.size() >= 0)) {
            throw new IllegalArgumentException(
                "from + size = " + page + " is more than k = " + k + " of [" + NAME + "]: raise [k], or ask for less"
            );
        }
        return k;
    }

    private QueryBuilder withHighlights(QueryBuilder ranked, boolean highlighted) {
        if (highlighted == false || text == null) {
            return ranked;
        }
        // Scores nothing; there for the highlighter to know the words.
        BoolQueryBuilder bool = new BoolQueryBuilder().must(ranked);
        List.of(OnFailure.TEXT_FIELD, "title").forEach(field -> bool.should(new MatchQueryBuilder(field, text).boost(0)));
        return bool;
    }

    private QueryBuilder bm25() {
        QueryBuilder match = new MatchQueryBuilder(OnFailure.TEXT_FIELD, text);
        return filter == null ? match : new BoolQueryBuilder().must(match).filter(filter);
    }

    private MultimodalQueryBuilder waitingFor(Supplier<QueryBuilder> answer) {
        MultimodalQueryBuilder waiting = new MultimodalQueryBuilder(ranker);
        waiting.text = text;
        waiting.image = image;
        waiting.profile = profile;
        waiting.k = k;
        waiting.filter = filter;
        waiting.overrides = overrides;
        waiting.onFailure = onFailure;
        waiting.rewritten = answer;
        return waiting.boost(boost).queryName(queryName);
    }

    @Override
    protected Query doToQuery(QueryShardContext context) {
        throw new IllegalArgumentException(
            "[" + NAME + "] works in searches only: not in filters of aliases, stored queries, or anywhere that is no search"
        );
    }

    @Override
    protected void doWriteTo(StreamOutput out) throws IOException {
        if (rewritten != null) {
            throw new IllegalStateException("[" + NAME + "] is being rewritten");
        }
        MessageVersion.write(out);
        out.writeOptionalString(text);
        out.writeOptionalString(image);
        out.writeOptionalString(profile);
        out.writeOptionalVInt(k);
        out.writeOptionalNamedWriteable(filter);
        out.writeMap(overrides);
        out.writeEnum(onFailure);
    }

    @Override
    protected void doXContent(XContentBuilder builder, Params params) throws IOException {
        builder.startObject(NAME);
        if (text != null) {
            builder.field("query_text", text);
        }
        if (image != null) {
            builder.field("query_image", image);
        }
        if (profile != null) {
            builder.field("profile", profile);
        }
        if (k != null) {
            builder.field("k", k);
        }
        if (filter != null) {
            builder.field("filter", filter);
        }
        if (overrides.isEmpty() == false) {
            builder.field("overrides", overrides);
        }
        builder.field("on_failure", onFailure.written());
        printBoostAndQueryName(builder);
        builder.endObject();
    }

    @Override
    protected boolean doEquals(MultimodalQueryBuilder other) {
        return Objects.equals(text, other.text)
            && Objects.equals(image, other.image)
            && Objects.equals(profile, other.profile)
            && Objects.equals(k, other.k)
            && Objects.equals(filter, other.filter)
            && Objects.equals(overrides, other.overrides)
            && onFailure == other.onFailure
            && rewritten == other.rewritten;
    }

    @Override
    protected int doHashCode() {
        return Objects.hash(text, image, profile, k, filter, overrides, onFailure);
    }

    @Override
    public String getWriteableName() {
        return NAME;
    }
}
