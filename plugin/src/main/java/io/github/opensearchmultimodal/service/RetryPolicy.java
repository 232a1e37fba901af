package io.github.opensearchmultimodal.service;

import java.time.Duration;
import java.util.Optional;
import java.util.function.DoubleSupplier;

/**
 * How long to pause before an attempt is repeated: exponential with jitter, never shorter than the service asked for, and
 * only if the pause still fits the time allowed.
 *
 * @param first the pause after the first failure, before jitter
 * @param longest the longest pause, before jitter
 * @param jitter gives numbers in [0, 1)
 */
record RetryPolicy(Duration first, Duration longest, DoubleSupplier jitter) {

    /**
     * Returns the pause before the next attempt, or nothing if it is time to give up.
     *
     * @param failures how many attempts have failed, at least 1
     * @param asked what the service asked for by Retry-After
     * @param left how much of the time allowed is left
     */
    Optional<Duration> pause(int failures, Optional<Duration> asked, Duration left) {
        double factor = Math.pow(2, Math.min(failures - 1, 30));
        double full = Math.min(first.toNanos() * factor, longest.toNanos());
        Duration own = Duration.ofNanos((long) (full * (0.5 + 0.5 * jitter.getAsDouble())));
        Duration pause = asked.filter(wish -> wish.compareTo(own) > 0).map(this::spread).orElse(own);
        return pause.compareTo(left) < 0 ? Optional.of(pause) : Optional.empty();
    }

    /** Adds up to a half, so that all who were asked to wait do not come back at once. */
    private Duration spread(Duration asked) {
        return asked.plusNanos((long) (asked.toNanos() * 0.5 * jitter.getAsDouble()));
    }
}
