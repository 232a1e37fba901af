package io.github.opensearchmultimodal.service;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.common.lifecycle.AbstractLifecycleComponent;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.util.concurrent.AbstractRunnable;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.common.settings.SecureString;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.threadpool.ThreadPool;

/**
 * Calls the service: bounded, time-limited, retried, and without holding a thread while it waits.
 *
 * <p>Listeners are called exactly once, on the generic pool, in the thread context of the caller. No message and no log line
 * quotes a document or a query.
 */
public final class ServiceClient extends AbstractLifecycleComponent {
    /** The thread pool that sends requests and reads answers. */
    public static final String POOL = "multimodal_service";

    private static final Logger logger = LogManager.getLogger(ServiceClient.class);
    private static final String TOKEN_HEADER = "X-Multimodal-Token";
    /** A search answers soon or not at all: it bridges a lost connection or a restart behind a load balancer, no more. */
    private static final Duration RANK_RETRY_TIME = Duration.ofSeconds(1);

    private final ThreadPool threadPool;
    private final ServiceTransport transport;
    private final RetryPolicy retries =
        new RetryPolicy(Duration.ofMillis(200), Duration.ofSeconds(10), () -> ThreadLocalRandom.current().nextDouble());
    private final ByteBudget budget = new ByteBudget(() -> this.maxBytesInFlight);
    private final Map<ServiceCall.Kind, Lane> lanes;
    private final AtomicBoolean failing = new AtomicBoolean();
    private volatile SecureString token;
    private volatile int maxInFlight;
    private volatile int maxEncodeInFlight;
    private volatile int maxQueue;
    private volatile long maxBytesInFlight;
    private volatile long maxAnswer;
    private volatile TimeValue timeout;
    private volatile TimeValue encodeTimeout;
    private volatile TimeValue maxRetryTime;

