package io.github.opensearchmultimodal.service;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.common.settings.SecureString;

/** Makes the TLS context that trusts the configured authorities; files are read below the node's config folder only. */
final class TrustedAuthorities {
    private TrustedAuthorities() {}

    /**
     * Returns the context, or nothing where the JVM's own authorities are to be used.
     *
     * @throws IllegalArgumentException a file cannot be read, or two ways are configured at once
     */
    static Optional<SSLContext> context(Settings settings, Path config) {
        List<String> pems = ServiceSettings.CERTIFICATE_AUTHORITIES.get(settings);
        String store = ServiceSettings.TRUSTSTORE_PATH.get(settings);
        if (pems.isEmpty() && store.isEmpty()) {
            return Optional.empty();
        }
        if (pems.isEmpty() == false && store.isEmpty() == false) {
            throw new IllegalArgumentException(
                "set [" + key() + "] or [" + ServiceSettings.TRUSTSTORE_PATH.getKey() + "], not both"
            );
        }
        try {
            KeyStore trusted = store.isEmpty() ? fromPems(pems, config) : fromStore(store, settings, config);
            if (trusted.size() == 0) {
                throw new IllegalArgumentException("the service's trusted certificates are none: check " + pems + store);
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(trusted);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, factory.getTrustManagers(), null);
            return Optional.of(context);
        } catch (GeneralSecurityException | IOException e) {
            throw new IllegalArgumentException("the service's trusted certificates cannot be read: " + e, e);
        }
    }

    private static String key() {
        return ServiceSettings.CERTIFICATE_AUTHORITIES.getKey();
    }

    private static KeyStore fromPems(List<String> paths, Path config) throws GeneralSecurityException, IOException {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        for (String path : paths) {
            try (InputStream in = Files.newInputStream(below(config, path, key()))) {
                Collection<? extends Certificate> found = factory.generateCertificates(in);
                for (Certificate certificate : found) {
                    trusted.setCertificateEntry("authority-" + trusted.size(), certificate);
                }
            }
        }
        return trusted;
    }

    private static KeyStore fromStore(String path, Settings settings, Path config)
        throws GeneralSecurityException, IOException {
        boolean jks = path.toLowerCase(Locale.ROOT).endsWith(".jks");
        KeyStore trusted = KeyStore.getInstance(jks ? "JKS" : "PKCS12");
        try (
            SecureString password = ServiceSettings.TRUSTSTORE_PASSWORD.get(settings);
            InputStream in = Files.newInputStream(below(config, path, ServiceSettings.TRUSTSTORE_PATH.getKey()))
        ) {
            trusted.load(in, password.getChars());
        }
        return trusted;
    }

    private static Path below(Path config, String path, String key) {
        Path file = config.resolve(path).normalize();
        if (file.startsWith(config.normalize()) == false) {
            throw new IllegalArgumentException("[" + key + "]: " + path + " is not below the node's config folder");
        }
        return file;
    }
}
