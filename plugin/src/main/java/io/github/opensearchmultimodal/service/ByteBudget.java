package io.github.opensearchmultimodal.service;

import java.util.function.LongSupplier;

/** The bytes that all calls together may hold, requests and answers; safe to use from several threads. */
final class ByteBudget {
    private final LongSupplier limit;
    private long held;
    private long heldByAnswers;

    ByteBudget(LongSupplier limit) {
        this.limit = limit;
    }

    long limit() {
        return limit.getAsLong();
    }

    synchronized long held() {
        return held;
    }

    /** Takes the bytes if they fit. */
    synchronized boolean tryTake(long bytes) {
        if (held + bytes > limit.getAsLong()) {
            return false;
        }
        held += bytes;
        return true;
    }

    /** Takes the bytes whether they fit or not. */
    synchronized void take(long bytes) {
        held += bytes;
    }

    /** Gives bytes back. */
    synchronized void give(long bytes) {
        held -= bytes;
    }

    /** Returns an empty share, for an answer whose size is not known before it has come. */
    Share share() {
        return new Share();
    }

    private synchronized boolean tryTakeForAnswer(long bytes, long taken) {
        if (tryTake(bytes) == false) {
            if (heldByAnswers > taken) {
                return false;
            }
            take(bytes); // the only answer: without this, large requests could keep every answer away
        }
        heldByAnswers += bytes;
        return true;
    }

    private synchronized void giveFromAnswer(long bytes) {
        give(bytes);
        heldByAnswers -= bytes;
    }

    /** What one answer holds, until it is closed; then it takes nothing more. */
    final class Share implements AutoCloseable {
        private long taken;
        private boolean closed;

        synchronized boolean tryTake(long bytes) {
            if (closed || tryTakeForAnswer(bytes, taken) == false) {
                return false;
            }
            taken += bytes;
            return true;
        }

        @Override
        public synchronized void close() {
            if (closed == false) {
                closed = true;
                giveFromAnswer(taken);
            }
        }
    }
}
