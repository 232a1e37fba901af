package io.github.opensearchmultimodal.mapper;

import io.github.opensearchmultimodal.vectors.BlockLayout;
import java.util.zip.CRC32C;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StoredValue;
import org.apache.lucene.index.DocValuesType;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.util.BytesRef;

/**
 * The Lucene field of a multi-vector: a doc value (see {@link BlockLayout}).
 *
 * <p>Where the index has the codec that stores vectors once, it also hands the codec the checksum of the doc value, as a
 * stored field that the codec takes and never writes: so the codec knows what it may take out of the source.
 */
public final class MultiVectorField extends Field {
    private static final String ATTRIBUTE = "multi_vector";
    private static final FieldType WITHOUT_CHECKSUM = type(false);
    private static final FieldType WITH_CHECKSUM = type(true);

    /**
     * Creates a field.
     *
     * @param message a checked message in the wire format and the field's encoding
     * @param storedOnce whether the index has the codec that takes vectors out of the source
     */
    public MultiVectorField(String name, byte[] message, boolean storedOnce) {
        super(name, new BytesRef(BlockLayout.fromWire(message)), storedOnce ? WITH_CHECKSUM : WITHOUT_CHECKSUM);
    }

    private static FieldType type(boolean stored) {
        FieldType type = new FieldType();
        type.setDocValuesType(DocValuesType.BINARY);
        type.setStored(stored);
        type.putAttribute(ATTRIBUTE, "1");
        type.freeze();
        return type;
    }

    /** Returns whether a segment's field holds multi-vectors. */
    public static boolean holds(FieldInfo field) {
        return field.getAttribute(ATTRIBUTE) != null && field.getDocValuesType() == DocValuesType.BINARY;
    }

    /** Returns the checksum of a doc value. */
    public static int checksum(BytesRef value) {
        CRC32C checksum = new CRC32C();
        checksum.update(value.bytes, value.offset, value.length);
        return (int) checksum.getValue();
    }

    @Override
    public StoredValue storedValue() {
        return fieldType().stored() ? new StoredValue(checksum(binaryValue())) : null;
    }
}
