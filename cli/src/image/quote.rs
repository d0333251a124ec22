//! Texts in a Dockerfile. The one place where they are quoted, so that none becomes an instruction.

/// `text` between double quotes, as ENV and LABEL take it: nothing in it is a variable or ends it.
/// It must have no line break, which the manifest's checks see to.
pub(super) fn word(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Words as a JSON array, the form of an instruction that no shell reads and that may hold any
/// character.
pub(super) fn array<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&words).expect("words are JSON")
}

/// A command for a shell, as RUN takes it.
pub(super) fn shell(command: &str) -> String {
    array(&["/bin/sh", "-c", command])
}

/// A word of a shell command that is taken as it is.
pub(super) fn argument(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_stays_on_its_line(text in "\\PC{0,30}|.*[\"\\\\$\n\r]{1,4}.*") {
            for quoted in [word(&text), shell(&text)] {
                prop_assert!(!quoted.contains(['\n', '\r']), "{quoted}");
            }
        }

        #[test]
        fn a_command_comes_out_as_it_went_in(text in "\\PC{0,30}[\n\"'\\\\]{0,3}") {
            let words: Vec<String> = serde_json::from_str(&shell(&text)).unwrap();
            prop_assert_eq!(&words[2], &text);
        }
    }

    #[test]
    fn quotes_and_variables_mean_themselves() {
        assert_eq!(word(r#"a "b" $HOME \"#), r#""a \"b\" \$HOME \\""#);
        assert_eq!(argument("it's"), r"'it'\''s'");
    }
}
