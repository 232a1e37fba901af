package io.github.opensearchmultimodal.service;

import java.util.regex.Pattern;

/** Makes what the service says of a failure fit to be told: one line of bounded length. */
public final class Reason {
    private static final int LONGEST = 300;
    private static final Pattern NOT_PLAIN = Pattern.compile("[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]");

    private Reason() {}

    /** Returns the words without control characters, cut where they are long. */
    public static String plain(String said) {
        String start = said.length() > 2 * LONGEST ? said.substring(0, 2 * LONGEST) : said;
        String plain = NOT_PLAIN.matcher(start).replaceAll(" ").strip();
        return plain.length() > LONGEST ? plain.substring(0, LONGEST) + "…" : plain;
    }
}
