package io.github.opensearchmultimodal.service;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opensearch.common.settings.SecureSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.common.settings.SecureString;

class TrustedAuthoritiesTest {
    @TempDir
    static Path config;

    @BeforeAll
    static void makeCertificates() throws IOException, InterruptedException {
        keytool("-genkeypair", "-keyalg", "EC", "-dname", "CN=authority", "-keystore", "store.p12");
        keytool("-exportcert", "-rfc", "-file", "ca.pem", "-keystore", "store.p12");
        keytool("-importcert", "-noprompt", "-file", "ca.pem", "-keystore", "trust.p12");
        Files.writeString(config.resolve("empty.pem"), "");
        Files.writeString(config.resolve("wrong.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    }

    private static void keytool(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(System.getProperty("java.home") + "/bin/keytool"));
        command.addAll(List.of(arguments));
        command.addAll(List.of("-alias", "a", "-storepass", "changeit"));
        Process process = new ProcessBuilder(command).directory(config.toFile()).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
    }

    private static Settings pem(String path) {
        return Settings.builder().putList("multimodal.service.ssl.certificate_authorities", path).build();
    }

    private static String refusal(Settings settings) {
        return assertThrows(IllegalArgumentException.class, () -> TrustedAuthorities.context(settings, config)).getMessage();
    }

    @Test
    void nothingConfiguredIsTheJvmsOwnTrust() {
        assertTrue(TrustedAuthorities.context(Settings.EMPTY, config).isEmpty());
    }

    @Test
    void pemFilesAreRead() {
        assertTrue(TrustedAuthorities.context(pem("ca.pem"), config).isPresent());
    }

    @Test
    void filesThatHoldNoCertificateAreRefused() {
        assertTrue(refusal(pem("empty.pem")).contains("are none"));
        assertTrue(refusal(pem("wrong.pem")).contains("cannot be read"));
        assertTrue(refusal(pem("absent.pem")).contains("cannot be read"));
    }

    @Test
    void filesElsewhereAreRefused() {
        assertTrue(refusal(pem("../ca.pem")).contains("is not below the node's config folder"));
        assertTrue(refusal(pem("/etc/ssl/ca.pem")).contains("is not below the node's config folder"));
    }

    @Test
    void twoWaysAtOnceAreRefused() {
        Settings both = Settings.builder().put(pem("ca.pem")).put("multimodal.service.ssl.truststore.path", "store.p12").build();
        assertTrue(refusal(both).endsWith("not both"));
    }

    @Test
    void aTrustStoreIsReadWithItsPassword() {
        assertTrue(TrustedAuthorities.context(store("changeit"), config).isPresent());
        assertTrue(refusal(store("another")).contains("cannot be read"));
    }

    private static Settings store(String password) {
        return Settings.builder()
            .put("multimodal.service.ssl.truststore.path", "trust.p12")
            .setSecureSettings(new OneSecret("multimodal.service.ssl.truststore.password", password))
            .build();
    }

    /** A keystore with one value in it. */
    private record OneSecret(String name, String value) implements SecureSettings {
        @Override
        public boolean isLoaded() {
            return true;
        }

        @Override
        public Set<String> getSettingNames() {
            return Set.of(name);
        }

        @Override
        public SecureString getString(String setting) {
            return new SecureString(value.toCharArray());
        }

        @Override
        public InputStream getFile(String setting) {
            throw new UnsupportedOperationException(setting);
        }

        @Override
        public byte[] getSHA256Digest(String setting) {
            throw new UnsupportedOperationException(setting);
        }

        @Override
        public void close() {}
    }
}
