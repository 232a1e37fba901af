package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.core.common.settings.SecureString;

class ServiceTokenTest {
    private static SecureString checked(String token) {
        return ServiceToken.checked(new SecureString(token.toCharArray()));
    }

    @ParameterizedTest
    @ValueSource(strings = { "", "0123456789abcdef", "~!@#$%^&*()_+{}|:" })
    void tokensAreTaken(String token) {
        assertEquals(token, checked(token).toString());
    }

    @ParameterizedTest
    @ValueSource(strings = { "unmistakable\r\nsecret", "unmistakable secret ", "unmistakable\u0001secret", "unmistakable\u20acsecret" })
    void whatNoHeaderTakesIsRefusedAndNotQuoted(String token) {
        String message = assertThrows(IllegalArgumentException.class, () -> checked(token)).getMessage();
        assertTrue(message.startsWith("[multimodal.service.token]"));
        assertFalse(message.contains("unmistakable"));
    }

    @Test
    void aShortOneIsRefused() {
        String message = assertThrows(IllegalArgumentException.class, () -> checked("short")).getMessage();
        assertEquals("[multimodal.service.token] has 5 characters, it needs 16", message);
    }
}
