package io.github.opensearchmultimodal.mapper;

import io.github.opensearchmultimodal.vectors.BlockLayout;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DocValues;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.search.SortField;
import org.opensearch.common.util.BigArrays;
import org.opensearch.index.fielddata.IndexFieldData;
import org.opensearch.index.fielddata.LeafFieldData;
import org.opensearch.index.fielddata.ScriptDocValues;
import org.opensearch.index.fielddata.SortedBinaryDocValues;
import org.opensearch.index.mapper.DocValueFetcher;
import org.opensearch.search.DocValueFormat;
import org.opensearch.search.MultiValueMode;
import org.opensearch.search.aggregations.support.ValuesSourceType;
import org.opensearch.search.sort.BucketedSort;
import org.opensearch.search.sort.SortOrder;

/** Gives {@code docvalue_fields} the wire format, as bytes; sorting, aggregations and scripts are refused. */
final class MultiVectorFieldData implements IndexFieldData<MultiVectorFieldData.Leaf> {
    private final String field;

    MultiVectorFieldData(String field) {
        this.field = field;
    }

    @Override
    public String getFieldName() {
        return field;
    }

    @Override
    public ValuesSourceType getValuesSourceType() {
        throw unsupported("aggregations");
    }

    @Override
    public Leaf load(LeafReaderContext context) {
        try {
            return new Leaf(DocValues.getBinary(context.reader(), field));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public Leaf loadDirect(LeafReaderContext context) {
        return load(context);
    }

    @Override
    public SortField sortField(
        Object missingValue, MultiValueMode mode, XFieldComparatorSource.Nested nested, boolean reverse
    ) {
        throw unsupported("sorting");
    }

    @Override
    public BucketedSort newBucketedSort(
        BigArrays bigArrays, Object missingValue, MultiValueMode mode, XFieldComparatorSource.Nested nested, SortOrder order,
        DocValueFormat format, int bucketSize, BucketedSort.ExtraData extra
    ) {
        throw unsupported("sorting");
    }

    private IllegalArgumentException unsupported(String what) {
        return new IllegalArgumentException(
            "Field [" + field + "] of type [" + MultiVectorFieldMapper.CONTENT_TYPE + "] doesn't support " + what
        );
    }

    /** The doc values of one segment. */
    final class Leaf implements LeafFieldData {
        private final BinaryDocValues values;

        private Leaf(BinaryDocValues values) {
            this.values = values;
        }

        @Override
        public DocValueFetcher.Leaf getLeafValueFetcher(DocValueFormat format) {
            return new DocValueFetcher.Leaf() {
                @Override
                public boolean advanceExact(int doc) throws IOException {
                    return values.advanceExact(doc);
                }

                @Override
                public int docValueCount() {
                    return 1;
                }

                @Override
                public Object nextValue() throws IOException {
                    return BlockLayout.toWire(values.binaryValue());
                }
            };
        }

        @Override
        public ScriptDocValues<?> getScriptValues() {
            throw unsupported("scripts");
        }

        @Override
        public SortedBinaryDocValues getBytesValues() {
            throw unsupported("this");
        }

        @Override
        public long ramBytesUsed() {
            return 0;
        }

        @Override
        public void close() {}
    }
}
