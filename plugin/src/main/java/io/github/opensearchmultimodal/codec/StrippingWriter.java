package io.github.opensearchmultimodal.codec;

import io.github.opensearchmultimodal.mapper.MultiVectorField;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.codecs.StoredFieldsWriter;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.util.BytesRef;

/**
 * Writes new documents: puts a {@link Placeholder} where a vector was in the source.
 *
 * <p>A document with nested objects is a block of Lucene documents of which the last one holds the source. Each of them
 * tells which vectors it has (see {@link MultiVectorField}); only what was told is taken out, and only where the source has
 * as many values of that name: a source that is not JSON, or that got its vector by {@code copy_to}, stays whole.
 */
final class StrippingWriter extends FilterStoredFieldsWriter {
    private final Map<String, List<Vector>> vectors = new HashMap<>();
    private final Map<FieldInfo, BytesRef> sources = new HashMap<>();
    private int document;

    /** A vector of the block: where in the segment, and the checksum of its doc value. */
    private record Vector(int document, int checksum) {}

    StrippingWriter(StoredFieldsWriter delegate) {
        super(delegate);
    }

    @Override
    public void writeField(FieldInfo field, int value) throws IOException {
        if (MultiVectorField.holds(field)) {
            vectors.computeIfAbsent(field.name, name -> new ArrayList<>()).add(new Vector(document, value));
        } else {
            super.writeField(field, value);
        }
    }

    @Override
    public void writeField(FieldInfo field, BytesRef value) throws IOException {
        if (MultimodalStoredFieldsFormat.SOURCES.contains(field.name)) {
            sources.put(field, value);
        } else {
            super.writeField(field, value);
        }
    }

    @Override
    public void finishDocument() throws IOException {
        for (Map.Entry<FieldInfo, BytesRef> source : sources.entrySet()) {
            super.writeField(source.getKey(), strip(source.getValue()));
        }
        if (!sources.isEmpty()) {
            sources.clear();
            vectors.clear();
        }
        document++;
        super.finishDocument();
    }

    private BytesRef strip(BytesRef source) {
        if (vectors.isEmpty()) {
            return source;
        }
        List<JsonValues.Value> values = JsonValues.find(source, vectors.keySet());
        Map<String, Integer> counts = new HashMap<>();
        for (JsonValues.Value value : values) {
            counts.merge(value.name(), 1, Integer::sum);
        }
        values.removeIf(value -> counts.get(value.name()) != vectors.get(value.name()).size());
        Map<String, Integer> used = new HashMap<>();
        return JsonValues.replace(source, values, value -> {
            int position = used.merge(value.name(), 1, Integer::sum) - 1;
            Vector vector = vectors.get(value.name()).get(position);
            return new Placeholder(document - vector.document(), vector.checksum()).json();
        });
    }
}
