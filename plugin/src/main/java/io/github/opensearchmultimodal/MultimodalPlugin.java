package io.github.opensearchmultimodal;

import io.github.opensearchmultimodal.codec.MultimodalCodec;
import io.github.opensearchmultimodal.ingest.EncodeProcessor;
import io.github.opensearchmultimodal.ingest.IngestSettings;
import io.github.opensearchmultimodal.ingest.Limits;
import io.github.opensearchmultimodal.mapper.MultiVectorFieldMapper;
import io.github.opensearchmultimodal.maxsim.MaxSim;
import io.github.opensearchmultimodal.query.LateInteractionQueryBuilder;
import io.github.opensearchmultimodal.search.IndexDates;
import io.github.opensearchmultimodal.search.MultimodalQueryBuilder;
import io.github.opensearchmultimodal.search.QueryProcessor;
import io.github.opensearchmultimodal.search.RankedDocumentsQueryBuilder;
import io.github.opensearchmultimodal.search.Ranker;
import io.github.opensearchmultimodal.service.ServiceClient;
import io.github.opensearchmultimodal.service.ServiceSettings;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.lucene.codecs.Codec;
import org.apache.lucene.codecs.lucene104.Lucene104Codec;
import org.apache.lucene.util.SetOnce;
import org.opensearch.cluster.metadata.IndexNameExpressionResolver;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.util.concurrent.OpenSearchExecutors;
import org.opensearch.core.common.io.stream.NamedWriteableRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.env.Environment;
import org.opensearch.env.NodeEnvironment;
import org.opensearch.index.IndexSettings;
import org.opensearch.index.codec.AdditionalCodecs;
import org.opensearch.index.mapper.Mapper;
import org.opensearch.ingest.Processor;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.EnginePlugin;
import org.opensearch.plugins.IngestPlugin;
import org.opensearch.plugins.MapperPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.ReloadablePlugin;
import org.opensearch.plugins.SearchPipelinePlugin;
import org.opensearch.plugins.SearchPlugin;
import org.opensearch.repositories.RepositoriesService;
import org.opensearch.rest.RestHeaderDefinition;
import org.opensearch.script.ScriptService;
import org.opensearch.search.pipeline.SearchRequestProcessor;
import org.opensearch.threadpool.ExecutorBuilder;
import org.opensearch.threadpool.FixedExecutorBuilder;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;
import org.opensearch.watcher.ResourceWatcherService;

/** Wires what the plugin adds to a node; nothing is decided here. */
public final class MultimodalPlugin extends Plugin
    implements
        ActionPlugin,
        EnginePlugin,
        IngestPlugin,
        MapperPlugin,
        ReloadablePlugin,
        SearchPipelinePlugin,
        SearchPlugin {
    private final SetOnce<ServiceClient> client = new SetOnce<>();
    private final SetOnce<Ranker> ranker = new SetOnce<>();
    private final SetOnce<ClusterService> cluster = new SetOnce<>();
    private final SetOnce<Limits> limits = new SetOnce<>();
    private final SetOnce<IndexNameExpressionResolver> indexNames = new SetOnce<>();

    @Override
    public List<Setting<?>> getSettings() {
        List<Setting<?>> settings = new ArrayList<>(ServiceSettings.all());
        settings.addAll(IngestSettings.all());
        return settings;
    }

    @Override
    public List<ExecutorBuilder<?>> getExecutorBuilders(Settings settings) {
        int threads = Math.max(2, Math.min(4, OpenSearchExecutors.allocatedProcessors(settings)));
        return List.of(new FixedExecutorBuilder(settings, ServiceClient.POOL, threads, -1, "multimodal.service.thread_pool"));
    }

    @Override
    public Collection<Object> createComponents(
        Client nodeClient,
        ClusterService clusterService,
        ThreadPool threadPool,
        ResourceWatcherService resourceWatcherService,
        ScriptService scriptService,
        NamedXContentRegistry xContentRegistry,
        Environment environment,
        NodeEnvironment nodeEnvironment,
        NamedWriteableRegistry namedWriteableRegistry,
        IndexNameExpressionResolver indexNameExpressionResolver,
        Supplier<RepositoriesService> repositoriesServiceSupplier
    ) {
        LogManager.getLogger(MultimodalPlugin.class).info("MaxSim is computed by {}", MaxSim.implementation());
        Settings settings = environment.settings();
        client.set(new ServiceClient(settings, clusterService.getClusterSettings(), environment.configDir(), threadPool));
        limits.set(new Limits(settings, clusterService.getClusterSettings()));
        ranker.set(new Ranker(client.get(), threadPool.getThreadContext(), limits.get()));
        cluster.set(clusterService);
        indexNames.set(indexNameExpressionResolver);
        return List.of(client.get());
    }

    @Override
    public void reload(Settings settings) {
        client.get().reloadToken(settings);
    }

    @Override
    public Map<String, Processor.Factory> getProcessors(Processor.Parameters parameters) {
        EncodeProcessor.Dependencies dependencies = new EncodeProcessor.Dependencies(
            client::get,
            () -> parameters.ingestService.getClusterService().state(),
            limits::get,
            name -> indexNames.get().resolveDateMathExpression(name)
        );
        return Map.of(EncodeProcessor.TYPE, new EncodeProcessor.Factory(dependencies));
    }

    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of(MultiVectorFieldMapper.CONTENT_TYPE, MultiVectorFieldMapper.PARSER);
    }

    @Override
    public List<QuerySpec<?>> getQueries() {
        return List.of(
            new QuerySpec<>(
                LateInteractionQueryBuilder.NAME, LateInteractionQueryBuilder::new, LateInteractionQueryBuilder::fromXContent
            ),
            new QuerySpec<>(
                MultimodalQueryBuilder.NAME,
                in -> new MultimodalQueryBuilder(in, ranker::get),
                parser -> MultimodalQueryBuilder.parse(parser, ranker::get)
            ),
            new QuerySpec<>(
                RankedDocumentsQueryBuilder.NAME,
                RankedDocumentsQueryBuilder::new,
                RankedDocumentsQueryBuilder::parse
            )
        );
    }

    /** The codec wraps the index's default one; with star-tree fields, whose codec is another, it cannot be chosen. */
    @Override
    public Optional<AdditionalCodecs> getAdditionalCodecs(IndexSettings settings) {
        return Optional.of((mapperService, indexSettings, defaultCodec) -> {
            Codec codec = defaultCodec.get();
            return codec instanceof Lucene104Codec ? Map.of(MultimodalCodec.NAME, new MultimodalCodec(codec)) : Map.of();
        });
    }

    @Override
    public Map<String, org.opensearch.search.pipeline.Processor.Factory<SearchRequestProcessor>> getRequestProcessors(
        SearchPipelinePlugin.Parameters parameters
    ) {
        IndexDates dates = new IndexDates(() -> cluster.get().state(), indexNames::get);
        return Map.of(QueryProcessor.TYPE, new QueryProcessor.Factory(ranker::get, dates));
    }

    @Override
    public Collection<RestHeaderDefinition> getRestHeaders() {
        return List.of(new RestHeaderDefinition(Ranker.AUTHORIZATION, false));
    }
}
