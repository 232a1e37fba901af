package io.github.opensearchmultimodal.query;

import io.github.opensearchmultimodal.maxsim.MaxSim;
import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DocValues;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.search.Explanation;
import org.apache.lucene.search.Scorer;
import org.apache.lucene.search.ScorerSupplier;
import org.apache.lucene.search.Weight;
import org.apache.lucene.util.BytesRef;

/** Makes scorers, and explains scores. */
final class LateInteractionWeight extends Weight {
    private final LateInteractionQuery query;
    private final Weight matches;
    private final float boost;

    LateInteractionWeight(LateInteractionQuery query, Weight matches, float boost) {
        super(query);
        this.query = query;
        this.matches = matches;
        this.boost = boost;
    }

    @Override
    public ScorerSupplier scorerSupplier(LeafReaderContext context) throws IOException {
        ScorerSupplier inner = matches.scorerSupplier(context);
        BinaryDocValues values = context.reader().getBinaryDocValues(query.field());
        if (inner == null || values == null) {
            return null;
        }
        return new ScorerSupplier() {
            @Override
            public Scorer get(long leadCost) throws IOException {
                Scorer scorer = inner.get(Math.min(leadCost, values.cost()));
                return new LateInteractionScorer(scorer, values, query.newMaxSim(), boost, context.reader());
            }

            @Override
            public long cost() {
                return Math.min(inner.cost(), values.cost());
            }
        };
    }

    @Override
    public boolean isCacheable(LeafReaderContext context) {
        return matches.isCacheable(context) && DocValues.isCacheable(context, query.field());
    }

    @Override
    public Explanation explain(LeafReaderContext context, int doc) throws IOException {
        Explanation match = matches.explain(context, doc);
        if (!match.isMatch()) {
            return Explanation.noMatch("the inner query does not match", match);
        }
        BinaryDocValues values = context.reader().getBinaryDocValues(query.field());
        if (values == null || !values.advanceExact(doc)) {
            return Explanation.noMatch("the document has no [" + query.field() + "]");
        }
        MaxSim maxSim = query.newMaxSim();
        BytesRef value = values.binaryValue();
        float score = maxSim.score(value);
        List<Explanation> details = bestVectors(WireFormat.unpack(BlockLayout.toWire(value)));
        boolean bits = BlockLayout.Header.read(value).encoding() == Encoding.BIT;
        String about = bits ? "about the sum (the query is quantised against bits)" : "sum";
        Explanation sum = Explanation.match(
            score, "MaxSim of [" + query.field() + "], " + about + " over the query's vectors of:", details
        );
        if (boost == 1) {
            return sum;
        }
        return Explanation.match(score * boost, "product of:", Explanation.match(boost, "boost"), sum);
    }

    /** Finds the best vector for each of the query's, from rows in floats. */
    private List<Explanation> bestVectors(float[] rows) {
        int dimension = query.vectors().dimension();
        float[] queryRows = query.vectors().rows();
        List<Explanation> details = new ArrayList<>();
        for (int token = 0; token < query.vectors().count(); token++) {
            int best = 0;
            float similarity = Float.NEGATIVE_INFINITY;
            for (int row = 0; row < rows.length / dimension; row++) {
                float product = 0;
                for (int j = 0; j < dimension; j++) {
                    product += queryRows[token * dimension + j] * rows[row * dimension + j];
                }
                if (product > similarity) {
                    similarity = product;
                    best = row;
                }
            }
            String text = String.format(Locale.ROOT, "query vector %d: largest inner product, with vector %d", token, best);
            details.add(Explanation.match(similarity, text));
        }
        return details;
    }
}
