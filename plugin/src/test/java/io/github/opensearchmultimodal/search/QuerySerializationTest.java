package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.common.io.stream.NamedWriteableAwareStreamInput;
import org.opensearch.core.common.io.stream.NamedWriteableRegistry;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.query.BaseQueryRewriteContext;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryRewriteContext;
import org.opensearch.index.query.TermQueryBuilder;

class QuerySerializationTest {
    private static final NamedWriteableRegistry REGISTRY = new NamedWriteableRegistry(
        List.of(
            new NamedWriteableRegistry.Entry(QueryBuilder.class, TermQueryBuilder.NAME, TermQueryBuilder::new),
            new NamedWriteableRegistry.Entry(
                QueryBuilder.class,
                MultimodalQueryBuilder.NAME,
                in -> new MultimodalQueryBuilder(in, () -> null)
            ),
            new NamedWriteableRegistry.Entry(
                QueryBuilder.class,
                RankedDocumentsQueryBuilder.NAME,
                RankedDocumentsQueryBuilder::new
            )
        )
    );

    private static QueryBuilder travelled(QueryBuilder query) throws IOException {
        try (BytesStreamOutput out = new BytesStreamOutput()) {
            out.writeNamedWriteable(query);
            try (StreamInput in = new NamedWriteableAwareStreamInput(out.bytes().streamInput(), REGISTRY)) {
                return in.readNamedWriteable(QueryBuilder.class);
            }
        }
    }

    private static XContentParser parser(String json) throws IOException {
        XContentParser parser = JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY,
            DeprecationHandler.THROW_UNSUPPORTED_OPERATION,
            json
        );
        parser.nextToken();
        return parser;
    }

    private static MultimodalQueryBuilder parse(String json) throws IOException {
        try (XContentParser parser = parser(json)) {
            return MultimodalQueryBuilder.parse(parser, () -> null);
        }
    }

    @Test
    void theQueryTravels() throws IOException {
        MultimodalQueryBuilder query = parse(
            "{\"query_text\":\"a\",\"query_image\":\"AAAA\",\"profile\":\"p\",\"k\":5,\"overrides\":{\"cut\":{\"size\":3}},"
                + "\"on_failure\":\"bm25\",\"boost\":2,\"_name\":\"n\"}"
        ).restrictedTo(new TermQueryBuilder("colour", "red"));
        assertEquals(query, travelled(query));
        assertEquals(parse("{\"query_text\":\"a\"}"), travelled(parse("{\"query_text\":\"a\"}")));
        assertNotEquals(query, parse("{\"query_text\":\"a\"}"));
    }

    @Test
    void itsJsonIsReadBack() throws IOException {
        MultimodalQueryBuilder query = parse("{\"query_text\":\"a\",\"k\":5,\"on_failure\":\"bm25\"}");
        try (XContentParser parser = parser(query.toString())) {
            parser.nextToken();
            parser.nextToken();
            assertEquals(query, MultimodalQueryBuilder.parse(parser, () -> null));
        }
    }

    @Test
    void rankedDocumentsTravelButAreNotParsed() throws IOException {
        RankedDocumentsQueryBuilder ranked = new RankedDocumentsQueryBuilder(
            List.of(new RankedHits.Hit("i", "a", 2f), new RankedHits.Hit("j", "b", 1f))
        );
        assertEquals(ranked, travelled(ranked));
        assertNotEquals(ranked, new RankedDocumentsQueryBuilder(List.of()));
        try (XContentParser parser = parser("{}")) {
            assertThrows(ParsingException.class, () -> RankedDocumentsQueryBuilder.parse(parser));
        }
    }

    @Test
    void anotherVersionOfTheLayoutIsRefused() throws IOException {
        for (QueryBuilder query : List.of(parse("{\"query_text\":\"a\"}"), new RankedDocumentsQueryBuilder(List.of()))) {
            try (BytesStreamOutput out = new BytesStreamOutput()) {
                out.writeNamedWriteable(query);
                byte[] bytes = BytesReference.toBytes(out.bytes());
                bytes[query.getWriteableName().length() + 1 + Float.BYTES + 1]++;
                try (StreamInput in = new NamedWriteableAwareStreamInput(StreamInput.wrap(bytes), REGISTRY)) {
                    String message = assertThrows(IOException.class, () -> in.readNamedWriteable(QueryBuilder.class)).getMessage();
                    assertEquals("[" + query.getWriteableName() + "] comes in version 2, this node reads 1", message);
                }
            }
        }
    }

    @Test
    void elsewhereThanOnTheCoordinatingNodeItIsNotRewritten() throws IOException {
        MultimodalQueryBuilder query = parse("{\"query_text\":\"a\"}");
        QueryRewriteContext shard = new BaseQueryRewriteContext(null, null, null, () -> 0L, false);
        assertSame(query, query.rewrite(shard));
        assertThrows(IllegalArgumentException.class, () -> query.toQuery(null));
    }
}