    /**
     * Prepares the client; nothing is sent before the first call.
     *
     * @param settings the node's settings, its keystore open
     * @param clusterSettings where changes of dynamic settings are told
     * @param config the node's config folder
     * @param threadPool the node's thread pools, {@link #POOL} among them
     */
    public ServiceClient(Settings settings, ClusterSettings clusterSettings, Path config, ThreadPool threadPool) {
        this.threadPool = threadPool;
        transport = new ServiceTransport(settings, config, threadPool.executor(POOL));
        reloadToken(settings);
        maxInFlight = ServiceSettings.MAX_IN_FLIGHT.get(settings);
        maxEncodeInFlight = ServiceSettings.MAX_ENCODE_IN_FLIGHT.get(settings);
        maxQueue = ServiceSettings.MAX_QUEUE.get(settings);
        maxBytesInFlight = ServiceSettings.MAX_BYTES_IN_FLIGHT.get(settings).getBytes();
        maxAnswer = ServiceSettings.MAX_RESPONSE_SIZE.get(settings).getBytes();
        timeout = ServiceSettings.TIMEOUT.get(settings);
        encodeTimeout = ServiceSettings.ENCODE_TIMEOUT.get(settings);
        maxRetryTime = ServiceSettings.MAX_RETRY_TIME.get(settings);
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.MAX_IN_FLIGHT, value -> maxInFlight = value);
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.MAX_ENCODE_IN_FLIGHT, value -> maxEncodeInFlight = value);
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.MAX_QUEUE, value -> maxQueue = value);
        clusterSettings.addSettingsUpdateConsumer(
            ServiceSettings.MAX_BYTES_IN_FLIGHT,
            value -> maxBytesInFlight = value.getBytes()
        );
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.MAX_RESPONSE_SIZE, value -> maxAnswer = value.getBytes());
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.TIMEOUT, value -> timeout = value);
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.ENCODE_TIMEOUT, value -> encodeTimeout = value);
        clusterSettings.addSettingsUpdateConsumer(ServiceSettings.MAX_RETRY_TIME, value -> maxRetryTime = value);
        lanes = Map.of(
            ServiceCall.Kind.ENCODE,
            new Lane(() -> maxEncodeInFlight, () -> maxQueue, budget),
            ServiceCall.Kind.RANK,
            new Lane(() -> maxInFlight, () -> maxQueue, budget)
        );
    }

    /**
     * Reads the token anew, from settings whose keystore is open.
     *
     * @throws IllegalArgumentException it cannot be a token of the service; the one before stays
     */
    public void reloadToken(Settings settings) {
        try (SecureString read = ServiceSettings.TOKEN.get(settings)) {
            token = ServiceToken.checked(read);
        }
    }

    /** Asks the service; the listener gets the JSON object of its answer, or an exception with a fitting status. */
    public void call(ServiceCall call, ActionListener<Map<String, Object>> listener) {
        ActionListener<Map<String, Object>> preserved =
            ContextPreservingActionListener.wrapPreservingContext(listener, threadPool.getThreadContext());
        if (transport.configured() == false) {
            String unset = "[" + ServiceSettings.URL.getKey() + "] is not set on this node";
            preserved.onFailure(new OpenSearchStatusException(unset, RestStatus.SERVICE_UNAVAILABLE));
            return;
        }
        lanes.get(call.kind()).submit(new PendingCall(this, lanes.get(call.kind()), call, preserved, timesFor(call)));
    }

    private CallTimes timesFor(ServiceCall call) {
        if (call.kind() == ServiceCall.Kind.RANK) {
            Duration all = Duration.ofMillis((call.timeout() == null ? timeout : call.timeout()).millis());
            return new CallTimes(all, RANK_RETRY_TIME.compareTo(all) < 0 ? RANK_RETRY_TIME : all, all);
        }
        Duration attempt = Duration.ofMillis((call.timeout() == null ? encodeTimeout : call.timeout()).millis());
        Duration retrying = Duration.ofMillis(maxRetryTime.millis());
        return new CallTimes(attempt, retrying, attempt.plus(retrying));
    }

    ServiceTransport transport() {
        return transport;
    }

    ThreadPool threadPool() {
        return threadPool;
    }

    RetryPolicy retries() {
        return retries;
    }

    ByteBudget budget() {
        return budget;
    }

    long maxAnswer() {
        return Math.min(maxAnswer, budget.limit());
    }

    /** Adds the service's own token to a call's headers. */
    Map<String, String> headers(ServiceCall call) {
        SecureString current = token;
        if (current.length() == 0) {
            return call.headers();
        }
        Map<String, String> headers = new HashMap<>(call.headers());
        headers.put(TOKEN_HEADER, current.toString());
        return headers;
    }

    /** Writes one log line when the service stops answering, and one when it answers again. */
    void tell(Exception failure) {
        boolean down = failure instanceof OpenSearchStatusException e && e.status().getStatus() >= 500;
        if (down && failing.compareAndSet(false, true)) {
            logger.warn("calls to [{}] fail: {}", transport.url(), failure.getMessage());
        } else if (failure == null && failing.compareAndSet(true, false)) {
            logger.info("calls to [{}] succeed again", transport.url());
        }
    }

    /** Runs the caller's continuation where it may take its time. */
    void deliver(Runnable continuation) {
        threadPool.generic().execute(new AbstractRunnable() {
            @Override
            public boolean isForceExecution() {
                return true;
            }

            @Override
            protected void doRun() {
                continuation.run();
            }

            @Override
            public void onRejection(Exception e) {
                continuation.run(); // the node stops: callers must still hear
            }

            @Override
            public void onFailure(Exception e) {
                logger.error("a caller of the multimodal service failed", e);
            }
        });
    }

    @Override
    protected void doStart() {
        if (transport.isInTheClear()) {
            logger.warn("[{}] is not https: tokens and documents go in the clear", ServiceSettings.URL.getKey());
        }
    }

    @Override
    protected void doStop() {}

    @Override
    protected void doClose() {
        transport.close();
    }
}
