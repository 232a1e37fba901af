/** The ingest processor {@code multimodal_encode}: fills a document's vector fields by asking the service. */
package io.github.opensearchmultimodal.ingest;
