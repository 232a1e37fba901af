package io.github.opensearchmultimodal.codec;

import java.io.IOException;
import java.util.Collection;
import org.apache.lucene.codecs.StoredFieldsWriter;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.util.Accountable;
import org.apache.lucene.util.BytesRef;

/** Passes everything on. */
abstract class FilterStoredFieldsWriter extends StoredFieldsWriter {
    final StoredFieldsWriter delegate;

    FilterStoredFieldsWriter(StoredFieldsWriter delegate) {
        this.delegate = delegate;
    }

    @Override
    public void startDocument() throws IOException {
        delegate.startDocument();
    }

    @Override
    public void finishDocument() throws IOException {
        delegate.finishDocument();
    }

    @Override
    public void writeField(FieldInfo field, int value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void writeField(FieldInfo field, long value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void writeField(FieldInfo field, float value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void writeField(FieldInfo field, double value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void writeField(FieldInfo field, BytesRef value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void writeField(FieldInfo field, String value) throws IOException {
        delegate.writeField(field, value);
    }

    @Override
    public void finish(int documents) throws IOException {
        delegate.finish(documents);
    }

    @Override
    public void close() throws IOException {
        delegate.close();
    }

    @Override
    public long ramBytesUsed() {
        return delegate.ramBytesUsed();
    }

    @Override
    public Collection<Accountable> getChildResources() {
        return delegate.getChildResources();
    }
}
