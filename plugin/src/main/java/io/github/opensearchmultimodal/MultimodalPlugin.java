package io.github.opensearchmultimodal;

import io.github.opensearchmultimodal.codec.MultimodalCodec;
import io.github.opensearchmultimodal.mapper.MultiVectorFieldMapper;
import io.github.opensearchmultimodal.query.LateInteractionQueryBuilder;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.lucene.codecs.Codec;
import org.apache.lucene.codecs.lucene104.Lucene104Codec;
import org.opensearch.index.IndexSettings;
import org.opensearch.index.codec.AdditionalCodecs;
import org.opensearch.index.mapper.Mapper;
import org.opensearch.plugins.EnginePlugin;
import org.opensearch.plugins.MapperPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SearchPlugin;

/** Wires what the plugin adds to a node; nothing is decided here. */
public final class MultimodalPlugin extends Plugin implements MapperPlugin, SearchPlugin, EnginePlugin {
    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of(MultiVectorFieldMapper.CONTENT_TYPE, MultiVectorFieldMapper.PARSER);
    }

    @Override
    public List<QuerySpec<?>> getQueries() {
        return List.of(
            new QuerySpec<>(
                LateInteractionQueryBuilder.NAME, LateInteractionQueryBuilder::new, LateInteractionQueryBuilder::fromXContent
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
}
