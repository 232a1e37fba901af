package io.github.opensearchmultimodal.search;

import io.github.opensearchmultimodal.ingest.Limits;
import io.github.opensearchmultimodal.service.ServiceCall;
import io.github.opensearchmultimodal.service.ServiceClient;
import java.util.HashMap;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.CompletableFuture;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;
import org.opensearch.index.query.QueryCoordinatorContext;

/** Asks the service to rank, with the caller's credentials, and only once for equal questions of one search. */
public final class Ranker {
    /** The request header that goes on to the service, which searches with it. */
    public static final String AUTHORIZATION = "Authorization";

    private final ServiceClient client;
    private final ThreadContext threadContext;
    private final Limits limits;
    /** The answers of searches that are being rewritten; a search's context is gone when it ends. */
    private final Map<QueryCoordinatorContext, Map<RankQuestion, CompletableFuture<RankedHits>>> asked = new WeakHashMap<>();

    /**
     * Prepares a ranker.
     *
     * @param client calls the service
     * @param threadContext holds the headers of the request at work
     * @param limits how large an image may be
     */
    public Ranker(ServiceClient client, ThreadContext threadContext, Limits limits) {
        this.client = client;
        this.threadContext = threadContext;
        this.limits = limits;
    }

    /**
     * Refuses an image that is larger than one of a document may be.
     *
     * @throws IllegalArgumentException naming the limit
     */
    void checkImage(String image) {
        long bytes = image == null ? 0 : image.length() / 4 * 3L;
        if (bytes > limits.image().getBytes()) {
            throw new IllegalArgumentException(
                "[multimodal]: [query_image] has about " + bytes + " bytes, more than " + limits.image()
                    + ", the limit of [multimodal.ingest.max_image_size]"
            );
        }
    }

    void rank(QueryCoordinatorContext search, RankQuestion question, ActionListener<RankedHits> listener) {
        ActionListener<RankedHits> preserved = ContextPreservingActionListener.wrapPreservingContext(listener, threadContext);
        CompletableFuture<RankedHits> answer = new CompletableFuture<>();
        CompletableFuture<RankedHits> earlier;
        synchronized (asked) {
            earlier = asked.computeIfAbsent(search, key -> new HashMap<>()).putIfAbsent(question, answer);
        }
        (earlier == null ? answer : earlier).whenComplete((hits, failure) -> {
            if (failure == null) {
                preserved.onResponse(hits);
            } else {
                preserved.onFailure((Exception) failure);
            }
        });
        if (earlier == null) {
            client.call(call(question), ActionListener.wrap(json -> {
                answer.complete(RankedHits.read(json, question.k()));
            }, answer::completeExceptionally));
        }
    }

    private ServiceCall call(RankQuestion question) {
        String authorization = threadContext.getHeader(AUTHORIZATION);
        Map<String, String> headers = authorization == null ? Map.of() : Map.of(AUTHORIZATION, authorization);
        return new ServiceCall(ServiceCall.Kind.RANK, question.bytes(), null, headers, question::json);
    }
}
