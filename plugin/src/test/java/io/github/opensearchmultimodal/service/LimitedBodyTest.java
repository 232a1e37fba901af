package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow.Subscription;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class LimitedBodyTest {
    private final ByteBudget budget = new ByteBudget(() -> 100L);

    private static final class Source implements Subscription {
        private boolean cancelled;

        @Override
        public void request(long n) {}

        @Override
        public void cancel() {
            cancelled = true;
        }
    }

    private static LimitedBody body(ByteBudget.Share share, Source source) {
        LimitedBody body = new LimitedBody(80, share);
        body.onSubscribe(source);
        return body;
    }

    private static List<ByteBuffer> bytes(int count) {
        return List.of(ByteBuffer.wrap(new byte[count / 2]), ByteBuffer.wrap(new byte[count - count / 2]));
    }

    private static Throwable failure(LimitedBody body) {
        CompletableFuture<byte[]> future = body.getBody().toCompletableFuture();
        return assertThrows(ExecutionException.class, () -> future.get(5, TimeUnit.SECONDS)).getCause();
    }

    @Test
    void answersThatDoNotFitTogetherAreGivenUp() throws Exception {
        Source one = new Source();
        Source other = new Source();
        try (ByteBudget.Share first = budget.share(); ByteBudget.Share second = budget.share()) {
            LimitedBody kept = body(first, one);
            LimitedBody givenUp = body(second, other);
            kept.onNext(bytes(60));
            givenUp.onNext(bytes(60));
            assertInstanceOf(LimitedBody.NoRoom.class, failure(givenUp));
            assertTrue(other.cancelled);
            kept.onNext(bytes(9));
            kept.onComplete();
            assertArrayEquals(new byte[69], kept.getBody().toCompletableFuture().get());
            assertEquals(false, one.cancelled);
        }
        assertEquals(0, budget.held());
    }

    @Test
    void aLargeAnswerIsReadNoFurtherThanItsLimit() {
        Source source = new Source();
        try (ByteBudget.Share share = budget.share()) {
            LimitedBody body = body(share, source);
            body.onNext(bytes(70));
            body.onNext(bytes(11));
            assertInstanceOf(LimitedBody.TooLarge.class, failure(body));
            assertTrue(source.cancelled);
        }
    }
}
