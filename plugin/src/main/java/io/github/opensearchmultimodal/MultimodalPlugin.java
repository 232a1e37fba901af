package io.github.opensearchmultimodal;

import org.opensearch.plugins.Plugin;

/** Wires what the plugin adds to a node; nothing is decided here. */
public final class MultimodalPlugin extends Plugin {}
