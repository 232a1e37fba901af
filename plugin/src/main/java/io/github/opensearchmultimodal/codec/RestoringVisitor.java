package io.github.opensearchmultimodal.codec;

import java.io.IOException;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.StoredFieldDataInput;
import org.apache.lucene.index.StoredFieldVisitor;

/** Passes a document's fields on, its sources restored. */
final class RestoringVisitor extends StoredFieldVisitor {
    private final StoredFieldVisitor delegate;
    private final RestoringReader reader;
    private final int document;

    RestoringVisitor(StoredFieldVisitor delegate, RestoringReader reader, int document) {
        this.delegate = delegate;
        this.reader = reader;
        this.document = document;
    }

    @Override
    public Status needsField(FieldInfo field) throws IOException {
        return delegate.needsField(field);
    }

    @Override
    public void binaryField(FieldInfo field, StoredFieldDataInput value) throws IOException {
        if (MultimodalStoredFieldsFormat.SOURCES.contains(field.name)) {
            byte[] bytes = new byte[value.length()];
            value.getDataInput().readBytes(bytes, 0, bytes.length);
            binaryField(field, bytes);
        } else {
            delegate.binaryField(field, value);
        }
    }

    @Override
    public void binaryField(FieldInfo field, byte[] value) throws IOException {
        boolean source = MultimodalStoredFieldsFormat.SOURCES.contains(field.name);
        delegate.binaryField(field, source ? reader.restore(value, document, delegate) : value);
    }

    @Override
    public void stringField(FieldInfo field, String value) throws IOException {
        delegate.stringField(field, value);
    }

    @Override
    public void intField(FieldInfo field, int value) throws IOException {
        delegate.intField(field, value);
    }

    @Override
    public void longField(FieldInfo field, long value) throws IOException {
        delegate.longField(field, value);
    }

    @Override
    public void floatField(FieldInfo field, float value) throws IOException {
        delegate.floatField(field, value);
    }

    @Override
    public void doubleField(FieldInfo field, double value) throws IOException {
        delegate.doubleField(field, value);
    }
}
