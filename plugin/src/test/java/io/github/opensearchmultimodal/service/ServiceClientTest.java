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
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
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
    private ThreadPool threadPool;
    private HttpServer server;
    private ClusterSettings clusterSettings;
    private volatile int failures;

    @BeforeEach
    void start() throws IOException {
        threadPool = new ThreadPool(NODE, new FixedExecutorBuilder(NODE, ServiceClient.POOL, 2, -1, "test.pool"));
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/base/v1/", this::answer);
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
        ThreadPool.terminate(threadPool, 10, TimeUnit.SECONDS);
    }

    private void answer(HttpExchange exchange) throws IOException {
        asked.set(exchange.getRequestURI() + " " + new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
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
        Settings.Builder changed = Settings.builder().put("multimodal.service.max_in_flight", 1).put("multimodal.service.max_queue", 0);
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
        clusterSettings.applySettings(Settings.builder().put("multimodal.service.max_in_flight", 1).build());
        ServiceCall broken = new ServiceCall(ServiceCall.Kind.ENCODE, 1, null, Map.of(), left -> {
            throw new IOException("no");
        });
        assertInstanceOf(IOException.class, failure(ask(client, broken)));
        assertEquals(Map.of("ok", true), get(ask(client, encode())));
    }
}
