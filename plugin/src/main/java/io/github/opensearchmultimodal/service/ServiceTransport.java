package io.github.opensearchmultimodal.service;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Supplier;
import org.opensearch.common.settings.Settings;

/** Sends one request and collects its answer, with the JDK's HTTP client; no redirects, no proxies, HTTP/1.1. */
final class ServiceTransport {
    private static final Set<String> LOOPBACK = Set.of("localhost", "127.0.0.1", "[::1]");

    private final HttpClient client;
    private final String url;

    ServiceTransport(Settings settings, Path config, Executor executor) {
        String configured = ServiceSettings.URL.get(settings);
        url = configured.endsWith("/") ? configured.substring(0, configured.length() - 1) : configured;
        HttpClient.Builder builder = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NEVER)
            .proxy(HttpClient.Builder.NO_PROXY)
            .connectTimeout(Duration.ofMillis(ServiceSettings.CONNECT_TIMEOUT.get(settings).millis()))
            .executor(executor);
        TrustedAuthorities.context(settings, config).ifPresent(builder::sslContext);
        client = builder.build();
    }

    boolean configured() {
        return url.isEmpty() == false;
    }

    String url() {
        return url;
    }

    /** Whether others on the network can read what is sent. */
    boolean isInTheClear() {
        return url.startsWith("http:") && LOOPBACK.contains(URI.create(url).getHost()) == false;
    }

    /** Sends the request; cancelling the returned future ends the exchange. */
    CompletableFuture<HttpResponse<byte[]>> send(String path, Map<String, String> headers, byte[] body, Supplier<LimitedBody> answer) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path))
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .header(Answer.PROTOCOL_HEADER, Answer.PROTOCOL)
            .POST(BodyPublishers.ofByteArray(body));
        headers.forEach(request::header);
        return client.sendAsync(request.build(), info -> answer.get());
    }

    static Answer answer(HttpResponse<byte[]> response) {
        return new Answer(
            response.statusCode(),
            response.headers().firstValue(Answer.PROTOCOL_HEADER).orElse(null),
            response.headers().firstValue("Retry-After").orElse(null),
            response.body()
        );
    }

    void close() {
        client.shutdownNow();
    }
}
