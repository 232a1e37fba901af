package io.github.opensearchmultimodal.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.InvalidVectors;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.ParseField;
import org.opensearch.core.common.io.stream.NamedWriteableAwareStreamInput;
import org.opensearch.core.common.io.stream.NamedWriteableRegistry;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.TermQueryBuilder;

/** The query between JSON, Java and the wire between nodes. */
class LateInteractionQueryBuilderTest {
    private static final NamedXContentRegistry JSON = new NamedXContentRegistry(
        List.of(
            new NamedXContentRegistry.Entry(
                QueryBuilder.class, new ParseField(TermQueryBuilder.NAME), (parser, none) -> TermQueryBuilder.fromXContent(parser)
            ),
            new NamedXContentRegistry.Entry(
                QueryBuilder.class, new ParseField(LateInteractionQueryBuilder.NAME),
                (parser, none) -> LateInteractionQueryBuilder.fromXContent(parser)
            )
        )
    );
    private static final NamedWriteableRegistry STREAM = new NamedWriteableRegistry(
        List.of(new NamedWriteableRegistry.Entry(QueryBuilder.class, TermQueryBuilder.NAME, TermQueryBuilder::new))
    );

    private static QueryVectors vectors(float... rows) {
        return new QueryVectors(WireFormat.pack(rows, 2, Encoding.FLOAT32));
    }

    private static LateInteractionQueryBuilder query() {
        return new LateInteractionQueryBuilder("v", vectors(1, 2), new TermQueryBuilder("a", "b")).boost(1.5f).queryName("n");
    }

    private static QueryBuilder parse(String json) throws IOException {
        try (
            XContentParser parser = JsonXContent.jsonXContent.createParser(
                JSON, DeprecationHandler.THROW_UNSUPPORTED_OPERATION, json
            )
        ) {
            return AbstractQueryBuilder.parseInnerQueryBuilder(parser);
        }
    }

    @Test
    void jsonIsReadAsWritten() throws IOException {
        for (LateInteractionQueryBuilder query : List.of(query(), new LateInteractionQueryBuilder("v", vectors(3, 4), null))) {
            assertEquals(query, parse(query.toString()));
            assertEquals(query.hashCode(), parse(query.toString()).hashCode());
        }
        String arrays = "{\"late_interaction\": {\"field\": \"v\", \"query_vectors\": [[3, 4]]}}";
        assertEquals(new LateInteractionQueryBuilder("v", vectors(3, 4), null), parse(arrays));
    }

    @Test
    void otherNodesReadWhatIsWritten() throws IOException {
        for (LateInteractionQueryBuilder query : List.of(query(), new LateInteractionQueryBuilder("v", vectors(3, 4), null))) {
            try (BytesStreamOutput out = new BytesStreamOutput()) {
                query.writeTo(out);
                StreamInput in = new NamedWriteableAwareStreamInput(out.bytes().streamInput(), STREAM);
                assertEquals(query, new LateInteractionQueryBuilder(in));
            }
        }
    }

    @Test
    void everyPartCountsForEquality() {
        TermQueryBuilder inner = new TermQueryBuilder("a", "b");
        for (QueryBuilder other : List.of(
            new LateInteractionQueryBuilder("w", vectors(1, 2), inner).boost(1.5f).queryName("n"),
            new LateInteractionQueryBuilder("v", vectors(1, 3), inner).boost(1.5f).queryName("n"),
            new LateInteractionQueryBuilder("v", vectors(1, 2), null).boost(1.5f).queryName("n"),
            new LateInteractionQueryBuilder("v", vectors(1, 2), inner).boost(1).queryName("n"),
            new LateInteractionQueryBuilder("v", vectors(1, 2), inner).boost(1.5f)
        )) {
            assertNotEquals(query(), other);
        }
        assertEquals(query(), query());
    }

    @Test
    void tooManyVectorsAreRefused() {
        byte[] message = WireFormat.pack(new float[129 * 4096], 4096, Encoding.BIT);
        InvalidVectors refusal = assertThrows(InvalidVectors.class, () -> new QueryVectors(message));
        assertTrue(refusal.getMessage().contains("528384 components, a query can have at most 524288"));
    }
}
