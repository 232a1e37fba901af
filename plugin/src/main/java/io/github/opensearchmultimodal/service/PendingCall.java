package io.github.opensearchmultimodal.service;

import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.net.ssl.SSLException;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.concurrency.OpenSearchRejectedExecutionException;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.threadpool.Scheduler.ScheduledCancellable;

/** One call from its place in the lane to its answer: attempts, their time limit, the pauses between them. */
final class PendingCall implements Lane.Call {
    /** The longest deadline that the service takes. */
    private static final Duration LONGEST_DEADLINE = Duration.ofHours(1);

    private final ServiceClient client;
    private final Lane lane;
    private final ServiceCall call;
    private final ActionListener<Map<String, Object>> listener;
    private final CallTimes times;
    private final long submitted = System.nanoTime();
    private int failures;

    PendingCall(
        ServiceClient client,
        Lane lane,
        ServiceCall call,
        ActionListener<Map<String, Object>> listener,
        CallTimes times
    ) {
        this.client = client;
        this.lane = lane;
        this.call = call;
        this.listener = listener;
        this.times = times;
    }

    @Override
    public long bytes() {
        return call.bytes();
    }

    @Override
    public boolean expired() {
        return left(times.retrying()).isZero();
    }

    @Override
    public void reject(String reason) {
        Exception rejected = new OpenSearchRejectedExecutionException("the multimodal service was not called: " + reason);
        client.deliver(() -> listener.onFailure(rejected));
    }

    @Override
    public void start() {
        after(Duration.ZERO);
    }

    /** Attempts on the plugin's own pool: a transport thread must not wait for a name server or a large body. */
    private void after(Duration pause) {
        try {
            if (pause.isZero()) {
                client.threadPool().executor(ServiceClient.POOL).execute(this::attempt);
            } else {
                client.threadPool().schedule(this::attempt, millis(pause), ServiceClient.POOL);
            }
        } catch (RuntimeException e) {
            fail(e);
        }
    }

    private void attempt() {
        ByteBudget.Share share = client.budget().share();
        try {
            Duration limit = min(times.attempt(), left(times.all()));
            byte[] body = call.body().apply(deadline(limit));
            CompletableFuture<HttpResponse<byte[]>> exchange = client.transport()
                .send(call.kind().path(), client.headers(call), body, () -> new LimitedBody(client.maxAnswer(), share));
            AtomicBoolean late = new AtomicBoolean();
            ScheduledCancellable timer = client.threadPool().schedule(() -> {
                late.set(true);
                exchange.cancel(true);
            }, millis(limit), ServiceClient.POOL);
            exchange.whenCompleteAsync((response, error) -> {
                timer.cancel();
                finish(response, late.get() ? null : error, limit, share);
            }, client.threadPool().executor(ServiceClient.POOL));
        } catch (IOException | RuntimeException e) {
            share.close();
            fail(e);
        }
    }

    private void finish(HttpResponse<byte[]> response, Throwable error, Duration limit, ByteBudget.Share share) {
        try {
            if (response != null) {
                answered(ServiceTransport.answer(response), share);
                return;
            }
            share.close();
            if (error != null) {
                lost(error instanceof CompletionException ? error.getCause() : error);
            } else {
                late(limit);
            }
        } catch (RuntimeException e) {
            share.close();
            fail(e);
        }
    }

    private void answered(Answer answer, ByteBudget.Share share) {
        if (answer.worthRetrying()) {
            Optional<Duration> pause = nextPause(answer.askedPause(Instant.now()));
            if (pause.isPresent()) {
                share.close();
                after(pause.get());
                return;
            }
        }
        Map<String, Object> value = answer.value();
        end(() -> {
            try (share) {
                listener.onResponse(value);
            }
        }, null);
    }

    /** Repeats an attempt that took too long: with its deadline over and its connection closed, nobody works on it any more. */
    private void late(Duration limit) {
        Optional<Duration> pause = nextPause(Optional.empty());
        if (pause.isPresent()) {
            after(pause.get());
        } else {
            fail(Answer.failure(RestStatus.GATEWAY_TIMEOUT, "did not answer within " + millis(limit)));
        }
    }

    private void lost(Throwable error) {
        if (error instanceof LimitedBody.TooLarge) {
            fail(Answer.badGateway(error.getMessage()));
        } else if (error instanceof SSLException) {
            fail(Answer.failure(RestStatus.BAD_GATEWAY, "and this node do not agree on TLS: " + error.getMessage()));
        } else if (error instanceof IOException) {
            Optional<Duration> pause = nextPause(Optional.empty());
            if (pause.isPresent()) {
                after(pause.get());
            } else if (error instanceof LimitedBody.NoRoom) {
                fail(new OpenSearchRejectedExecutionException("the multimodal service: " + error.getMessage() + ": try again later"));
            } else {
                fail(Answer.failure(RestStatus.SERVICE_UNAVAILABLE, unreachable(error)));
            }
        } else {
            fail(error instanceof Exception e ? e : new IllegalStateException(error));
        }
    }

    private static String unreachable(Throwable error) {
        boolean refused = error instanceof ConnectException || error instanceof HttpConnectTimeoutException;
        return refused ? "cannot be reached" : "closed the connection";
    }

    private Optional<Duration> nextPause(Optional<Duration> asked) {
        failures++;
        return client.retries().pause(failures, asked, left(times.retrying()));
    }

    private void fail(Exception failure) {
        Exception told = tellable(failure);
        end(() -> listener.onFailure(told), told);
    }

    /** Messages that are not our own may quote what was sent, headers included. */
    private static Exception tellable(Exception failure) {
        if (failure instanceof OpenSearchStatusException || failure instanceof OpenSearchRejectedExecutionException) {
            return failure;
        }
        String kind = failure.getClass().getSimpleName();
        return new OpenSearchStatusException(
            "the multimodal service was not called: this node failed (" + kind + ")",
            RestStatus.INTERNAL_SERVER_ERROR
        );
    }

    private void end(Runnable continuation, Exception failure) {
        lane.done(this);
        client.tell(failure);
        client.deliver(continuation);
    }

    /** What the service is told: a number that it takes. */
    private static long deadline(Duration limit) {
        return Math.max(1, Math.min(limit.toMillis(), LONGEST_DEADLINE.toMillis()));
    }

    private Duration left(Duration allowed) {
        Duration left = allowed.minusNanos(System.nanoTime() - submitted);
        return left.isNegative() ? Duration.ZERO : left;
    }

    private static Duration min(Duration a, Duration b) {
        return a.compareTo(b) < 0 ? a : b;
    }

    private static TimeValue millis(Duration duration) {
        return TimeValue.timeValueMillis(Math.max(1, duration.toMillis()));
    }
}
