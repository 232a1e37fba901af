package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.common.CheckedFunction;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.concurrency.OpenSearchRejectedExecutionException;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.threadpool.FixedExecutorBuilder;
import org.opensearch.threadpool.ThreadPool;

class ServiceClientTest {
    private static final Settings NODE = Settings.builder().put("node.name", "test").build();

    private final AtomicInteger calls = new AtomicInteger();
    private final AtomicReference<String> asked = new AtomicReference<>();
    private final ExecutorService pool = Executors.newCachedThreadPool();
    private ThreadPool threadPool;
    private HttpServer server;
    private ClusterSettings clusterSettings;
    private volatile int failures;
    private volatile int slow;
    private volatile long garbage;
    private final CompletableFuture<Void> released = new CompletableFuture<>();

    @BeforeEach
    void start() throws IOException {
        threadPool = new ThreadPool(NODE, new FixedExecutorBuilder(NODE, ServiceClient.POOL, 2, -1, "test.pool"));
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/base/v1/", this::answer);
        server.setExecutor(pool);
        server.start();
    }

    @AfterEach
    void stop() {
        released.complete(null);
        server.stop(0);
        pool.shutdownNow();
        ThreadPool.terminate(threadPool, 10, TimeUnit.SECONDS);
    }

    private void answer(HttpExchange exchange) throws IOException {
        asked.set(exchange.getRequestURI() + " " + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
        if (garbage > 0) {
            exchange.getResponseHeaders().add(Answer.PROTOCOL_HEADER, "1");
            exchange.sendResponseHeaders(200, 0);
            byte[] some = new byte[1 << 16];
            for (long sent = 0; sent < garbage; sent += some.length) {
                exchange.getResponseBody().write(some);
            }
            exchange.close();
            return;
        }
        if (calls.get() < slow) {
            calls.incrementAndGet();
            released.join();
            exchange.close();
            return;
        }
        byte[] body = "{\"ok\":true}".getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().add(Answer.PROTOCOL_HEADER, "1");
        exchange.sendResponseHeaders(calls.incrementAndGet() <= failures ? 503 : 200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private ServiceClient client(String url) {
        Settings settings = Settings.builder().put(NODE).put("multimodal.service.url", url).build();
        Set<Setting<?>> known = new HashSet<>(ServiceSettings.all());
        clusterSettings = new ClusterSettings(settings, known);
        return new ServiceClient(settings, clusterSettings, Path.of("/"), threadPool);
    }

    private ServiceClient client() {
        return client("http://localhost:" + server.getAddress().getPort() + "/base/");
    }

    private static ServiceCall encode() {
        byte[] body = "{\"a\":1}".getBytes(StandardCharsets.UTF_8);
        return new ServiceCall(ServiceCall.Kind.ENCODE, 1, null, Map.of(), left -> body);
    }

    private static <T> T get(CompletableFuture<T> answer) throws InterruptedException, TimeoutException, ExecutionException {
        return answer.get(20, TimeUnit.SECONDS);
    }

    private static CompletableFuture<Map<String, Object>> ask(ServiceClient client, ServiceCall call) {
        CompletableFuture<Map<String, Object>> answer = new CompletableFuture<>();
        client.call(call, ActionListener.wrap(answer::complete, answer::completeExceptionally));
        return answer;
    }

    /** An answer is held until its caller is done with it, which is after it was told. */
    private static void assertNothingHeld(ServiceClient client) throws InterruptedException {
        for (int i = 0; i < 1_000 && client.budget().held() > 0; i++) {
            Thread.sleep(5);
        }
        assertEquals(0, client.budget().held());
    }

    private static Throwable failure(CompletableFuture<?> answer) {
        return assertThrows(ExecutionException.class, () -> get(answer)).getCause();
    }

    @Test
    void aPathBelowTheUrlIsAsked() throws Exception {
        assertEquals(Map.of("ok", true), get(ask(client(), encode())));
        assertEquals("/base/v1/encode {\"a\":1}", asked.get());
    }

    @Test
    void theCallersContextIsThereAgainAfterRetries() throws Exception {
        failures = 2;
        ThreadContext context = threadPool.getThreadContext();
        CompletableFuture<String> seen = new CompletableFuture<>();
        ServiceClient client = client();
        try (ThreadContext.StoredContext ignored = context.stashContext()) {
            context.putHeader("who", "caller");
            client.call(
                encode(),
                ActionListener.wrap(
                    answer -> seen.complete(context.getHeader("who") + " " + Thread.currentThread().getName()),
                    seen::completeExceptionally
                )
            );
        }
        assertNull(context.getHeader("who"));
        String where = get(seen);
        assertTrue(where.startsWith("caller "), where);
        assertTrue(where.contains("[generic]"), where);
        assertEquals(3, calls.get());
    }

    @Test
    void withoutAUrlNothingIsCalled() {
        Throwable failure = failure(ask(client(""), encode()));
        assertEquals(RestStatus.SERVICE_UNAVAILABLE, assertInstanceOf(OpenSearchStatusException.class, failure).status());
        assertEquals("[multimodal.service.url] is not set on this node", failure.getMessage());
    }

    @Test
    void limitsFollowTheClustersSettings() throws Exception {
        ServiceClient client = client();
        failures = Integer.MAX_VALUE;
        Settings.Builder changed = Settings.builder().put("multimodal.service.max_encode_in_flight", 1).put("multimodal.service.max_queue", 0);
        clusterSettings.applySettings(changed.put("multimodal.service.max_retry_time", "500ms").build());
        CompletableFuture<Map<String, Object>> first = ask(client, encode());
        assertInstanceOf(OpenSearchRejectedExecutionException.class, failure(ask(client, encode())));
        assertEquals(
            RestStatus.SERVICE_UNAVAILABLE,
            assertInstanceOf(OpenSearchStatusException.class, failure(first)).status()
        );
        failures = 0;
        assertEquals(Map.of("ok", true), get(ask(client, encode())));
    }

    @Test
    void aBodyThatCannotBeMadeIsAFailureAndGivesItsPlaceBack() throws Exception {
        ServiceClient client = client();
        clusterSettings.applySettings(Settings.builder().put("multimodal.service.max_encode_in_flight", 1).build());
        ServiceCall broken = new ServiceCall(ServiceCall.Kind.ENCODE, 1, null, Map.of(), left -> {
            throw new IOException("unmistakable");
        });
        String message = assertInstanceOf(OpenSearchStatusException.class, failure(ask(client, broken))).getMessage();
        assertEquals("the multimodal service was not called: this node failed (IOException)", message);
        assertEquals(Map.of("ok", true), get(ask(client, encode())));
    }

    @Test
    void aHeaderThatCannotBeSentIsNotQuoted() {
        Map<String, String> headers = Map.of("Authorization", "unmistakable\r\nsecret");
        ServiceCall call = new ServiceCall(ServiceCall.Kind.RANK, 1, null, headers, left -> new byte[0]);
        Throwable failure = failure(ask(client(), call));
        assertEquals("the multimodal service was not called: this node failed (IllegalArgumentException)", failure.getMessage());
        assertNull(failure.getCause());
    }

    @Test
    void anAttemptThatTakesTooLongIsRepeated() throws Exception {
        slow = 1;
        ServiceClient client = client();
        clusterSettings.applySettings(Settings.builder().put("multimodal.service.encode_timeout", "300ms").build());
        assertEquals(Map.of("ok", true), get(ask(client, encode())));
        assertEquals(2, calls.get());
        assertNothingHeld(client);
    }

    @Test
    void anAttemptIsToldHowLongItMayTake() throws Exception {
        List<Long> told = Collections.synchronizedList(new ArrayList<>());
        CheckedFunction<Long, byte[], IOException> body = left -> {
            told.add(left);
            return new byte[0];
        };
        ServiceClient client = client();
        TimeValue twoHours = TimeValue.timeValueHours(2);
        failures = 1;
        get(ask(client, new ServiceCall(ServiceCall.Kind.ENCODE, 1, TimeValue.timeValueSeconds(40), Map.of(), body)));
        get(ask(client, new ServiceCall(ServiceCall.Kind.RANK, 1, twoHours, Map.of(), body)));
        assertEquals(List.of(40_000L, 40_000L, 3_600_000L), told);
        told.clear();
        slow = Integer.MAX_VALUE;
        failure(ask(client, new ServiceCall(ServiceCall.Kind.RANK, 1, TimeValue.timeValueNanos(1), Map.of(), body)));
        assertEquals(List.of(1L), told);
    }

    @Test
    void largeGarbageLeavesRoomForOthers() throws Exception {
        long limit = 4 << 20;
        garbage = 20L << 20;
        ServiceClient client = client();
        Settings.Builder changed = Settings.builder().put("multimodal.service.max_bytes_in_flight", limit + "b");
        clusterSettings.applySettings(changed.put("multimodal.service.max_retry_time", "2s").build());
        AtomicLong most = new AtomicLong();
        List<CompletableFuture<Map<String, Object>>> answers = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            ServiceCall.Kind kind = i % 2 == 0 ? ServiceCall.Kind.ENCODE : ServiceCall.Kind.RANK;
            answers.add(ask(client, new ServiceCall(kind, 1_000, null, Map.of(), left -> new byte[0])));
        }
        while (answers.stream().allMatch(CompletableFuture::isDone) == false) {
            most.accumulateAndGet(client.budget().held(), Math::max);
            Thread.sleep(1);
        }
        for (CompletableFuture<Map<String, Object>> answer : answers) {
            Throwable failure = failure(answer);
            boolean told = failure instanceof OpenSearchRejectedExecutionException
                || failure instanceof OpenSearchStatusException e && e.status() == RestStatus.BAD_GATEWAY;
            assertTrue(told, failure.toString());
        }
        assertTrue(most.get() <= 2 * limit, "held " + most.get());
        garbage = 0;
        assertEquals(Map.of("ok", true), get(ask(client, encode())));
        assertNothingHeld(client);
    }
}
