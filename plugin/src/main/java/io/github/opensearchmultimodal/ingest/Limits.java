package io.github.opensearchmultimodal.ingest;

import io.github.opensearchmultimodal.service.ServiceSettings;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.common.unit.ByteSizeValue;

/** The limits in force; they follow changes of the cluster's settings. */
public final class Limits {
    private volatile ByteSizeValue image;
    private volatile int text;
    private volatile long request;

    /** Reads the limits and follows their changes. */
    public Limits(Settings settings, ClusterSettings changes) {
        this(IngestSettings.MAX_IMAGE_SIZE.get(settings), IngestSettings.MAX_TEXT_LENGTH.get(settings), request(settings));
        changes.addSettingsUpdateConsumer(IngestSettings.MAX_IMAGE_SIZE, value -> image = value);
        changes.addSettingsUpdateConsumer(IngestSettings.MAX_TEXT_LENGTH, value -> text = value);
        changes.addSettingsUpdateConsumer(
            ServiceSettings.MAX_REQUEST_SIZE,
            value -> request = value.getBytes()
        );
    }

    Limits(ByteSizeValue image, int text, long request) {
        this.image = image;
        this.text = text;
        this.request = request;
    }

    private static long request(Settings settings) {
        return ServiceSettings.MAX_REQUEST_SIZE.get(settings).getBytes();
    }

    /** The largest image, decoded. */
    public ByteSizeValue image() {
        return image;
    }

    /** The longest text, in characters. */
    int text() {
        return text;
    }

    /** How many bytes of documents go in one call. */
    long request() {
        return request;
    }
}
