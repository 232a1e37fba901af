package io.github.opensearchmultimodal.codec;

import io.github.opensearchmultimodal.mapper.MultiVectorField;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.lucene.codecs.DocValuesProducer;
import org.apache.lucene.codecs.StoredFieldsFormat;
import org.apache.lucene.codecs.StoredFieldsReader;
import org.apache.lucene.codecs.StoredFieldsWriter;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.FieldInfos;
import org.apache.lucene.index.SegmentInfo;
import org.apache.lucene.index.SegmentReadState;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.IOContext;
import org.apache.lucene.util.IOUtils;
import org.opensearch.index.mapper.SourceFieldMapper;

/**
 * Stored fields whose sources lack their multi-vectors.
 *
 * <p>Where a vector was, the stored source has a {@link Placeholder}: the source stays valid JSON, and each document says
 * itself what is missing. Nothing else is recorded, so segments can be copied, merged, and read beside segments of other
 * codecs. A merge copies sources with their placeholders.
 */
final class MultimodalStoredFieldsFormat extends StoredFieldsFormat {
    /** The stored fields that can hold a document as it was sent. */
    static final Set<String> SOURCES = Set.of(SourceFieldMapper.NAME, SourceFieldMapper.RECOVERY_SOURCE_NAME);

    private final StoredFieldsFormat delegate;

    MultimodalStoredFieldsFormat(StoredFieldsFormat delegate) {
        this.delegate = delegate;
    }

    @Override
    public StoredFieldsReader fieldsReader(Directory directory, SegmentInfo segment, FieldInfos fields, IOContext context)
        throws IOException {
        Map<String, FieldInfo> vectorFields = new HashMap<>();
        for (FieldInfo field : fields) {
            if (MultiVectorField.holds(field)) {
                vectorFields.put(field.name, field);
            }
        }
        StoredFieldsReader reader = delegate.fieldsReader(directory, segment, fields, context);
        DocValuesProducer values = null;
        try {
            if (!vectorFields.isEmpty()) {
                SegmentReadState state = new SegmentReadState(directory, segment, fields, context);
                values = segment.getCodec().docValuesFormat().fieldsProducer(state);
            }
            return new RestoringReader(reader, values, vectorFields, true);
        } catch (Throwable e) {
            IOUtils.closeWhileSuppressingExceptions(e, reader, values);
            throw e;
        }
    }

    @Override
    public StoredFieldsWriter fieldsWriter(Directory directory, SegmentInfo segment, IOContext context) throws IOException {
        StoredFieldsWriter writer = delegate.fieldsWriter(directory, segment, context);
        return context.context() == IOContext.Context.MERGE ? new MergingWriter(writer) : new StrippingWriter(writer);
    }
}
