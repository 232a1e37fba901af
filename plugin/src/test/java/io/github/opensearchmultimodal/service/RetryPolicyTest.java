package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RetryPolicyTest {
    private static final Duration HOUR = Duration.ofHours(1);

    private static RetryPolicy policy(double jitter) {
        return new RetryPolicy(Duration.ofMillis(200), Duration.ofSeconds(10), () -> jitter);
    }

    private static Optional<Duration> millis(long millis) {
        return Optional.of(Duration.ofMillis(millis));
    }

    @Test
    void pausesDoubleUpToTheLongest() {
        RetryPolicy longest = policy(1);
        assertEquals(millis(200), longest.pause(1, Optional.empty(), HOUR));
        assertEquals(millis(200 * 2), longest.pause(2, Optional.empty(), HOUR));
        assertEquals(millis(200 * 4), longest.pause(3, Optional.empty(), HOUR));
        assertEquals(millis(10_000), longest.pause(7, Optional.empty(), HOUR));
        assertEquals(millis(10_000), longest.pause(1_000, Optional.empty(), HOUR));
    }

    @Test
    void jitterTakesUpToHalfAway() {
        assertEquals(millis(100), policy(0).pause(1, Optional.empty(), HOUR));
        assertEquals(millis(150), policy(0.5).pause(1, Optional.empty(), HOUR));
    }

    @Test
    void theServiceMayAskForALongerPauseOnly() {
        assertEquals(millis(3_000), policy(0).pause(1, millis(3_000), HOUR));
        assertEquals(millis(200), policy(1).pause(1, millis(0), HOUR));
    }

    @Test
    void thoseWhoWereAskedToWaitDoNotAllComeBackAtOnce() {
        assertEquals(millis(3_000 + 3_000 / 4), policy(0.5).pause(1, millis(3_000), HOUR));
        assertEquals(millis(3_000 + 3_000 / 2), policy(1).pause(1, millis(3_000), HOUR));
    }

    @Test
    void aPauseThatDoesNotFitIsNone() {
        assertEquals(Optional.empty(), policy(1).pause(1, Optional.empty(), Duration.ofMillis(200)));
        assertEquals(millis(200), policy(1).pause(1, Optional.empty(), Duration.ofMillis(201)));
        assertEquals(Optional.empty(), policy(1).pause(1, millis(60_000), Duration.ofSeconds(30)));
    }
}
