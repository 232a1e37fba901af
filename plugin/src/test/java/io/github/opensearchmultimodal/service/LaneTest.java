package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LaneTest {
    private final List<String> events = new ArrayList<>();

    private final class Recorded implements Lane.Call {
        private final String name;
        private final long bytes;
        private boolean expired;

        Recorded(String name, long bytes) {
            this.name = name;
            this.bytes = bytes;
        }

        @Override
        public long bytes() {
            return bytes;
        }

        @Override
        public boolean expired() {
            return expired;
        }

        @Override
        public void start() {
            events.add("start " + name);
        }

        @Override
        public void reject(String reason) {
            events.add("reject " + name);
        }
    }

    private Recorded submit(Lane lane, String name, long bytes) {
        Recorded call = new Recorded(name, bytes);
        lane.submit(call);
        return call;
    }

    @Test
    void callsBeyondTheQueueAreRejectedAndOthersStartInOrder() {
        Lane lane = new Lane(() -> 1, () -> 2, new ByteBudget(() -> 100L));
        Recorded a = submit(lane, "a", 1);
        Recorded b = submit(lane, "b", 1);
        submit(lane, "c", 1);
        submit(lane, "d", 1);
        assertEquals(List.of("start a", "reject d"), events);
        lane.done(a);
        lane.done(b);
        assertEquals(List.of("start a", "reject d", "start b", "start c"), events);
    }

    @Test
    void bytesAreBoundedButALargeCallGoesAlone() {
        Lane lane = new Lane(() -> 10, () -> 10, new ByteBudget(() -> 100L));
        Recorded a = submit(lane, "a", 60);
        Recorded b = submit(lane, "b", 60);
        Recorded c = submit(lane, "c", 500);
        submit(lane, "d", 1);
        assertEquals(List.of("start a"), events);
        lane.done(a);
        assertEquals(List.of("start a", "start b"), events);
        lane.done(b);
        assertEquals(List.of("start a", "start b", "start c"), events);
        lane.done(c);
        assertEquals(List.of("start a", "start b", "start c", "start d"), events);
    }

    @Test
    void lanesShareTheirBytes() {
        ByteBudget bytes = new ByteBudget(() -> 100L);
        Lane one = new Lane(() -> 10, () -> 10, bytes);
        Lane other = new Lane(() -> 10, () -> 10, bytes);
        Recorded a = submit(one, "a", 60);
        Recorded b = submit(other, "b", 30);
        Recorded c = submit(other, "c", 20);
        assertEquals(List.of("start a", "start b"), events);
        one.done(a);
        other.done(b);
        assertEquals(List.of("start a", "start b", "start c"), events);
        other.done(c);
        assertEquals(0, bytes.held());
    }

    @Test
    void aCallThatWaitedTooLongIsRejectedAndTheNextStarts() {
        Lane lane = new Lane(() -> 1, () -> 10, new ByteBudget(() -> 100L));
        Recorded a = submit(lane, "a", 1);
        submit(lane, "b", 1).expired = true;
        submit(lane, "c", 1);
        lane.done(a);
        assertEquals(List.of("start a", "reject b", "start c"), events);
    }

    @Test
    void neverMoreThanAllowedAreUnderWay() throws InterruptedException {
        int calls = 2_000;
        Lane lane = new Lane(() -> 3, () -> calls, new ByteBudget(() -> Long.MAX_VALUE));
        AtomicInteger underWay = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        CountDownLatch ended = new CountDownLatch(calls);
        try (ExecutorService pool = Executors.newFixedThreadPool(8)) {
            for (int i = 0; i < calls; i++) {
                lane.submit(new Lane.Call() {
                    @Override
                    public long bytes() {
                        return 1;
                    }

                    @Override
                    public boolean expired() {
                        return false;
                    }

                    @Override
                    public void start() {
                        most.accumulateAndGet(underWay.incrementAndGet(), Math::max);
                        pool.execute(() -> {
                            underWay.decrementAndGet();
                            ended.countDown();
                            lane.done(this);
                        });
                    }

                    @Override
                    public void reject(String reason) {
                        throw new AssertionError(reason);
                    }
                });
            }
            assertTrue(ended.await(30, TimeUnit.SECONDS));
        }
        assertTrue(most.get() <= 3);
    }
}
