package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.common.settings.Settings;

class ServiceSettingsTest {
    private static String url(String url) {
        return ServiceSettings.URL.get(Settings.builder().put("multimodal.service.url", url).build());
    }

    @ParameterizedTest
    @ValueSource(strings = { "", "http://localhost:8000", "https://encode.example.org/base/" })
    void urlsAreTaken(String url) {
        assertEquals(url, url(url));
    }

    @ParameterizedTest
    @ValueSource(
        strings = { "localhost:8000", "ftp://x", "file:///etc", "http://", "https://a:b@host", "http://host?x=1", "http://h#f", "http://a b" }
    )
    void othersAreRefused(String url) {
        String message = assertThrows(IllegalArgumentException.class, () -> url(url)).getMessage();
        assertTrue(message.startsWith("[multimodal.service.url]"));
    }

    @Test
    void noMoreBatchesAreUnderWayThanTheServiceTakes() {
        assertEquals(2, ServiceSettings.MAX_ENCODE_IN_FLIGHT.get(Settings.EMPTY));
        assertTrue(ServiceSettings.MAX_ENCODE_IN_FLIGHT.isDynamic());
    }

    @Test
    void whereCredentialsGoCannotBeChangedByClusterSettings() {
        assertFalse(ServiceSettings.URL.isDynamic());
        assertFalse(ServiceSettings.CERTIFICATE_AUTHORITIES.isDynamic());
        assertFalse(ServiceSettings.TRUSTSTORE_PATH.isDynamic());
        assertTrue(ServiceSettings.MAX_IN_FLIGHT.isDynamic());
    }
}
