package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ByteBudgetTest {
    private final ByteBudget budget = new ByteBudget(() -> 100L);

    @Test
    void answersAndRequestsTakeFromTheSame() {
        assertTrue(budget.tryTake(60));
        try (ByteBudget.Share one = budget.share(); ByteBudget.Share other = budget.share()) {
            assertTrue(one.tryTake(30));
            assertFalse(other.tryTake(20));
            assertTrue(other.tryTake(10));
            assertEquals(60 + 30 + 10, budget.held());
        }
        assertEquals(60, budget.held());
    }

    @Test
    void oneAnswerAlwaysHasRoom() {
        budget.take(500);
        ByteBudget.Share one = budget.share();
        ByteBudget.Share other = budget.share();
        assertTrue(one.tryTake(10));
        assertTrue(one.tryTake(10));
        assertFalse(other.tryTake(1));
        one.close();
        assertTrue(other.tryTake(1));
        other.close();
        assertEquals(500, budget.held());
    }

    @Test
    void whatWasGivenBackTakesNothingMore() {
        ByteBudget.Share share = budget.share();
        assertTrue(share.tryTake(10));
        share.close();
        share.close();
        assertFalse(share.tryTake(1));
        assertEquals(0, budget.held());
    }
}
