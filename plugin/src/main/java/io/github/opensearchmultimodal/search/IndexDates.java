package io.github.opensearchmultimodal.search;

import java.util.function.BiPredicate;
import java.util.function.Supplier;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.cluster.ClusterState;
import org.opensearch.cluster.metadata.IndexNameExpressionResolver;
import org.opensearch.index.IndexNotFoundException;

/** Tells whether a field of the indices that a request searches is a date. */
public record IndexDates(Supplier<ClusterState> state, Supplier<IndexNameExpressionResolver> names)
    implements BiPredicate<SearchRequest, String> {

    @Override
    public boolean test(SearchRequest request, String field) {
        ClusterState current = state.get();
        try {
            return DateFields.isDate(current, names.get().concreteIndexNames(current, request), field);
        } catch (IndexNotFoundException e) {
            return false; // the search itself will say so
        }
    }
}
