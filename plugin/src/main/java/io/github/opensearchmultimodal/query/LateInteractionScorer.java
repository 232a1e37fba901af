package io.github.opensearchmultimodal.query;

import io.github.opensearchmultimodal.maxsim.MaxSim;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.Terms;
import org.apache.lucene.search.ConjunctionUtils;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.search.Scorer;
import org.apache.lucene.search.TwoPhaseIterator;
import org.apache.lucene.util.BytesRef;
import org.opensearch.index.mapper.IdFieldMapper;

/** Scores the documents of one segment that the inner query matches and that have a multi-vector. */
final class LateInteractionScorer extends Scorer {
    /** Multiplications after which a cancelled or overdue search stops: some milliseconds, ten times more in plain Java. */
    private static final long CHECK_INTERVAL = 1L << 27;

    private final Scorer inner;
    private final BinaryDocValues values;
    private final MaxSim maxSim;
    private final float boost;
    private final LeafReader reader;
    private final DocIdSetIterator iterator;
    private long multiplications = CHECK_INTERVAL;

    LateInteractionScorer(Scorer inner, BinaryDocValues values, MaxSim maxSim, float boost, LeafReader reader) {
        this.inner = inner;
        this.values = values;
        this.maxSim = maxSim;
        this.boost = boost;
        this.reader = reader;
        this.iterator = ConjunctionUtils.intersectIterators(List.of(inner.iterator(), values));
    }

    @Override
    public DocIdSetIterator iterator() {
        return iterator;
    }

    @Override
    public TwoPhaseIterator twoPhaseIterator() {
        return TwoPhaseIterator.unwrap(iterator);
    }

    @Override
    public int docID() {
        return iterator.docID();
    }

    @Override
    public float score() throws IOException {
        if (multiplications >= CHECK_INTERVAL) {
            checkCancelled();
            multiplications = 0;
        }
        BytesRef value = values.binaryValue();
        multiplications += maxSim.multiplications(value);
        return boost * maxSim.score(value);
    }

    /**
     * Throws if the search has been cancelled or is overdue.
     *
     * <p>OpenSearch looks at that when a search opens the terms of a field, and every 4,096 documents or more: too rarely
     * for a score that takes a tenth of a millisecond. The only way to ask is to open terms.
     */
    private void checkCancelled() throws IOException {
        Terms terms = reader.terms(IdFieldMapper.NAME);
        if (terms != null) {
            terms.iterator();
        }
    }

    @Override
    public float getMaxScore(int upTo) {
        return Float.POSITIVE_INFINITY;
    }

    @Override
    public Collection<ChildScorable> getChildren() {
        return List.of(new ChildScorable(inner, "MUST"));
    }
}
