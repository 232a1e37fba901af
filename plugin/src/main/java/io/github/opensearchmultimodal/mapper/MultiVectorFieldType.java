package io.github.opensearchmultimodal.mapper;

import io.github.opensearchmultimodal.vectors.Encoding;
import java.time.ZoneId;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.lucene.search.Query;
import org.opensearch.index.fielddata.IndexFieldData;
import org.opensearch.index.mapper.DocValueFetcher;
import org.opensearch.index.mapper.MappedFieldType;
import org.opensearch.index.mapper.TextSearchInfo;
import org.opensearch.index.mapper.ValueFetcher;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.index.query.QueryShardException;
import org.opensearch.search.DocValueFormat;
import org.opensearch.search.lookup.SearchLookup;

/** What searches may do with a {@code multi_vector}: exists, late interaction, and fetching its bytes. */
public final class MultiVectorFieldType extends MappedFieldType {
    private final int dimension;
    private final Encoding encoding;

    MultiVectorFieldType(String name, int dimension, Encoding encoding, Map<String, String> meta) {
        super(name, false, false, true, TextSearchInfo.NONE, meta);
        this.dimension = dimension;
        this.encoding = encoding;
    }

    /** Returns the dimension of the field's vectors. */
    public int dimension() {
        return dimension;
    }

    /** Returns how the field's vectors are stored. */
    public Encoding encoding() {
        return encoding;
    }

    @Override
    public String typeName() {
        return MultiVectorFieldMapper.CONTENT_TYPE;
    }

    @Override
    public boolean isAggregatable() {
        return false;
    }

    @Override
    public DocValueFormat docValueFormat(String format, ZoneId timeZone) {
        checkNoFormat(format);
        return DocValueFormat.BINARY;
    }

    /** Fetches the wire format, also with option {@code fields}: what the source has may be arrays. */
    @Override
    public ValueFetcher valueFetcher(QueryShardContext context, SearchLookup lookup, String format) {
        return new DocValueFetcher(docValueFormat(format, null), lookup.doc().getForField(this));
    }

    @Override
    public IndexFieldData.Builder fielddataBuilder(String index, Supplier<SearchLookup> lookup) {
        return (cache, breaker) -> new MultiVectorFieldData(name());
    }

    @Override
    public Query termQuery(Object value, QueryShardContext context) {
        throw new QueryShardException(
            context, "Field [" + name() + "] is of type [" + typeName() + "]: use a [late_interaction] or [exists] query"
        );
    }

    private void checkNoFormat(String format) {
        if (format != null) {
            throw new IllegalArgumentException(
                "Field [" + name() + "] of type [" + typeName() + "] doesn't support formats."
            );
        }
    }
}
