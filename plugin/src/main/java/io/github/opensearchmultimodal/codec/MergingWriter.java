package io.github.opensearchmultimodal.codec;

import java.io.IOException;
import org.apache.lucene.codecs.StoredFieldsReader;
import org.apache.lucene.codecs.StoredFieldsWriter;
import org.apache.lucene.index.MergeState;

/**
 * Writes merged segments: sources as they are stored, placeholders included.
 *
 * <p>While one is open, our readers give this thread what is stored. That is by thread and not by reader since other
 * codecs and OpenSearch's merge policies wrap our readers and drive merges of their own; Lucene reads and writes the stored
 * fields of a merge in one thread.
 */
final class MergingWriter extends FilterStoredFieldsWriter {
    private static final ThreadLocal<Integer> OPEN = new ThreadLocal<>();

    private boolean closed;

    MergingWriter(StoredFieldsWriter delegate) {
        super(delegate);
        Integer open = OPEN.get();
        OPEN.set(open == null ? 1 : open + 1);
    }

    /** Returns whether this thread is merging, and sources must not be restored. */
    static boolean isMerging() {
        return OPEN.get() != null;
    }

    /** Lets Lucene see its own readers where it can, so that it can copy compressed blocks. */
    @Override
    public int merge(MergeState state) throws IOException {
        StoredFieldsReader[] readers = state.storedFieldsReaders;
        for (int i = 0; i < readers.length; i++) {
            if (readers[i] instanceof RestoringReader ours) {
                readers[i] = ours.stored();
            }
        }
        return delegate.merge(state);
    }

    @Override
    public void close() throws IOException {
        if (!closed) {
            closed = true;
            int open = OPEN.get();
            if (open == 1) {
                OPEN.remove();
            } else {
                OPEN.set(open - 1);
            }
        }
        super.close();
    }
}
