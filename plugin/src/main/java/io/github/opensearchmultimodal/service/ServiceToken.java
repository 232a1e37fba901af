package io.github.opensearchmultimodal.service;

import org.opensearch.core.common.settings.SecureString;

/** Checks the service's token as the service itself does; what is wrong with it is said without it. */
final class ServiceToken {
    private static final int SHORTEST = 16;

    private ServiceToken() {}

    /**
     * Returns a copy of the token; empty where there is none.
     *
     * @throws IllegalArgumentException it is too short, or not made of visible ASCII characters
     */
    static SecureString checked(SecureString token) {
        if (token.length() > 0 && token.length() < SHORTEST) {
            throw new IllegalArgumentException(
                "[multimodal.service.token] has " + token.length() + " characters, it needs " + SHORTEST
            );
        }
        for (int i = 0; i < token.length(); i++) {
            if (token.charAt(i) <= ' ' || token.charAt(i) > '~') {
                throw new IllegalArgumentException(
                    "[multimodal.service.token] takes only ASCII letters, digits and signs, no spaces: add it anew"
                );
            }
        }
        return token.clone();
    }
}
