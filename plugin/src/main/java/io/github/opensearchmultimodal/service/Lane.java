package io.github.opensearchmultimodal.service;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.function.IntSupplier;

/**
 * Lets a bounded number of calls, with a bounded number of bytes, be under way at once, and a bounded number wait. The
 * bytes are counted together with those of other lanes and of answers.
 *
 * <p>Calls start in the order in which they came. One that waited too long is rejected when its turn comes. Nothing of a
 * call runs while the lane's lock is held.
 */
final class Lane {
    /** A call that asks for a place. */
    interface Call {
        /** How many bytes of documents it carries. */
        long bytes();

        /** Whether it has waited so long that it must not begin any more. */
        boolean expired();

        /** Begins; {@link Lane#done} follows exactly once. */
        void start();

        /** Is told that it will not begin, and why. */
        void reject(String reason);
    }

    private final IntSupplier maxInFlight;
    private final IntSupplier maxQueue;
    private final ByteBudget bytes;
    private final Deque<Call> waiting = new ArrayDeque<>();
    private int inFlight;

    Lane(IntSupplier maxInFlight, IntSupplier maxQueue, ByteBudget bytes) {
        this.maxInFlight = maxInFlight;
        this.maxQueue = maxQueue;
        this.bytes = bytes;
    }

    /** Starts the call now or later, or rejects it. */
    void submit(Call call) {
        String reason = null;
        synchronized (this) {
            boolean taken = waiting.isEmpty() && takes(call);
            if (taken == false && waiting.size() < maxQueue.getAsInt()) {
                waiting.add(call);
                return;
            }
            if (taken == false) {
                reason = inFlight + " calls are under way and " + waiting.size() + " wait: try again later";
            }
        }
        if (reason == null) {
            call.start();
        } else {
            call.reject(reason);
        }
    }

    /** Gives a call's place back and lets others begin. */
    void done(Call call) {
        List<Call> started = new ArrayList<>();
        List<Call> expired = new ArrayList<>();
        synchronized (this) {
            inFlight--;
            bytes.give(call.bytes());
            while (waiting.isEmpty() == false) {
                Call next = waiting.peek();
                if (next.expired()) {
                    expired.add(waiting.poll());
                } else if (takes(next)) {
                    started.add(waiting.poll());
                } else {
                    break;
                }
            }
        }
        expired.forEach(next -> next.reject("it waited too long for calls that are under way: try again later"));
        started.forEach(Call::start);
    }

    /** Takes a place and the call's bytes, if there is room; alone in its lane a call always has it. */
    private boolean takes(Call call) {
        if (inFlight >= maxInFlight.getAsInt()) {
            return false;
        }
        if (bytes.tryTake(call.bytes()) == false) {
            if (inFlight > 0) {
                return false;
            }
            bytes.take(call.bytes());
        }
        inFlight++;
        return true;
    }
}
