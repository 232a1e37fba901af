package io.github.opensearchmultimodal.codec;

import io.github.opensearchmultimodal.mapper.MultiVectorField;
import io.github.opensearchmultimodal.vectors.BlockLayout;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.lucene.codecs.DocValuesProducer;
import org.apache.lucene.codecs.StoredFieldsReader;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.StoredFieldVisitor;
import org.apache.lucene.util.BytesRef;
import org.apache.lucene.util.IOUtils;
import org.opensearch.common.regex.Regex;
import org.opensearch.index.fieldvisitor.FieldsVisitor;

/** Reads sources and puts back, from doc values, the vectors that {@link StrippingWriter} took out, as base64. */
final class RestoringReader extends StoredFieldsReader {
    private static final byte[] NULL = "null".getBytes(StandardCharsets.US_ASCII);

    private final StoredFieldsReader delegate;
    private final DocValuesProducer values;
    private final Map<String, FieldInfo> fields;
    private final boolean owner;

    /**
     * Creates a reader.
     *
     * @param values the segment's doc values, or null where no field has multi-vectors
     * @param fields the segment's fields with multi-vectors
     * @param owner whether closing this closes {@code values}
     */
    RestoringReader(StoredFieldsReader delegate, DocValuesProducer values, Map<String, FieldInfo> fields, boolean owner) {
        this.delegate = delegate;
        this.values = values;
        this.fields = fields;
        this.owner = owner;
    }

    /** Returns the reader of what is stored. */
    StoredFieldsReader stored() {
        return delegate;
    }

    @Override
    public void document(int document, StoredFieldVisitor visitor) throws IOException {
        if (fields.isEmpty() || MergingWriter.isMerging()) {
            delegate.document(document, visitor);
        } else {
            delegate.document(document, new RestoringVisitor(visitor, this, document));
        }
    }

    /** Returns a source with its vectors; those that {@code visitor} is sure to drop become null. */
    byte[] restore(byte[] source, int document, StoredFieldVisitor visitor) throws IOException {
        BytesRef json = new BytesRef(source);
        if (!contains(source, Placeholder.START)) {
            return source;
        }
        List<JsonValues.Value> found = JsonValues.find(json, fields.keySet());
        found.removeIf(value -> Placeholder.read(source, value.start(), value.end()) == null);
        try {
            BytesRef restored = JsonValues.replace(json, found, value -> restore(source, value, document, visitor));
            return restored.bytes;
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private byte[] restore(byte[] source, JsonValues.Value at, int document, StoredFieldVisitor visitor) {
        Placeholder placeholder = Placeholder.read(source, at.start(), at.end());
        if (placeholder.distance() == 0 && dropped(at.name(), visitor)) {
            return NULL;
        }
        try {
            BinaryDocValues vectors = values.getBinary(fields.get(at.name()));
            int holder = document - placeholder.distance();
            if (holder >= 0 && vectors.advanceExact(holder)) {
                BytesRef value = vectors.binaryValue();
                if (MultiVectorField.checksum(value) == placeholder.checksum()) {
                    return quoted(Base64.getEncoder().encode(BlockLayout.toWire(value)));
                }
            }
            return Arrays.copyOfRange(source, at.start(), at.end()); // not ours: somebody sent it
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static byte[] quoted(byte[] base64) {
        byte[] json = new byte[base64.length + 2];
        json[0] = '"';
        json[json.length - 1] = '"';
        System.arraycopy(base64, 0, json, 1, base64.length);
        return json;
    }

    /**
     * Returns whether source filtering is sure to drop a field. Vectors of nested objects are never asked about: inner hits
     * filter the same source anew.
     */
    private static boolean dropped(String name, StoredFieldVisitor visitor) {
        if (!(visitor instanceof FieldsVisitor filter)) {
            return false;
        }
        if (Regex.simpleMatch(filter.excludes(), name)) {
            return true;
        }
        if (filter.includes().length == 0) {
            return false;
        }
        for (int dot = name.length(); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
            if (Regex.simpleMatch(filter.includes(), name.substring(0, dot))) {
                return false;
            }
        }
        return true;
    }

    private static boolean contains(byte[] bytes, byte[] part) {
        for (int i = 0; i <= bytes.length - part.length; i++) {
            if (bytes[i] == part[0] && Arrays.equals(bytes, i, i + part.length, part, 0, part.length)) {
                return true;
            }
        }
        return false;
    }

    @Override
    public StoredFieldsReader clone() {
        return new RestoringReader(delegate.clone(), values, fields, false);
    }

    /** Restores as well: OpenSearch reads whole documents this way, too. */
    @Override
    public StoredFieldsReader getMergeInstance() {
        return new RestoringReader(delegate.getMergeInstance(), values, fields, false);
    }

    @Override
    public void checkIntegrity() throws IOException {
        delegate.checkIntegrity();
    }

    @Override
    public void close() throws IOException {
        IOUtils.close(delegate, owner ? values : null);
    }
}
