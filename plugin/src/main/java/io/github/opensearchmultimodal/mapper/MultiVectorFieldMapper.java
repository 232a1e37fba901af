package io.github.opensearchmultimodal.mapper;

import io.github.opensearchmultimodal.codec.MultimodalCodec;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.InvalidVectors;
import io.github.opensearchmultimodal.vectors.VectorParser;
import io.github.opensearchmultimodal.vectors.WireHeader;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.engine.EngineConfig;
import org.opensearch.index.mapper.FieldMapper;
import org.opensearch.index.mapper.Mapper;
import org.opensearch.index.mapper.MapperParsingException;
import org.opensearch.index.mapper.MappingLookup;
import org.opensearch.index.mapper.ObjectMapper;
import org.opensearch.index.mapper.ParametrizedFieldMapper;
import org.opensearch.index.mapper.ParseContext;

/**
 * Field type {@code multi_vector}: the token or patch vectors of one document, for late interaction.
 *
 * <p>Parameters: {@code dimension} (1–4096, required) and {@code encoding} ({@code float32}, {@code int8}, {@code bit};
 * default {@code int8}), neither of which can be changed later, and {@code meta}. A value that is no multi-vector of this
 * dimension refuses its document, whatever {@code index.mapping.ignore_malformed} says.
 */
public final class MultiVectorFieldMapper extends ParametrizedFieldMapper {
    /** The name of the type in mappings. */
    public static final String CONTENT_TYPE = "multi_vector";

    private static final Set<String> PARAMETERS = Set.of("type", "dimension", "encoding", "meta");
    private static final List<Encoding> ENCODINGS = List.of(Encoding.FLOAT32, Encoding.INT8, Encoding.BIT);
    private static final TypeParser BUILDERS = new TypeParser((name, context) -> new Builder(name));

    /** Reads a field's mapping; unknown parameters are refused, also those that other types take. */
    public static final Mapper.TypeParser PARSER = MultiVectorFieldMapper::parse;

    private final boolean storedOnce;

    private MultiVectorFieldMapper(
        String simpleName, MultiVectorFieldType type, MultiFields multiFields, CopyTo copyTo, boolean storedOnce
    ) {
        super(simpleName, type, multiFields, copyTo);
        this.storedOnce = storedOnce;
    }

    private static Mapper.Builder<?> parse(String name, Map<String, Object> node, Mapper.TypeParser.ParserContext context) {
        for (String parameter : node.keySet()) {
            if (!PARAMETERS.contains(parameter)) {
                throw new MapperParsingException(
                    "unknown parameter [" + parameter + "] on mapper [" + name + "] of type [" + CONTENT_TYPE + "]"
                );
            }
        }
        if (context.isWithinMultiField()) {
            throw new MapperParsingException("[" + name + "] of type [" + CONTENT_TYPE + "] cannot be a field of a field");
        }
        return BUILDERS.parse(name, node, context);
    }

    @Override
    public MultiVectorFieldType fieldType() {
        return (MultiVectorFieldType) super.fieldType();
    }

    @Override
    public boolean parsesArrayValue() {
        return true;
    }

    /** Replaces the inherited method, whose errors show the value. */
    @Override
    public void parse(ParseContext context) throws IOException {
        try {
            parseCreateField(context);
        } catch (InvalidVectors e) {
            throw new MapperParsingException("field [" + name() + "] of type [" + CONTENT_TYPE + "]: " + e.getMessage());
        }
    }

    @Override
    protected void parseCreateField(ParseContext context) throws IOException {
        if (context.parser().currentToken() == XContentParser.Token.VALUE_NULL) {
            return;
        }
        if (context.doc().getByKey(name()) != null) {
            throw new InvalidVectors("multi-vector: more than one value, a document can have only one");
        }
        byte[] message = VectorParser.parse(context.parser(), fieldType().dimension(), fieldType().encoding());
        context.doc().addWithKey(name(), new MultiVectorField(name(), message, storedOnce));
    }

