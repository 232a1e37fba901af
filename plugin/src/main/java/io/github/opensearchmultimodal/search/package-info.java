/** The query {@code multimodal}, what it becomes, and the search request processor {@code multimodal_query}. */
package io.github.opensearchmultimodal.search;
