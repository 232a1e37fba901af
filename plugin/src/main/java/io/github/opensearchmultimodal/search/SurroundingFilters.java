package io.github.opensearchmultimodal.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.lucene.search.BooleanClause.Occur;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.ConstantScoreQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryBuilderVisitor;

/**
 * Finds what the bool queries around a {@code multimodal} clause demand of every match, so that candidates are filtered
 * before they are ranked and not only afterwards.
 */
final class SurroundingFilters {
    private SurroundingFilters() {}

    /** Returns the demands of everything around the clause; nothing where it is not found or nothing is demanded. */
    static Optional<QueryBuilder> around(QueryBuilder root, MultimodalQueryBuilder clause) {
        List<BoolQueryBuilder> path = new ArrayList<>();
        if (root == null || find(root, clause, path) == false) {
            return Optional.empty();
        }
        BoolQueryBuilder demands = new BoolQueryBuilder();
        path.forEach(bool -> addDemands(bool, demands));
        return demands.hasClauses() ? Optional.of(demands) : Optional.empty();
    }

    /** Returns both demands together; either may be null, and equal ones are not repeated. */
    static QueryBuilder both(QueryBuilder one, QueryBuilder other) {
        if (one == null || one.equals(other)) {
            return other;
        }
        return other == null ? one : new BoolQueryBuilder().filter(one).filter(other);
    }

    private static boolean find(QueryBuilder at, MultimodalQueryBuilder clause, List<BoolQueryBuilder> path) {
        if (at.equals(clause)) {
            return true;
        }
        if (at instanceof ConstantScoreQueryBuilder constant) {
            return find(constant.innerQuery(), clause, path);
        }
        if (at instanceof BoolQueryBuilder bool) {
            path.add(bool);
            for (List<QueryBuilder> children : List.of(bool.must(), bool.filter(), bool.should())) {
                for (QueryBuilder child : children) {
                    if (find(child, clause, path)) {
                        return true;
                    }
                }
            }
            path.remove(path.size() - 1);
        }
        return false;
    }

    private static void addDemands(BoolQueryBuilder bool, BoolQueryBuilder demands) {
        bool.must().stream().filter(SurroundingFilters::isPlain).forEach(demands::filter);
        bool.filter().stream().filter(SurroundingFilters::isPlain).forEach(demands::filter);
        bool.mustNot().stream().filter(SurroundingFilters::isPlain).forEach(demands::mustNot);
    }

    /** Whether a query can go to the service: one with our own queries in it would make the service call itself. */
    private static boolean isPlain(QueryBuilder query) {
        boolean[] plain = { true };
        query.visit(new QueryBuilderVisitor() {
            @Override
            public void accept(QueryBuilder inner) {
                if (inner instanceof MultimodalQueryBuilder || inner instanceof RankedDocumentsQueryBuilder) {
                    plain[0] = false;
                }
            }

            @Override
            public QueryBuilderVisitor getChildVisitor(Occur occur) {
                return this;
            }
        });
        return plain[0];
    }
}
