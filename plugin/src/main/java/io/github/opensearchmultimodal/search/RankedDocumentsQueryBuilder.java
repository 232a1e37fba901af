package io.github.opensearchmultimodal.search;

import io.github.opensearchmultimodal.query.MessageVersion;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.util.BytesRef;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.mapper.Uid;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.QueryShardContext;

/**
 * What a {@code multimodal} query becomes: documents with given scores. It travels between nodes and cannot be written by a
 * caller.
 */
public final class RankedDocumentsQueryBuilder extends AbstractQueryBuilder<RankedDocumentsQueryBuilder> {
    /** The query's name between nodes. */
    public static final String NAME = "multimodal_ranked_documents";

    private final List<RankedHits.Hit> hits;

    RankedDocumentsQueryBuilder(List<RankedHits.Hit> hits) {
        this.hits = hits;
    }

    /** Reads the query from another node. */
    public RankedDocumentsQueryBuilder(StreamInput in) throws IOException {
        super(in);
        MessageVersion.read(in, NAME);
        hits = in.readList(RankedHits.Hit::new);
    }

    /** Refuses the query in a request's body. */
    public static RankedDocumentsQueryBuilder parse(XContentParser parser) {
        throw new ParsingException(parser.getTokenLocation(), "[" + NAME + "] cannot be asked for; use [multimodal]");
    }

    @Override
    protected Query doToQuery(QueryShardContext context) {
        String index = context.getFullyQualifiedIndex().getName();
        Map<BytesRef, Float> scores = new HashMap<>();
        for (RankedHits.Hit hit : hits) {
            if (hit.index().equals(index)) {
                scores.put(Uid.encodeId(hit.id()), hit.score());
            }
        }
        return scores.isEmpty() ? new MatchNoDocsQuery("no ranked document in this index") : new RankedDocumentsQuery(scores);
    }

    @Override
    protected void doWriteTo(StreamOutput out) throws IOException {
        MessageVersion.write(out);
        out.writeList(hits);
    }

    @Override
    protected void doXContent(XContentBuilder builder, Params params) throws IOException {
        builder.startObject(NAME).field("documents", hits.size());
        printBoostAndQueryName(builder);
        builder.endObject();
    }

    @Override
    protected boolean doEquals(RankedDocumentsQueryBuilder other) {
        return hits.equals(other.hits);
    }

    @Override
    protected int doHashCode() {
        return hits.hashCode();
    }

    @Override
    public String getWriteableName() {
        return NAME;
    }
}
