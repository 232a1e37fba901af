package io.github.opensearchmultimodal.ingest;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;

import io.github.opensearchmultimodal.service.InputTooLargeException;
import io.github.opensearchmultimodal.service.ServiceClient;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.opensearch.cluster.ClusterState;
import org.opensearch.core.action.ActionListener;
import org.opensearch.ingest.AbstractBatchingProcessor;
import org.opensearch.ingest.IngestDocument;
import org.opensearch.ingest.IngestDocumentWrapper;
import org.opensearch.ingest.Processor;

/**
 * Fills the vector fields that the target index describes, a batch of documents at a time.
 *
 * <p>The vectors of an input that a document gives are always made anew; those of an input that it does not mention stay, so
 * that an update of a page whose image was not kept does not lose the image's vectors.
 */
public final class EncodeProcessor extends AbstractBatchingProcessor {
    /** The processor's name in a pipeline. */
    public static final String TYPE = "multimodal_encode";

    private static final int DEFAULT_BATCH = 32;
    private static final int MAX_BATCH = 1024;

    private final EncodeConfig config;
    private final Dependencies dependencies;

    /**
     * What the processor needs of the node.
     *
     * @param client calls the service
     * @param state the current cluster state
     * @param limits what a document may ask for
     * @param indexNames resolves date math in an index name
     */
    public record Dependencies(
        Supplier<ServiceClient> client,
        Supplier<ClusterState> state,
        Supplier<Limits> limits,
        UnaryOperator<String> indexNames
    ) {}

    EncodeProcessor(String tag, String description, int batchSize, EncodeConfig config, Dependencies dependencies) {
        super(tag, description, batchSize);
        this.config = config;
        this.dependencies = dependencies;
    }

    @Override
    public String getType() {
        return TYPE;
    }

    @Override
    public IngestDocument execute(IngestDocument document) {
        throw new UnsupportedOperationException(TYPE + " is asynchronous");
    }

    @Override
    public void execute(IngestDocument document, BiConsumer<IngestDocument, Exception> handler) {
        subBatchExecute(List.of(new IngestDocumentWrapper(0, 0, document, null)), results -> {
            Exception failure = results.get(0).getException();
            handler.accept(failure == null ? document : null, failure);
        });
    }

    @Override
    protected void subBatchExecute(List<IngestDocumentWrapper> documents, Consumer<List<IngestDocumentWrapper>> handler) {
        List<IngestDocumentWrapper> done = new ArrayList<>(documents.size());
        List<EncodeBatch> batches = prepare(List.copyOf(documents), done);
        if (batches.isEmpty()) {
            handler.accept(done);
            return;
        }
        AtomicInteger missing = new AtomicInteger(batches.size());
        Consumer<List<IngestDocumentWrapper>> collect = results -> {
            synchronized (done) {
                done.addAll(results);
            }
            if (missing.decrementAndGet() == 0) {
                handler.accept(done);
            }
        };
        batches.forEach(batch -> send(batch, missing, collect));
    }

    private void send(EncodeBatch batch, AtomicInteger missing, Consumer<List<IngestDocumentWrapper>> collect) {
        dependencies.client().get().call(batch.call(config.timeout()), listener(batch, missing, collect));
    }

    private ActionListener<Map<String, Object>> listener(
        EncodeBatch batch,
        AtomicInteger missing,
        Consumer<List<IngestDocumentWrapper>> collect
    ) {
        return new ActionListener<>() {
            @Override
            public void onResponse(Map<String, Object> answer) {
                List<IngestDocumentWrapper> results;
                try {
                    results = batch.succeed(answer, config);
                } catch (RuntimeException e) {
                    results = batch.fail(e);
                }
                collect.accept(results);
            }

            @Override
            public void onFailure(Exception failure) {
                if (failure instanceof InputTooLargeException && batch.size() > 1) {
                    missing.incrementAndGet();
                    batch.halves().forEach(half -> send(half, missing, collect));
                } else {
                    collect.accept(batch.fail(failure));
                }
            }
        };
    }

