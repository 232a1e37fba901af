package io.github.opensearchmultimodal.search;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.PostingsEnum;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.search.Explanation;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.QueryVisitor;
import org.apache.lucene.search.ScoreMode;
import org.apache.lucene.search.Scorer;
import org.apache.lucene.search.ScorerSupplier;
import org.apache.lucene.search.Weight;
import org.apache.lucene.util.BytesRef;
import org.opensearch.index.mapper.IdFieldMapper;

/** Matches the documents with given encoded ids, each with its own score. */
final class RankedDocumentsQuery extends Query {
    private final SortedMap<BytesRef, Float> scores;

    RankedDocumentsQuery(Map<BytesRef, Float> scores) {
        this.scores = new TreeMap<>(scores);
    }

    @Override
    public Weight createWeight(IndexSearcher searcher, ScoreMode scoreMode, float boost) {
        return new RankedWeight(boost);
    }

    @Override
    public void visit(QueryVisitor visitor) {
        visitor.visitLeaf(this);
    }

    @Override
    public String toString(String field) {
        return "RankedDocumentsQuery(" + scores.size() + ")";
    }

    @Override
    public boolean equals(Object other) {
        return sameClassAs(other) && scores.equals(((RankedDocumentsQuery) other).scores);
    }

    @Override
    public int hashCode() {
        return 31 * classHash() + scores.hashCode();
    }

    private record Match(int doc, float score) {}

    private final class RankedWeight extends Weight {
        private final float boost;

        RankedWeight(float boost) {
            super(RankedDocumentsQuery.this);
            this.boost = boost;
        }

        @Override
        public ScorerSupplier scorerSupplier(LeafReaderContext leaf) throws IOException {
            List<Match> matches = matches(leaf);
            if (matches.isEmpty()) {
                return null;
            }
            return new ScorerSupplier() {
                @Override
                public Scorer get(long leadCost) {
                    return new RankedScorer(matches);
                }

                @Override
                public long cost() {
                    return matches.size();
                }
            };
        }

        /** Deleted documents are among them: which are deleted depends on the reader, and what is cached must not. */
        private List<Match> matches(LeafReaderContext leaf) throws IOException {
            List<Match> matches = new ArrayList<>();
            Terms terms = leaf.reader().terms(IdFieldMapper.NAME);
            if (terms == null) {
                return matches;
            }
            TermsEnum ids = terms.iterator();
            PostingsEnum postings = null;
            for (Map.Entry<BytesRef, Float> entry : scores.entrySet()) {
                if (ids.seekExact(entry.getKey()) == false) {
                    continue;
                }
                postings = ids.postings(postings, PostingsEnum.NONE);
                for (int doc = postings.nextDoc(); doc != DocIdSetIterator.NO_MORE_DOCS; doc = postings.nextDoc()) {
                    matches.add(new Match(doc, entry.getValue() * boost));
                }
            }
            matches.sort(Comparator.comparingInt(Match::doc));
            return matches;
        }

        @Override
        public Explanation explain(LeafReaderContext leaf, int doc) throws IOException {
            for (Match match : matches(leaf)) {
                if (match.doc() == doc) {
                    return Explanation.match(match.score(), "score given by the multimodal service, times boost " + boost);
                }
            }
            return Explanation.noMatch("not among the ranked documents");
        }

        @Override
        public boolean isCacheable(LeafReaderContext leaf) {
            return true;
        }
    }

    private static final class RankedScorer extends Scorer {
        private final List<Match> matches;
        private final float best;
        private int at = -1;

        RankedScorer(List<Match> matches) {
            this.matches = matches;
            best = (float) matches.stream().mapToDouble(Match::score).max().orElse(0);
        }

        @Override
        public int docID() {
            return at < 0 ? -1 : at < matches.size() ? matches.get(at).doc() : DocIdSetIterator.NO_MORE_DOCS;
        }

        @Override
        public DocIdSetIterator iterator() {
            return new DocIdSetIterator() {
                @Override
                public int docID() {
                    return RankedScorer.this.docID();
                }

                @Override
                public int nextDoc() {
                    at++;
                    return docID();
                }

                @Override
                public int advance(int target) {
                    while (nextDoc() < target) {
                        continue;
                    }
                    return docID();
                }

                @Override
                public long cost() {
                    return matches.size();
                }
            };
        }

        @Override
        public float score() {
            return matches.get(at).score();
        }

        @Override
        public float getMaxScore(int upTo) {
            return best;
        }
    }
}
