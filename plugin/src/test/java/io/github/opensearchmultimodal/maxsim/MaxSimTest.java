package io.github.opensearchmultimodal.maxsim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.opensearchmultimodal.support.Golden;
import io.github.opensearchmultimodal.vectors.BlockLayout;
import io.github.opensearchmultimodal.vectors.Encoding;
import io.github.opensearchmultimodal.vectors.WireFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.lucene.util.BytesRef;
import org.junit.jupiter.api.Test;

/** The kernels against the golden scores and against the definition; Maven runs this with and without the Vector API. */
class MaxSimTest {
    private static List<Kernel> kernels() {
        List<Kernel> kernels = new ArrayList<>(List.of(new PlainKernel()));
        if (Kernel.fastest().getClass() != PlainKernel.class) {
            kernels.add(Kernel.fastest());
        }
        return kernels;
    }

    @Test
    void theVectorApiIsUsedWhereTheModuleIs() {
        boolean absent = "false".equals(System.getProperty("osmm.test.vector"));
        assertEquals(absent ? "PlainKernel" : "VectorKernel", MaxSim.implementation());
    }

    @Test
    @SuppressWarnings("unchecked")
    void goldenScoresAreMet() throws IOException {
        List<Map<String, Object>> golden = Golden.read("maxsim/scores.json");
        assertFalse(golden.isEmpty());
        for (Kernel kernel : kernels()) {
            for (Map<String, Object> query : golden) {
                float[] rows = WireFormat.unpack(Base64.getDecoder().decode((String) query.get("query")));
                MaxSim maxSim = new MaxSim(rows, (int) query.get("dimension"), kernel);
                for (Map<String, Object> candidate : (List<Map<String, Object>>) query.get("candidates")) {
                    byte[] message = Base64.getDecoder().decode((String) candidate.get("message"));
                    double expected = ((Number) candidate.get("score")).doubleValue();
                    float score = maxSim.score(new BytesRef(BlockLayout.fromWire(message)));
                    String what = kernel + ", " + query.get("name") + ", " + candidate.get("encoding");
                    double bound = "bit".equals(candidate.get("encoding")) ? bitBound(rows, (int) query.get("dimension")) : 0;
                    assertEquals(expected, score, bound + 1e-4 * Math.max(1e-2, Math.abs(expected)), what);
                }
            }
        }
    }

    @Test
    void everyShapeAgreesWithTheDefinition() {
        Random random = new Random(11);
        for (Kernel kernel : kernels()) {
            for (int dimension : new int[] {1, 3, 16, 100, 128}) {
                for (int count : new int[] {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 127, 128, 129, 200}) {
                    for (int tokens : new int[] {1, 4, 6}) {
                        float[] query = rows(random, tokens, dimension);
                        float[] vectors = rows(random, count, dimension);
                        for (Encoding encoding : List.of(Encoding.FLOAT32, Encoding.INT8, Encoding.BIT)) {
                            byte[] message = WireFormat.pack(vectors, dimension, encoding);
                            double expected = definition(query, WireFormat.unpack(message), dimension);
                            MaxSim maxSim = new MaxSim(query, dimension, kernel);
                            BytesRef value = exactly(BlockLayout.fromWire(message));
                            maxSim.score(new BytesRef(BlockLayout.fromWire(message(dimension, 70)))); // leaves traces
                            String what = kernel + ": " + tokens + " × " + count + " × " + dimension + ", " + encoding;
                            double bound = encoding == Encoding.BIT ? bitBound(query, dimension) : 0;
                            assertEquals(expected, maxSim.score(value), bound + 1e-4 * (1 + Math.abs(expected)), what);
                            assertEquals(maxSim.score(value), maxSim.copy().score(value), what);
                        }
                    }
                }
            }
        }
    }

    /** What docs/wire-format.md allows a score against bits to differ by. */
    private static double bitBound(float[] query, int dimension) {
        double bound = 0;
        for (int row = 0; row < query.length; row += dimension) {
            float[] components = Arrays.copyOfRange(query, row, row + dimension);
            Arrays.sort(components);
            bound += Math.sqrt(dimension) * (components[dimension - 1] - components[0]) / 30;
        }
        return bound;
    }

    private static byte[] message(int dimension, int count) {
        float[] large = new float[count * dimension];
        Arrays.fill(large, 1e10f);
        return WireFormat.pack(large, dimension, Encoding.FLOAT32);
    }

    /** Returns the value at the very end of its array, so that a read past it fails. */
    private static BytesRef exactly(byte[] value) {
        byte[] bytes = new byte[value.length + 3];
        System.arraycopy(value, 0, bytes, 3, value.length);
        return new BytesRef(bytes, 3, value.length);
    }

    private static float[] rows(Random random, int count, int dimension) {
        float[] rows = new float[count * dimension];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) random.nextGaussian();
        }
        return rows;
    }

    private static double definition(float[] query, float[] vectors, int dimension) {
        double sum = 0;
        for (int q = 0; q < query.length; q += dimension) {
            double best = Double.NEGATIVE_INFINITY;
            for (int v = 0; v < vectors.length; v += dimension) {
                double product = 0;
                for (int j = 0; j < dimension; j++) {
                    product += (double) query[q + j] * vectors[v + j];
                }
                best = Math.max(best, product);
            }
            sum += best;
        }
        return sum;
    }

    @Test
    void anotherDimensionIsRefused() {
        MaxSim maxSim = new MaxSim(new float[] {1, 2}, 2);
        BytesRef value = new BytesRef(BlockLayout.fromWire(message(3, 1)));
        assertThrows(IllegalArgumentException.class, () -> maxSim.score(value));
    }
}
