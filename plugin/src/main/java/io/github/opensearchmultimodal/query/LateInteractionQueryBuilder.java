package io.github.opensearchmultimodal.query;

import io.github.opensearchmultimodal.mapper.MultiVectorFieldMapper;
import io.github.opensearchmultimodal.mapper.MultiVectorFieldType;
import io.github.opensearchmultimodal.vectors.InvalidVectors;
import java.io.IOException;
import java.util.Map;
import java.util.Objects;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.opensearch.core.ParseField;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.ObjectParser;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.mapper.MappedFieldType;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.InnerHitContextBuilder;
import org.opensearch.index.query.MatchNoneQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryBuilderVisitor;
import org.opensearch.index.query.QueryRewriteContext;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.index.query.QueryShardException;

/**
 * The query {@code late_interaction}: scores the matches of an inner query, or every document with the field, by MaxSim.
 *
 * <pre>{"late_interaction": {"field": name, "query_vectors": base64 or [[…], …], "query": {…}, "boost": 1, "_name": …}}</pre>
 *
 * <p>A document without the field does not match. As a {@code rescore_query} that leaves it its first score. Like other
 * queries, this one matches nothing where the field is not mapped; a field of another type or dimension is an error.
 */
public final class LateInteractionQueryBuilder extends AbstractQueryBuilder<LateInteractionQueryBuilder> {
    /** The name of the query. */
    public static final String NAME = "late_interaction";

    private static final ParseField FIELD = new ParseField("field");
    private static final ParseField QUERY_VECTORS = new ParseField("query_vectors");
    private static final ParseField QUERY = new ParseField("query");
    private static final ObjectParser<Parts, Void> PARSER = new ObjectParser<>(NAME, Parts::new);

    static {
        PARSER.declareString((parts, field) -> parts.field = field, FIELD);
        PARSER.declareField((parser, parts, none) -> parts.vectors = QueryVectors.parse(parser), QUERY_VECTORS,
            ObjectParser.ValueType.VALUE_ARRAY);
        PARSER.declareObject((parts, query) -> parts.query = query, (parser, none) -> parseInnerQueryBuilder(parser), QUERY);
        PARSER.declareFloat((parts, boost) -> parts.boost = boost, BOOST_FIELD);
        PARSER.declareString((parts, name) -> parts.name = name, NAME_FIELD);
    }

    private final String field;
    private final QueryVectors vectors;
    private final QueryBuilder query;

    /** What is parsed. */
    private static final class Parts {
        private String field;
        private QueryVectors vectors;
        private QueryBuilder query;
        private float boost = DEFAULT_BOOST;
        private String name;
    }

    /**
     * Creates a query.
     *
     * @param field a field of type {@code multi_vector}
     * @param query whose matches are scored, or null: all documents with the field
     */
    public LateInteractionQueryBuilder(String field, QueryVectors vectors, QueryBuilder query) {
        this.field = Objects.requireNonNull(field);
        this.vectors = Objects.requireNonNull(vectors);
        this.query = query;
    }

    /** Reads a query that another node sent. */
    public LateInteractionQueryBuilder(StreamInput in) throws IOException {
        super(in);
        MessageVersion.read(in, NAME);
        field = in.readString();
        vectors = new QueryVectors(in);
        query = in.readOptionalNamedWriteable(QueryBuilder.class);
    }

    /** Reads a query from a request. */
    public static LateInteractionQueryBuilder fromXContent(XContentParser parser) throws IOException {
        Parts parts;
        try {
            parts = PARSER.parse(parser, null);
        } catch (InvalidVectors e) {
            throw new ParsingException(parser.getTokenLocation(), refusal(e));
        } catch (RuntimeException e) {
            if (e.getCause() instanceof InvalidVectors invalid) {
                throw new ParsingException(parser.getTokenLocation(), refusal(invalid));
            }
            throw e;
        }
        if (parts.field == null || parts.vectors == null) {
            throw new ParsingException(parser.getTokenLocation(), "[" + NAME + "] requires [field] and [query_vectors]");
        }
        return new LateInteractionQueryBuilder(parts.field, parts.vectors, parts.query).boost(parts.boost)
            .queryName(parts.name);
    }

    private static String refusal(InvalidVectors e) {
        return "[" + NAME + "] [query_vectors]: " + e.getMessage();
    }

    @Override
    protected void doWriteTo(StreamOutput out) throws IOException {
        MessageVersion.write(out);
        out.writeString(field);
        vectors.writeTo(out);
        out.writeOptionalNamedWriteable(query);
    }

    @Override
    protected void doXContent(XContentBuilder builder, Params params) throws IOException {
        builder.startObject(NAME);
        builder.field(FIELD.getPreferredName(), field);
        builder.field(QUERY_VECTORS.getPreferredName(), vectors.base64());
        if (query != null) {
            builder.field(QUERY.getPreferredName(), query);
        }
        printBoostAndQueryName(builder);
        builder.endObject();
    }

    @Override
    protected QueryBuilder doRewrite(QueryRewriteContext context) throws IOException {
        if (query == null) {
            return this;
        }
        QueryBuilder rewritten = query.rewrite(context);
        if (rewritten instanceof MatchNoneQueryBuilder) {
            return rewritten;
        }
        return rewritten == query ? this : new LateInteractionQueryBuilder(field, vectors, rewritten);
    }

    @Override
    protected Query doToQuery(QueryShardContext context) throws IOException {
        MappedFieldType type = context.fieldMapper(field);
        if (type == null) {
            return new MatchNoDocsQuery("unmapped field [" + field + "]");
        }
        if (!(type instanceof MultiVectorFieldType vectorType)) {
            throw new QueryShardException(
                context, "[" + NAME + "] needs a field of type [" + MultiVectorFieldMapper.CONTENT_TYPE + "], but [" + field
                    + "] is of type [" + type.typeName() + "]"
            );
        }
        if (vectorType.dimension() != vectors.dimension()) {
            throw new QueryShardException(
                context, "[" + NAME + "] [query_vectors] have dimension " + vectors.dimension() + ", but field [" + field
                    + "] has " + vectorType.dimension()
            );
        }
        Query inner = query == null ? vectorType.existsQuery(context) : query.toQuery(context);
        return new LateInteractionQuery(type.name(), vectors, inner);
    }

    @Override
    protected void extractInnerHitBuilders(Map<String, InnerHitContextBuilder> innerHits) {
        if (query != null) {
            InnerHitContextBuilder.extractInnerHits(query, innerHits);
        }
    }

    @Override
    public void visit(QueryBuilderVisitor visitor) {
        visitor.accept(this);
        if (query != null) {
            query.visit(visitor.getChildVisitor(BooleanClause.Occur.MUST));
        }
    }

    @Override
    protected boolean doEquals(LateInteractionQueryBuilder other) {
        return field.equals(other.field) && vectors.equals(other.vectors) && Objects.equals(query, other.query);
    }

    @Override
    protected int doHashCode() {
        return Objects.hash(field, vectors, query);
    }

    @Override
    public String getWriteableName() {
        return NAME;
    }
}