    /** Sorts documents into batches by index; those that fail, or need no call, are done at once. */
    private List<EncodeBatch> prepare(List<IngestDocumentWrapper> documents, List<IngestDocumentWrapper> done) {
        ClusterState state = dependencies.state().get();
        Limits limits = dependencies.limits().get();
        Map<String, VectorFields> known = new HashMap<>();
        Map<String, EncodeBatch> open = new HashMap<>();
        List<EncodeBatch> batches = new ArrayList<>();
        for (IngestDocumentWrapper wrapper : documents) {
            try {
                IngestDocument document = wrapper.getIngestDocument();
                VectorFields fields = known.computeIfAbsent(
                    dependencies.indexNames().apply((String) document.getSourceAndMetadata().get("_index")),
                    name -> VectorFields.of(state, name, config.fields())
                );
                EncodeInput input = EncodeInput.read(document, config, limits, fields.inputsUsed());
                removeStale(document, fields, input);
                if (input.worthSending() == false) {
                    dropImage(document, fields, config);
                    done.add(wrapper);
                    continue;
                }
                EncodeBatch batch = open.get(fields.index());
                if (batch == null || batch.hasRoomFor(input, limits.request()) == false) {
                    batch = new EncodeBatch(fields);
                    batches.add(batch);
                    open.put(fields.index(), batch);
                }
                batch.add(wrapper, input);
            } catch (RuntimeException e) {
                done.add(EncodeBatch.failed(wrapper, e));
            }
        }
        return batches;
    }

    /** Removes the vectors that the document's inputs replace; also if encoding fails later, they are not those of its text. */
    private void removeStale(IngestDocument document, VectorFields fields, EncodeInput input) {
        boolean hasVectors = false;
        for (Map.Entry<String, String> field : fields.inputs().entrySet()) {
            if (document.hasField(field.getKey())) {
                hasVectors = true;
                if (input.given().contains(field.getValue())) {
                    document.removeField(field.getKey());
                }
            }
        }
        if (input.given().isEmpty() && hasVectors == false && config.ignoreMissing() == false) {
            throw new IllegalArgumentException(
                "the document has none of the inputs " + fields.inputsUsed() + " of index [" + fields.index() + "], in fields ["
                    + config.textField() + "] and [" + config.imageField() + "]; set [ignore_missing] to let it pass"
            );
        }
    }

    /** Removes the image once it has been encoded; where no vectors are made of images, the field is none of ours. */
    static void dropImage(IngestDocument document, VectorFields fields, EncodeConfig config) {
        if (config.keepImage() == false && fields.inputsUsed().contains("image") && document.hasField(config.imageField())) {
            document.removeField(config.imageField());
        }
    }

    /** Makes processors from pipelines. */
    public static final class Factory extends AbstractBatchingProcessor.Factory {
        private final Dependencies dependencies;

        /** Prepares a factory whose processors share what they need of the node. */
        public Factory(Dependencies dependencies) {
            super(TYPE);
            this.dependencies = dependencies;
        }

        @Override
        public AbstractBatchingProcessor create(
            Map<String, Processor.Factory> factories,
            String tag,
            String description,
            Map<String, Object> config
        ) throws Exception {
            config.putIfAbsent(BATCH_SIZE_FIELD, DEFAULT_BATCH);
            return super.create(factories, tag, description, config);
        }

        @Override
        protected AbstractBatchingProcessor newProcessor(
            String tag,
            String description,
            int batchSize,
            Map<String, Object> config
        ) {
            if (batchSize > MAX_BATCH) {
                throw newConfigurationException(TYPE, tag, BATCH_SIZE_FIELD, "must be at most " + MAX_BATCH);
            }
            return new EncodeProcessor(tag, description, batchSize, EncodeConfig.read(TYPE, tag, config), dependencies);
        }
    }
}