    @Override
    protected void doValidate(MappingLookup mappers) {
        for (ObjectMapper object : mappers.objectMappers().values()) {
            boolean copied = object.nested().isIncludeInParent() || object.nested().isIncludeInRoot();
            if (copied && name().startsWith(object.fullPath() + ".")) {
                throw new MapperParsingException(
                    "[" + name() + "] of type [" + CONTENT_TYPE + "] cannot be in [" + object.fullPath()
                        + "], which has include_in_parent or include_in_root: a document can have only one value"
                );
            }
        }
    }

    @Override
    public ParametrizedFieldMapper.Builder getMergeBuilder() {
        return new Builder(simpleName(), storedOnce).init(this);
    }

    @Override
    protected String contentType() {
        return CONTENT_TYPE;
    }

    /** Builds mappers from parameters. */
    private static final class Builder extends ParametrizedFieldMapper.Builder {
        private final Parameter<Integer> dimension = new Parameter<>(
            "dimension", false, () -> 0, (name, context, value) -> parseDimension(name, value), in -> type(in).dimension()
        ).setValidator(this::checkDimension).alwaysSerialize();
        private final Parameter<Encoding> encoding = new Parameter<>(
            "encoding", false, () -> Encoding.INT8, (name, context, value) -> parseEncoding(name, value),
            in -> type(in).encoding()
        ).setSerializer((builder, name, value) -> builder.field(name, value.toString()), Encoding::toString)
            .alwaysSerialize();
        private final Parameter<Map<String, String>> meta = Parameter.metaParam();
        private final Boolean knownStoredOnce;

        private Builder(String name) {
            this(name, null);
        }

        /** Creates a builder that keeps what is known of the index, since merging gives it no index settings. */
        private Builder(String name, Boolean knownStoredOnce) {
            super(name);
            this.knownStoredOnce = knownStoredOnce;
        }

        private static MultiVectorFieldType type(FieldMapper mapper) {
            return ((MultiVectorFieldMapper) mapper).fieldType();
        }

        private static int parseDimension(String name, Object value) {
            try {
                return Integer.parseInt(value.toString());
            } catch (NumberFormatException e) {
                throw new MapperParsingException("[dimension] on mapper [" + name + "] is no whole number: [" + value + "]");
            }
        }

        private static Encoding parseEncoding(String name, Object value) {
            for (Encoding encoding : ENCODINGS) {
                if (encoding.toString().equals(value)) {
                    return encoding;
                }
            }
            throw new MapperParsingException(
                "[encoding] on mapper [" + name + "] is [" + value + "], it can be one of " + ENCODINGS
            );
        }

        private void checkDimension(int value) {
            if (value < 1 || value > WireHeader.MAX_DIMENSION) {
                throw new MapperParsingException(
                    String.format(
                        Locale.ROOT, "[dimension] on mapper [%s] of type [%s] is required and must be 1–%d%s", name,
                        CONTENT_TYPE, WireHeader.MAX_DIMENSION, dimension.isConfigured() ? ", it is " + value : ""
                    )
                );
            }
        }

        @Override
        protected List<Parameter<?>> getParameters() {
            return Arrays.asList(dimension, encoding, meta);
        }

        @Override
        public MultiVectorFieldMapper build(BuilderContext context) {
            String fullName = buildFullName(context);
            boolean storedOnce = knownStoredOnce != null
                ? knownStoredOnce
                : MultimodalCodec.NAME.equals(EngineConfig.INDEX_CODEC_SETTING.get(context.indexSettings()));
            return new MultiVectorFieldMapper(
                name,
                new MultiVectorFieldType(fullName, dimension.get(), encoding.get(), meta.get()),
                multiFieldsBuilder.build(this, context),
                copyTo.build(),
                storedOnce
            );
        }
    }
}
