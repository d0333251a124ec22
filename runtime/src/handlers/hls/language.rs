//! Languages as files and playlists name them. Pure.

/// ISO 639-2 codes, the code of two letters that BCP 47 wants instead (RFC 5646 §2.2.1), and the
/// English name. Codes of both kinds that ISO 639-2 has are listed.
const LANGUAGES: &[(&str, &str, &str)] = &[
    ("ara", "ar", "Arabic"),
    ("ben", "bn", "Bengali"),
    ("bul", "bg", "Bulgarian"),
    ("cat", "ca", "Catalan"),
    ("ces", "cs", "Czech"),
    ("chi", "zh", "Chinese"),
    ("cze", "cs", "Czech"),
    ("dan", "da", "Danish"),
    ("deu", "de", "German"),
    ("dut", "nl", "Dutch"),
    ("ell", "el", "Greek"),
    ("eng", "en", "English"),
    ("est", "et", "Estonian"),
    ("fas", "fa", "Persian"),
    ("fin", "fi", "Finnish"),
    ("fra", "fr", "French"),
    ("fre", "fr", "French"),
    ("ger", "de", "German"),
    ("gre", "el", "Greek"),
    ("heb", "he", "Hebrew"),
    ("hin", "hi", "Hindi"),
    ("hrv", "hr", "Croatian"),
    ("hun", "hu", "Hungarian"),
    ("ind", "id", "Indonesian"),
    ("ita", "it", "Italian"),
    ("jpn", "ja", "Japanese"),
    ("kor", "ko", "Korean"),
    ("lav", "lv", "Latvian"),
    ("lit", "lt", "Lithuanian"),
    ("may", "ms", "Malay"),
    ("msa", "ms", "Malay"),
    ("nld", "nl", "Dutch"),
    ("nor", "no", "Norwegian"),
    ("per", "fa", "Persian"),
    ("pol", "pl", "Polish"),
    ("por", "pt", "Portuguese"),
    ("ron", "ro", "Romanian"),
    ("rum", "ro", "Romanian"),
    ("rus", "ru", "Russian"),
    ("slk", "sk", "Slovak"),
    ("slo", "sk", "Slovak"),
    ("slv", "sl", "Slovenian"),
    ("spa", "es", "Spanish"),
    ("srp", "sr", "Serbian"),
    ("swe", "sv", "Swedish"),
    ("tam", "ta", "Tamil"),
    ("tel", "te", "Telugu"),
    ("tha", "th", "Thai"),
    ("tur", "tr", "Turkish"),
    ("ukr", "uk", "Ukrainian"),
    ("urd", "ur", "Urdu"),
    ("vie", "vi", "Vietnamese"),
    ("zho", "zh", "Chinese"),
];

/// Whether `code` can be one of ISO 639-2.
pub(super) fn is_code(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_lowercase())
}

/// The English name of a language by its ISO 639-2 code.
pub(super) fn name(code: &str) -> Option<&'static str> {
    find(code).map(|(_, _, name)| *name)
}

/// The BCP 47 code for one of ISO 639-2.
pub(super) fn tag(code: &str) -> &str {
    find(code).map_or(code, |(_, short, _)| short)
}

fn find(code: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    LANGUAGES.iter().find(|(known, _, _)| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_a_name_and_the_shortest_code() {
        assert_eq!((tag("ger"), tag("deu"), name("deu")), ("de", "de", Some("German")));
        assert_eq!((tag("gsw"), name("gsw")), ("gsw", None));
        assert!(is_code("eng") && !is_code("en") && !is_code("EN\""));
        assert!(LANGUAGES.is_sorted());
    }
}
