/** The asynchronous HTTP client to the service that encodes and ranks, with its settings and limits. */
package io.github.opensearchmultimodal.service;
