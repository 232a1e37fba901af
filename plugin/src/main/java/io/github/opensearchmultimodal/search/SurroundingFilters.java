package io.github.opensearchmultimodal.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.opensearch.index.query.BoolQueryBuilder;
import org.opensearch.index.query.ConstantScoreQueryBuilder;
import org.opensearch.index.query.QueryBuilder;

/**
 * Finds what the bool queries around a {@code multimodal} clause demand of every match, so that candidates are filtered
 * before they are ranked and not only afterwards.
 */
final class SurroundingFilters {
    private SurroundingFilters() {}

    /**
     * Returns the demands of everything around the clause; nothing where it is not found or nothing is demanded. A clause from
     * elsewhere in the search, such as a rescorer, counts as the equal one in the query, if there is exactly one.
     */
    static Optional<QueryBuilder> around(QueryBuilder root, MultimodalQueryBuilder clause) {
        List<Place> equal = new ArrayList<>();
        if (root != null) {
            collect(root, clause, List.of(), equal);
        }
        Optional<Place> place = equal.stream().filter(found -> found.clause() == clause).findFirst();
        if (place.isEmpty() && equal.size() == 1) {
            place = Optional.of(equal.get(0));
        }
        BoolQueryBuilder demands = new BoolQueryBuilder();
        place.ifPresent(found -> found.path().forEach(bool -> addDemands(bool, demands)));
        return demands.hasClauses() ? Optional.of(demands) : Optional.empty();
    }

    /** Returns both demands together; either may be null, and equal ones are not repeated. */
    static QueryBuilder both(QueryBuilder one, QueryBuilder other) {
        if (one == null || one.equals(other)) {
            return other;
        }
        return other == null ? one : new BoolQueryBuilder().filter(one).filter(other);
    }

    private record Place(QueryBuilder clause, List<BoolQueryBuilder> path) {}

    private static void collect(
        QueryBuilder at,
        MultimodalQueryBuilder clause,
        List<BoolQueryBuilder> path,
        List<Place> equal
    ) {
        if (at.equals(clause)) {
            equal.add(new Place(at, path));
        } else if (at instanceof ConstantScoreQueryBuilder constant) {
            collect(constant.innerQuery(), clause, path, equal);
        } else if (at instanceof BoolQueryBuilder bool) {
            List<BoolQueryBuilder> deeper = new ArrayList<>(path);
            deeper.add(bool);
            for (List<QueryBuilder> children : List.of(bool.must(), bool.filter(), bool.should())) {
                children.forEach(child -> collect(child, clause, deeper, equal));
            }
        }
    }

    private static void addDemands(BoolQueryBuilder bool, BoolQueryBuilder demands) {
        bool.must().stream().filter(PlainFilter::isPlain).forEach(demands::filter);
        bool.filter().stream().filter(PlainFilter::isPlain).forEach(demands::filter);
        bool.mustNot().stream().filter(PlainFilter::isPlain).forEach(demands::mustNot);
    }
}
