package io.github.opensearchmultimodal.ingest;

import java.util.List;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.core.common.unit.ByteSizeUnit;
import org.opensearch.core.common.unit.ByteSizeValue;

/** The node settings that bound what one document may ask to be encoded. */
public final class IngestSettings {
    /** The largest image, decoded from base64. */
    public static final Setting<ByteSizeValue> MAX_IMAGE_SIZE = Setting.byteSizeSetting(
        "multimodal.ingest.max_image_size",
        new ByteSizeValue(10, ByteSizeUnit.MB),
        new ByteSizeValue(1, ByteSizeUnit.KB),
        new ByteSizeValue(100, ByteSizeUnit.MB),
        Property.NodeScope,
        Property.Dynamic
    );

    /** The longest text, its title included, in characters; by default what the service takes. */
    public static final Setting<Integer> MAX_TEXT_LENGTH =
        Setting.intSetting("multimodal.ingest.max_text_length", 100_000, 1, Property.NodeScope, Property.Dynamic);

    private IngestSettings() {}

    /** Returns every setting, for registration. */
    public static List<Setting<?>> all() {
        return List.of(MAX_IMAGE_SIZE, MAX_TEXT_LENGTH);
    }
}
