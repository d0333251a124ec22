//! Hides the values of secrets in what programs print.

/// Shorter values are in every text by chance; hiding them would hide everything.
const SHORTEST_SECRET: usize = 4;

/// Puts stars in place of secrets' values.
pub struct Redactor {
    secrets: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Hides these values.
    pub fn new(secrets: Vec<String>) -> Self {
        let mut secrets: Vec<_> = secrets
            .into_iter()
            .map(String::into_bytes)
            .filter(|value| value.len() >= SHORTEST_SECRET)
            .collect();
        // A secret that contains another goes first, else its rest would stay.
        secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Redactor { secrets }
    }

    /// `bytes` with three stars for each value.
    pub fn redact(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for secret in &self.secrets {
            while let Some(start) = find(&bytes, secret) {
                bytes.splice(start..start + secret.len(), *b"***");
            }
        }
        bytes
    }

    /// The same for a text.
    pub fn redact_text(&self, text: String) -> String {
        let redacted = self.redact(text.into_bytes());
        String::from_utf8_lossy(&redacted).into_owned()
    }
}

/// Where `needle` begins in `haystack`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + haystack.get(from..)?.iter().position(|byte| *byte == first)?;
        if haystack[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
