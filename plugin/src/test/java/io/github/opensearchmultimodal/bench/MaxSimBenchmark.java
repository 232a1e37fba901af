package io.github.opensearchmultimodal.bench;

import io.github.opensearchmultimodal.maxsim.MaxSim;
import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.lucene.util.BytesRef;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Rescoring of 100 pages, 20 query tokens, as doc values hand them out. One thread: the time is CPU time.
 *
 * <p>{@code make bench} runs it; by hand, in plugin/ after {@code mvn test-compile dependency:build-classpath
 * -Dmdep.outputFile=target/classpath}: {@code java --add-modules jdk.incubator.vector -cp
 * target/test-classes:target/classes:$(cat target/classpath) org.openjdk.jmh.Main MaxSimBenchmark}. Without
 * {@code --add-modules} it measures plain Java; {@code -jvmArgsAppend -XX:UseAVX=2} a CPU without AVX-512.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(1)
public class MaxSimBenchmark {
    private static final int PAGES = 100;

    /** How the pages' vectors are stored. */
    @Param({"FLOAT32", "INT8", "BIT"})
    public Encoding encoding;

    /** Components of a vector. */
    @Param({"128"})
    public int dimension;

    /** Vectors of a page. */
    @Param({"1030"})
    public int vectors;

    /** Vectors of the query. */
    @Param({"20"})
    public int tokens;

    private final BytesRef[] pages = new BytesRef[PAGES];
    private final BytesRef buffer = new BytesRef();
    private MaxSim maxSim;

    /** Makes random pages and a random query. */
    @Setup
    public void prepare() {
        Random random = new Random(17);
        for (int page = 0; page < PAGES; page++) {
            byte[] message = WireFormat.pack(rows(random, vectors), dimension, encoding);
            pages[page] = new BytesRef(BlockLayout.fromWire(message));
        }
        buffer.bytes = new byte[pages[0].length];
        maxSim = new MaxSim(rows(random, tokens), dimension);
    }

    private float[] rows(Random random, int count) {
        float[] rows = new float[count * dimension];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) (random.nextGaussian() / Math.sqrt(dimension));
        }
        return rows;
    }

    /** Copies each page as Lucene's doc values do, and scores it. */
    @Benchmark
    public float rescore() {
        float sum = 0;
        for (BytesRef page : pages) {
            System.arraycopy(page.bytes, page.offset, buffer.bytes, 0, page.length);
            buffer.length = page.length;
            sum += maxSim.score(buffer);
        }
        return sum;
    }
}
