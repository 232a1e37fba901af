package io.github.opensearchmultimodal.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.lucene.analysis.core.KeywordAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.NoMergePolicy;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause.Occur;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.ConstantScoreQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.LRUQueryCache;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.QueryCachingPolicy;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.TopDocs;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.opensearch.index.mapper.Uid;

class RankedDocumentsQueryTest {
    private static final Query RANKED = ranked(Map.of("7", 3f, "2", 2f, "5", 1f, "99", 9f));

    private final ByteBuffersDirectory directory = new ByteBuffersDirectory();
    private DirectoryReader reader;
    private IndexSearcher searcher;

    private static Query ranked(Map<String, Float> scores) {
        Map<BytesRef, Float> encoded = new HashMap<>();
        scores.forEach((id, score) -> encoded.put(Uid.encodeId(id), score));
        return new RankedDocumentsQuery(encoded);
    }

    @BeforeEach
    void indexInSeveralSegments() throws IOException {
        IndexWriterConfig config = new IndexWriterConfig(new KeywordAnalyzer()).setMergePolicy(NoMergePolicy.INSTANCE);
        try (IndexWriter writer = new IndexWriter(directory, config)) {
            for (int i = 0; i < 10; i++) {
                Document document = new Document();
                document.add(new StringField("_id", Uid.encodeId("" + i), Field.Store.YES));
                document.add(new StringField("parity", i % 2 == 0 ? "even" : "odd", Field.Store.NO));
                writer.updateDocument(new Term("_id", Uid.encodeId("" + i)), document);
                if (i % 4 == 3) {
                    writer.commit();
                }
            }
            writer.deleteDocuments(new Term("_id", Uid.encodeId("5")));
        }
        reader = DirectoryReader.open(directory);
        searcher = new IndexSearcher(reader);
    }

    @AfterEach
    void close() throws IOException {
        reader.close();
        directory.close();
    }

    private List<String> ids(TopDocs found) {
        return Arrays.stream(found.scoreDocs).map(hit -> {
            try {
                BytesRef id = reader.storedFields().document(hit.doc).getBinaryValue("_id");
                return Uid.decodeId(Arrays.copyOfRange(id.bytes, id.offset, id.offset + id.length));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }).toList();
    }

    @Test
    void liveDocumentsComeInOrder() throws IOException {
        TopDocs found = searcher.search(RANKED, 10);
        assertEquals(List.of("7", "2"), ids(found));
        assertEquals(3f, found.scoreDocs[0].score);
        assertEquals(2, searcher.count(RANKED));
    }

    @Test
    void boostAndFiltersApply() throws IOException {
        assertEquals(3f * 4f, searcher.search(new BoostQuery(RANKED, 4), 1).scoreDocs[0].score);
        Query even = new TermQuery(new Term("parity", "even"));
        Query both = new BooleanQuery.Builder().add(RANKED, Occur.MUST).add(even, Occur.FILTER).build();
        assertEquals(List.of("2"), ids(searcher.search(both, 10)));
        Query without = new BooleanQuery.Builder().add(RANKED, Occur.MUST).add(even, Occur.MUST_NOT).build();
        assertEquals(List.of("7"), ids(searcher.search(without, 10)));
    }

    @Test
    void whatIsCachedForOneReaderHoldsForAnother() throws IOException {
        LRUQueryCache cache = new LRUQueryCache(10, 1 << 20, leaf -> true, Float.MAX_VALUE);
        IndexWriterConfig config = new IndexWriterConfig(new KeywordAnalyzer()).setMergePolicy(NoMergePolicy.INSTANCE);
        try (IndexWriter writer = new IndexWriter(directory, config)) {
            writer.deleteDocuments(new Term("_id", Uid.encodeId("7")));
            writer.commit();
            try (DirectoryReader later = DirectoryReader.openIfChanged(reader)) {
                assertEquals(List.of(1, 2), List.of(cached(later, cache), cached(reader, cache)));
            }
        }
    }

    private static int cached(DirectoryReader reader, LRUQueryCache cache) throws IOException {
        IndexSearcher searcher = new IndexSearcher(reader);
        searcher.setQueryCache(cache);
        searcher.setQueryCachingPolicy(new QueryCachingPolicy() {
            @Override
            public void onUse(Query query) {}

            @Override
            public boolean shouldCache(Query query) {
                return true;
            }
        });
        return searcher.search(new ConstantScoreQuery(RANKED), 10).scoreDocs.length;
    }

    @Test
    void explanationsAgreeWithScores() throws IOException {
        TopDocs found = searcher.search(RANKED, 10);
        assertEquals(3f, searcher.explain(RANKED, found.scoreDocs[0].doc).getValue().floatValue());
        assertFalse(searcher.explain(RANKED, 0).isMatch());
    }

    @Test
    void equalityIsThatOfTheScores() {
        assertEquals(RANKED, ranked(Map.of("7", 3f, "2", 2f, "5", 1f, "99", 9f)));
        assertNotEquals(RANKED, ranked(Map.of("7", 3f)));
        assertTrue(RANKED.toString("x").contains("4"));
    }
}
