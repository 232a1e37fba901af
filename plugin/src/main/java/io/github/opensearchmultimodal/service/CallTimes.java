package io.github.opensearchmultimodal.service;

import java.time.Duration;

/**
 * The times that a call is allowed.
 *
 * @param attempt how long one attempt may take
 * @param retrying how long after its submission an attempt may still begin
 * @param all how long everything may take
 */
record CallTimes(Duration attempt, Duration retrying, Duration all) {}
