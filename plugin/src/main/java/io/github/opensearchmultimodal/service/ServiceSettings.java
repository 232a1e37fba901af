package io.github.opensearchmultimodal.service;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.List;
import java.util.function.Function;
import org.opensearch.common.settings.SecureSetting;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.common.settings.SecureString;
import org.opensearch.core.common.unit.ByteSizeUnit;
import org.opensearch.core.common.unit.ByteSizeValue;

/**
 * The node settings of the connection to the service.
 *
 * <p>Where calls go, and whom the node trusts there, is static: whoever may change cluster settings must not be able to
 * send the token and the callers' credentials elsewhere. Limits are dynamic.
 */
public final class ServiceSettings {
    /** Where the service, or the load balancer before its replicas, answers; empty: it is not used. */
    public static final Setting<String> URL =
        Setting.simpleString("multimodal.service.url", "", ServiceSettings::checkUrl, Property.NodeScope);

    /** The bearer token of the service, in the keystore; reloadable. */
    public static final Setting<SecureString> TOKEN = SecureSetting.secureString("multimodal.service.token", null);

    /** How long to wait for a connection. */
    public static final Setting<TimeValue> CONNECT_TIMEOUT = Setting.timeSetting(
        "multimodal.service.connect_timeout",
        TimeValue.timeValueSeconds(3),
        TimeValue.timeValueMillis(10),
        Property.NodeScope
    );

    /** How long a search waits for the service, retries and time in the queue included. */
    public static final Setting<TimeValue> TIMEOUT =
        time("multimodal.service.timeout", TimeValue.timeValueSeconds(10), TimeValue.timeValueMillis(10));

    /** How long one attempt to encode a batch may take. */
    public static final Setting<TimeValue> ENCODE_TIMEOUT =
        time("multimodal.service.encode_timeout", TimeValue.timeValueSeconds(30), TimeValue.timeValueMillis(10));

    /** How long a batch waits and is retried before its documents fail. */
    public static final Setting<TimeValue> MAX_RETRY_TIME =
        time("multimodal.service.max_retry_time", TimeValue.timeValueSeconds(60), TimeValue.ZERO);

    /** How many calls for searches are under way at once. */
    public static final Setting<Integer> MAX_IN_FLIGHT =
        Setting.intSetting("multimodal.service.max_in_flight", 16, 1, 1024, Property.NodeScope, Property.Dynamic);

    /**
     * How many batches are being encoded at once. The service encodes one at a time: a second one keeps it at work while
     * answers travel, and more would only spend their time limit in its queue.
     */
    public static final Setting<Integer> MAX_ENCODE_IN_FLIGHT =
        Setting.intSetting("multimodal.service.max_encode_in_flight", 2, 1, 1024, Property.NodeScope, Property.Dynamic);

    /** How many calls of one kind wait for a place; more are rejected with status 429. */
    public static final Setting<Integer> MAX_QUEUE =
        Setting.intSetting("multimodal.service.max_queue", 1000, 0, 100_000, Property.NodeScope, Property.Dynamic);

    /** How many bytes of requests and answers are under way at once; a larger single request goes alone. */
    public static final Setting<ByteSizeValue> MAX_BYTES_IN_FLIGHT = Setting.memorySizeSetting(
        "multimodal.service.max_bytes_in_flight",
        "10%",
        Property.NodeScope,
        Property.Dynamic
    );

    /** How many bytes of documents go in one call; a batch with more is sent in parts. */
    public static final Setting<ByteSizeValue> MAX_REQUEST_SIZE = size("multimodal.service.max_request_size", 16);

    /** How large an answer may be. */
    public static final Setting<ByteSizeValue> MAX_RESPONSE_SIZE = size("multimodal.service.max_response_size", 64);

    /** PEM files of the authorities that sign the service's certificate, below the node's config folder. */
    public static final Setting<List<String>> CERTIFICATE_AUTHORITIES = Setting.listSetting(
        "multimodal.service.ssl.certificate_authorities",
        List.of(),
        Function.identity(),
        Property.NodeScope
    );

    /** A PKCS#12 or JKS trust store instead of PEM files, below the node's config folder. */
    public static final Setting<String> TRUSTSTORE_PATH =
        Setting.simpleString("multimodal.service.ssl.truststore.path", "", Property.NodeScope);

    /** The trust store's password, in the keystore. */
    public static final Setting<SecureString> TRUSTSTORE_PASSWORD =
        SecureSetting.secureString("multimodal.service.ssl.truststore.password", null);

    private ServiceSettings() {}

    /** Returns every setting, for registration. */
    public static List<Setting<?>> all() {
        return List.of(
            URL,
            TOKEN,
            CONNECT_TIMEOUT,
            TIMEOUT,
            ENCODE_TIMEOUT,
            MAX_RETRY_TIME,
            MAX_IN_FLIGHT,
            MAX_ENCODE_IN_FLIGHT,
            MAX_QUEUE,
            MAX_BYTES_IN_FLIGHT,
            MAX_REQUEST_SIZE,
            MAX_RESPONSE_SIZE,
            CERTIFICATE_AUTHORITIES,
            TRUSTSTORE_PATH,
            TRUSTSTORE_PASSWORD
        );
    }

    private static Setting<TimeValue> time(String key, TimeValue value, TimeValue least) {
        return Setting.timeSetting(key, value, least, Property.NodeScope, Property.Dynamic);
    }

    private static Setting<ByteSizeValue> size(String key, int megabytes) {
        return Setting.byteSizeSetting(
            key,
            new ByteSizeValue(megabytes, ByteSizeUnit.MB),
            new ByteSizeValue(1, ByteSizeUnit.KB),
            new ByteSizeValue(1, ByteSizeUnit.GB),
            Property.NodeScope,
            Property.Dynamic
        );
    }

    private static void checkUrl(String url) {
        if (url.isEmpty()) {
            return;
        }
        URI parsed;
        try {
            parsed = new URI(url);
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException("[multimodal.service.url] is not a URL: " + e.getReason());
        }
        boolean http = "http".equals(parsed.getScheme()) || "https".equals(parsed.getScheme());
        if (http == false || parsed.getHost() == null) {
            throw new IllegalArgumentException("[multimodal.service.url] must be like https://host:port");
        }
        if (parsed.getRawUserInfo() != null || parsed.getRawQuery() != null || parsed.getRawFragment() != null) {
            throw new IllegalArgumentException(
                "[multimodal.service.url] takes no user, query or fragment; the token goes in the keystore as ["
                    + "multimodal.service.token]"
            );
        }
    }
}
