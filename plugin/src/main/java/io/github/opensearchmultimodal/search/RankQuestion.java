package io.github.opensearchmultimodal.search;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.opensearch.common.xcontent.XContentFactory;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.index.query.QueryBuilder;

/** What the service is asked to rank; equal questions of one search are asked once. */
record RankQuestion(
    List<String> indices,
    String text,
    String image,
    String profile,
    int k,
    QueryBuilder filter,
    Map<String, Object> overrides,
    String preference,
    OnFailure onFailure
) {
    /** About how many bytes the question has. */
    long bytes() {
        return (text == null ? 0 : text.length()) + (image == null ? 0 : image.length());
    }

    byte[] json(long deadlineMillis) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (XContentBuilder json = XContentFactory.jsonBuilder(out)) {
            json.startObject().field("indices", indices).field("k", k).field("deadline_ms", deadlineMillis);
            field(json, "query_text", text);
            field(json, "query_image", image);
            field(json, "profile", profile);
            field(json, "preference", preference);
            if (onFailure != OnFailure.ERROR) {
                json.field("on_failure", onFailure.written());
            }
            if (overrides.isEmpty() == false) {
                json.field("overrides", overrides);
            }
            if (filter != null) {
                json.field("filter");
                filter.toXContent(json, ToXContent.EMPTY_PARAMS);
            }
            json.endObject();
        }
        return out.toByteArray();
    }

    private static void field(XContentBuilder json, String name, String value) throws IOException {
        if (value != null) {
            json.field(name, value);
        }
    }
}
