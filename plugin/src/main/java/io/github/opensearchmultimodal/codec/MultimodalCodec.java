package io.github.opensearchmultimodal.codec;

import java.util.Set;
import org.apache.lucene.codecs.Codec;
import org.apache.lucene.codecs.FilterCodec;
import org.apache.lucene.codecs.StoredFieldsFormat;
import org.apache.lucene.codecs.lucene104.Lucene104Codec;
import org.opensearch.index.codec.CodecAliases;

/**
 * {@code "index.codec": "multimodal"}: multi-vectors are stored once.
 *
 * <p>The default codec, except that multi-vectors are left out of the stored source and put back, from doc values, when it
 * is read. So {@code _update}, {@code _reindex} and everything else that starts from the source keeps them.
 */
public final class MultimodalCodec extends FilterCodec implements CodecAliases {
    /** The value of the setting {@code index.codec}. */
    public static final String NAME = "multimodal";

    /** The name in segments, by which Lucene finds the codec to read them. */
    private static final String SEGMENT_NAME = "Multimodal104";

    private final StoredFieldsFormat storedFields;

    /** Creates the codec for reading; Lucene calls this. */
    public MultimodalCodec() {
        this(new Lucene104Codec());
    }

    /** Creates the codec for writing: like {@code delegate}, except for stored fields. */
    public MultimodalCodec(Codec delegate) {
        super(SEGMENT_NAME, delegate);
        storedFields = new MultimodalStoredFieldsFormat(delegate.storedFieldsFormat());
    }

    @Override
    public StoredFieldsFormat storedFieldsFormat() {
        return storedFields;
    }

    @Override
    public Set<String> aliases() {
        return Set.of(NAME);
    }
}
