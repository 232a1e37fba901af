package io.github.opensearchmultimodal.ingest;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;
import static org.opensearch.ingest.ConfigurationUtils.readBooleanProperty;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalList;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalStringProperty;
import static org.opensearch.ingest.ConfigurationUtils.readStringProperty;

import java.util.List;
import java.util.Map;
import org.opensearch.common.unit.TimeValue;

/**
 * What a pipeline says of one processor.
 *
 * @param textField where a document's text is
 * @param titleField where its title is, which text models read before the text
 * @param imageField where its image is, in base64
 * @param keepImage whether the image stays in the document
 * @param ignoreMissing whether a document without any input passes unchanged
 * @param fields the vector fields to fill; empty for all that the index describes
 * @param timeout how long one attempt may take; null for the node's setting
 */
record EncodeConfig(
    String textField,
    String titleField,
    String imageField,
    boolean keepImage,
    boolean ignoreMissing,
    List<String> fields,
    TimeValue timeout
) {
    /** Takes the options out of a processor's configuration, so that what is left over is refused. */
    static EncodeConfig read(String type, String tag, Map<String, Object> config) {
        List<?> fields = readOptionalList(type, tag, config, "fields");
        if (fields != null && (fields.isEmpty() || fields.stream().anyMatch(name -> name instanceof String == false))) {
            throw newConfigurationException(type, tag, "fields", "must be a list of names of vector fields");
        }
        return new EncodeConfig(
            readStringProperty(type, tag, config, "text_field", "text"),
            readStringProperty(type, tag, config, "title_field", "title"),
            readStringProperty(type, tag, config, "image_field", "image"),
            readBooleanProperty(type, tag, config, "keep_image", false),
            readBooleanProperty(type, tag, config, "ignore_missing", false),
            fields == null ? List.of() : fields.stream().map(String.class::cast).toList(),
            timeout(type, tag, readOptionalStringProperty(type, tag, config, "timeout"))
        );
    }

    private static TimeValue timeout(String type, String tag, String value) {
        if (value == null) {
            return null;
        }
        TimeValue timeout;
        try {
            timeout = TimeValue.parseTimeValue(value, "timeout");
        } catch (IllegalArgumentException e) {
            throw newConfigurationException(type, tag, "timeout", "must be a time such as 30s");
        }
        if (timeout.millis() < 10 || timeout.millis() > 3_600_000) {
            throw newConfigurationException(type, tag, "timeout", "must be from 10ms to 1h");
        }
        return timeout;
    }
}
