package io.github.opensearchmultimodal.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.opensearchmultimodal.mapper.MultiVectorField;
import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.lucene.codecs.Codec;
import org.apache.lucene.codecs.lucene104.Lucene104Codec;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FilterCodecReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.LogDocMergePolicy;
import org.apache.lucene.index.MultiDocValues;
import org.apache.lucene.index.NoMergePolicy;
import org.apache.lucene.index.SlowCodecReaderWrapper;
import org.apache.lucene.index.Term;
import org.apache.lucene.codecs.StoredFieldsReader;
import org.apache.lucene.index.StoredFieldVisitor;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.store.Directory;
import org.junit.jupiter.api.Test;

/** The codec in real Lucene indices. */
class MultimodalCodecTest {
    private static final int ROWS = 100;
    private static final int DIMENSION = 64;

    private final Random random = new Random(7);
    private final List<String> sources = new ArrayList<>();

    private static IndexWriterConfig config(Codec codec) {
        return new IndexWriterConfig().setCodec(codec).setMergePolicy(NoMergePolicy.INSTANCE);
    }

    private byte[] message() {
        float[] rows = new float[ROWS * DIMENSION];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) random.nextGaussian();
        }
        return WireFormat.pack(rows, DIMENSION, Encoding.INT8);
    }

    private static String base64(byte[] message) {
        return Base64.getEncoder().encodeToString(message);
    }

    private static Document document(String source) {
        Document document = new Document();
        document.add(new StoredField("_source", source.getBytes(StandardCharsets.UTF_8)));
        return document;
    }

    /** Returns a document with a vector at the top, and its source. */
    private Document flat(boolean storedOnce) {
        byte[] message = message();
        String source = "{\"number\":1.50, \"v\":\"" + base64(message) + "\",\"id\":" + sources.size() + "}";
        Document document = document(source);
        document.add(new StringField("id", String.valueOf(sources.size()), Field.Store.YES));
        document.add(new MultiVectorField("v", message, storedOnce));
        sources.add(source);
        return document;
    }

    /** Returns a block of nested documents: two with vectors, one without. */
    private List<Document> block() {
        byte[] first = message();
        byte[] second = message();
        List<Document> block = new ArrayList<>();
        for (byte[] message : new byte[][] {first, null, second}) {
            Document nested = new Document();
            if (message != null) {
                nested.add(new MultiVectorField("n.v", message, true));
            }
            block.add(nested);
        }
        String nested = "{\"n\":[{\"v\":\"" + base64(first) + "\"},{},{\"v\":\"" + base64(second) + "\"}]}";
        sources.add(nested);
        block.add(document(nested));
        return block;
    }

    private static List<String> read(Directory directory) throws IOException {
        List<String> found = new ArrayList<>();
        try (DirectoryReader reader = DirectoryReader.open(directory)) {
            for (LeafReaderContext leaf : reader.leaves()) {
                for (int i = 0; i < leaf.reader().maxDoc(); i++) {
                    boolean live = leaf.reader().getLiveDocs() == null || leaf.reader().getLiveDocs().get(i);
                    var source = leaf.reader().storedFields().document(i).getBinaryValue("_source");
                    if (live && source != null) {
                        found.add(source.utf8ToString());
                    }
                }
            }
        }
        return found;
    }

    private static long size(Directory directory) throws IOException {
        long size = 0;
        for (String file : directory.listAll()) {
            size += directory.fileLength(file);
        }
        return size;
    }

    private static void assertOnce(Directory directory, int vectors) throws IOException {
        long raw = (long) vectors * WireFormat.pack(new float[ROWS * DIMENSION], DIMENSION, Encoding.INT8).length;
        assertTrue(size(directory) < 1.05 * raw + 6_000, size(directory) + " bytes for " + raw);
    }

    private static void merge(Directory directory, Codec codec) throws IOException {
        try (IndexWriter writer = new IndexWriter(directory, config(codec).setMergePolicy(new LogDocMergePolicy()))) {
            writer.forceMerge(1);
        }
    }

    @Test
    void luceneFindsTheCodecByItsName() {
        MultimodalCodec codec = new MultimodalCodec();
        assertEquals(MultimodalCodec.class, Codec.forName(codec.getName()).getClass());
        assertTrue(codec.aliases().contains("multimodal"));
    }

    @Test
    void sourcesComeBackByteByByteBeforeAndAfterMerges() throws IOException {
        try (Directory directory = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                for (int segment = 0; segment < 3; segment++) {
                    for (int i = 0; i < 4; i++) {
                        writer.addDocument(flat(true));
                    }
                    writer.addDocuments(block());
                    writer.commit();
                }
            }
            assertEquals(sources, read(directory));
            assertOnce(directory, 18);
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                writer.deleteDocuments(new Term("id", "1"));
            }
            sources.remove(1);
            assertEquals(sources, read(directory));
            merge(directory, new MultimodalCodec());
            assertEquals(sources, read(directory));
            assertOnce(directory, 17);
            merge(directory, new MultimodalCodec());
            assertEquals(sources, read(directory));
        }
    }

    @Test
    void docValuesAreTheBytesThatWereSent() throws IOException {
        try (Directory directory = new ByteBuffersDirectory()) {
            byte[] message = message();
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                Document document = document("{\"v\":\"" + base64(message) + "\"}");
                document.add(new MultiVectorField("v", message, true));
                writer.addDocument(document);
            }
            try (DirectoryReader reader = DirectoryReader.open(directory)) {
                var values = MultiDocValues.getBinaryValues(reader, "v");
                assertTrue(values.advanceExact(0));
                assertArrayEquals(message, BlockLayout.toWire(values.binaryValue()));
            }
        }
    }

    @Test
    void segmentsOfAnotherCodecStayWholeAndTheirNeighboursSmall() throws IOException {
        try (Directory directory = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(directory, config(new Lucene104Codec()))) {
                writer.addDocument(flat(false));
            }
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                for (int i = 0; i < 9; i++) {
                    writer.addDocument(flat(true));
                }
            }
            merge(directory, new MultimodalCodec());
            assertEquals(sources, read(directory));
            assertOnce(directory, 10 + 2); // the first one twice: in base64, hardly compressed
        }
    }

    /** Other plugins and merge policies put readers of their own around ours, and drive merges themselves. */
    @Test
    void mergesThroughForeignReadersBringNothingBack() throws IOException {
        try (Directory from = new ByteBuffersDirectory(); Directory to = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(from, config(new MultimodalCodec()))) {
                IntStream.range(0, 5).forEach(i -> add(writer));
                writer.commit();
                IntStream.range(0, 5).forEach(i -> add(writer));
            }
            try (
                DirectoryReader reader = DirectoryReader.open(from);
                IndexWriter writer = new IndexWriter(to, config(new MultimodalCodec()))
            ) {
                List<CodecReader> wrapped = new ArrayList<>();
                for (LeafReaderContext leaf : reader.leaves()) {
                    wrapped.add(new Hiding(SlowCodecReaderWrapper.wrap(leaf.reader())));
                }
                writer.addIndexes(wrapped.toArray(CodecReader[]::new));
            }
            assertFalse(MergingWriter.isMerging());
            assertEquals(sources, read(to));
            assertOnce(to, 10);
        }
    }

    private void add(IndexWriter writer) {
        try {
            writer.addDocument(flat(true));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** A reader whose stored fields are not visibly ours. */
    private static final class Hiding extends FilterCodecReader {
        Hiding(CodecReader in) {
            super(in);
        }

        @Override
        public StoredFieldsReader getFieldsReader() {
            return hide(in.getFieldsReader());
        }

        private static StoredFieldsReader hide(StoredFieldsReader in) {
            return new StoredFieldsReader() {
                @Override
                public void document(int document, StoredFieldVisitor visitor) throws IOException {
                    in.document(document, visitor);
                }

                @Override
                public StoredFieldsReader clone() {
                    return hide(in.clone());
                }

                @Override
                public StoredFieldsReader getMergeInstance() {
                    return hide(in.getMergeInstance());
                }

                @Override
                public void checkIntegrity() throws IOException {
                    in.checkIntegrity();
                }

                @Override
                public void close() throws IOException {
                    in.close();
                }
            };
        }

        @Override
        public CacheHelper getCoreCacheHelper() {
            return null;
        }

        @Override
        public CacheHelper getReaderCacheHelper() {
            return null;
        }
    }

    @Test
    void aSourceThatDoesNotShowItsVectorStaysWhole() throws IOException {
        List<String> kept = List.of("{\"w\":\"" + "x".repeat(40) + "\"}", "no JSON", "{\"v\":[\"a\"],\"v\":\"b\"}", "{\"v\":null}");
        try (Directory directory = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                for (String source : kept) {
                    Document document = document(source);
                    document.add(new MultiVectorField("v", message(), true));
                    writer.addDocument(document);
                }
            }
            assertEquals(kept, read(directory));
        }
    }

    @Test
    void anAbandonedBlockConfusesNothing() throws IOException {
        try (Directory directory = new ByteBuffersDirectory()) {
            try (IndexWriter writer = new IndexWriter(directory, config(new MultimodalCodec()))) {
                List<Document> abandoned = block();
                sources.clear();
                writer.addDocuments(abandoned.subList(0, 3)); // children whose parent never came
                writer.addDocuments(block());
                writer.addDocuments(block());
            }
            assertEquals(sources, read(directory));
        }
    }
}
