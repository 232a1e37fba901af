package io.github.opensearchmultimodal.query;

import io.github.opensearchmultimodal.maxsim.MaxSim;
import java.io.IOException;
import java.util.Objects;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.FieldExistsQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.QueryVisitor;
import org.apache.lucene.search.ScoreMode;
import org.apache.lucene.search.Weight;

/** Scores the matches of an inner query that have a multi-vector by MaxSim, whatever their inner score. */
public final class LateInteractionQuery extends Query {
    private final String field;
    private final QueryVectors vectors;
    private final Query inner;
    private final MaxSim maxSim;

    /**
     * Creates a query.
     *
     * @param field whose doc values are multi-vectors of the dimension of {@code vectors}
     */
    public LateInteractionQuery(String field, QueryVectors vectors, Query inner) {
        this(field, vectors, inner, new MaxSim(vectors.rows(), vectors.dimension()));
    }

    private LateInteractionQuery(String field, QueryVectors vectors, Query inner, MaxSim maxSim) {
        this.field = field;
        this.vectors = vectors;
        this.inner = inner;
        this.maxSim = maxSim;
    }

    @Override
    public Query rewrite(IndexSearcher searcher) throws IOException {
        Query rewritten = inner.rewrite(searcher);
        if (rewritten instanceof MatchNoDocsQuery) {
            return rewritten;
        }
        return rewritten == inner ? this : new LateInteractionQuery(field, vectors, rewritten, maxSim);
    }

    @Override
    public Weight createWeight(IndexSearcher searcher, ScoreMode mode, float boost) throws IOException {
        if (!mode.needsScores()) {
            Query matches = new BooleanQuery.Builder().add(inner, BooleanClause.Occur.FILTER)
                .add(new FieldExistsQuery(field), BooleanClause.Occur.FILTER).build();
            return searcher.createWeight(searcher.rewrite(matches), mode, boost);
        }
        Weight matches = searcher.createWeight(inner, ScoreMode.COMPLETE_NO_SCORES, 1);
        return new LateInteractionWeight(this, matches, boost);
    }

    String field() {
        return field;
    }

    QueryVectors vectors() {
        return vectors;
    }

    /** Returns a scorer for one thread. */
    MaxSim newMaxSim() {
        return maxSim.copy();
    }

    @Override
    public void visit(QueryVisitor visitor) {
        if (visitor.acceptField(field)) {
            inner.visit(visitor.getSubVisitor(BooleanClause.Occur.MUST, this));
        }
    }

    @Override
    public String toString(String defaultField) {
        return "late_interaction(" + field + ", " + vectors + ", " + inner.toString(defaultField) + ")";
    }

    @Override
    public boolean equals(Object other) {
        return sameClassAs(other) && equalTo((LateInteractionQuery) other);
    }

    private boolean equalTo(LateInteractionQuery other) {
        return field.equals(other.field) && vectors.equals(other.vectors) && inner.equals(other.inner);
    }

    @Override
    public int hashCode() {
        return Objects.hash(classHash(), field, vectors, inner);
    }
}
