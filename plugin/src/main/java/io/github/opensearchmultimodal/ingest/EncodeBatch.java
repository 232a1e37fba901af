package io.github.opensearchmultimodal.ingest;

import io.github.opensearchmultimodal.service.InputTooLargeException;
import io.github.opensearchmultimodal.service.ServiceCall;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.opensearch.OpenSearchStatusException;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.xcontent.XContentFactory;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.ingest.IngestDocument;
import org.opensearch.ingest.IngestDocumentWrapper;

/** Documents of one index that go to the service in one call, and what becomes of them. */
final class EncodeBatch {
    /** What the service takes in one call unless it is told otherwise. */
    static final int MAX_INPUTS = 256;
    static final int MAX_CHARACTERS = 500_000;

    private final VectorFields fields;
    private final List<IngestDocumentWrapper> documents = new ArrayList<>();
    private final List<EncodeInput> inputs = new ArrayList<>();
    private long characters;
    private long bytes;

    EncodeBatch(VectorFields fields) {
        this.fields = fields;
    }

    VectorFields fields() {
        return fields;
    }

    /** Whether the input can go in the same call; a larger one goes alone. */
    boolean hasRoomFor(EncodeInput input, long maxBytes) {
        boolean fits = bytes + input.bytes() <= maxBytes && characters + input.characters() <= MAX_CHARACTERS;
        return inputs.isEmpty() || fits && inputs.size() < MAX_INPUTS;
    }

    int size() {
        return inputs.size();
    }

    /** Returns two batches with the same documents. */
    List<EncodeBatch> halves() {
        List<EncodeBatch> halves = List.of(new EncodeBatch(fields), new EncodeBatch(fields));
        for (int i = 0; i < inputs.size(); i++) {
            halves.get(i < inputs.size() / 2 ? 0 : 1).add(documents.get(i), inputs.get(i));
        }
        return halves;
    }

    void add(IngestDocumentWrapper document, EncodeInput input) {
        documents.add(document);
        inputs.add(input);
        characters += input.characters();
        bytes += input.bytes();
    }

    ServiceCall call(TimeValue timeout) {
        return new ServiceCall(ServiceCall.Kind.ENCODE, bytes, timeout, Map.of(), this::body);
    }

    private byte[] body(long deadlineMillis) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream((int) Math.min(bytes + 1024, 1 << 26));
        try (XContentBuilder json = XContentFactory.jsonBuilder(out)) {
            json.startObject().field("fields", fields.described()).field("task", "passage").field("deadline_ms", deadlineMillis);
            json.startArray("inputs");
            for (EncodeInput input : inputs) {
                json.map(input.json());
            }
            json.endArray().endObject();
        }
        return out.toByteArray();
    }

    /** Returns every document with its vectors, or with the reason why it has none. */
    List<IngestDocumentWrapper> succeed(Map<String, Object> answer, EncodeConfig config) {
        List<EncodeAnswer> answers = EncodeAnswer.read(answer, inputs.size(), fields.described().keySet());
        List<IngestDocumentWrapper> done = new ArrayList<>(documents.size());
        for (int i = 0; i < documents.size(); i++) {
            IngestDocumentWrapper document = documents.get(i);
            try {
                fill(document.getIngestDocument(), answers.get(i), config);
                done.add(document);
            } catch (RuntimeException e) {
                done.add(failed(document, e));
            }
        }
        return done;
    }

    private void fill(IngestDocument document, EncodeAnswer answer, EncodeConfig config) {
        if (answer.error() != null) {
            throw new IllegalArgumentException("the multimodal service refused the document: " + answer.error());
        }
        answer.values().forEach((name, value) -> {
            if (fields.inputs().containsKey(name)) {
                document.setFieldValue(name, value);
            }
        });
        EncodeProcessor.dropImage(document, fields, config);
    }

    /** Returns every document with the failure of the call. */
    List<IngestDocumentWrapper> fail(Exception failure) {
        Exception told = failure;
        boolean conflict = failure instanceof OpenSearchStatusException e && e.status() == RestStatus.CONFLICT;
        if (conflict || failure instanceof InputTooLargeException) {
            // As 409 a bulk client would take it for a version conflict, and a reindex that proceeds would drop the document.
            told = new IllegalArgumentException(failure.getMessage());
        }
        List<IngestDocumentWrapper> done = new ArrayList<>(documents.size());
        for (IngestDocumentWrapper document : documents) {
            done.add(failed(document, told));
        }
        return done;
    }

    static IngestDocumentWrapper failed(IngestDocumentWrapper document, Exception failure) {
        return new IngestDocumentWrapper(
            document.getSlot(),
            document.getChildSlot(),
            document.getIngestDocument(),
            failure
        );
    }
}
