//! Ids that sort by time: 48 bits of milliseconds and 80 random bits, in Crockford base32, as ULIDs
//! are (github.com/ulid/spec), in lower case and with a prefix.

use jiff::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `PREFIX-` and 26 characters.
pub(crate) fn ordered_id(prefix: &str, now: Timestamp, random: u128) -> String {
    let millis = u128::try_from(now.as_millisecond()).unwrap_or_default();
    let value = (millis << 80) | (random & ((1 << 80) - 1));
    let digits = (0..26).rev().map(|place| {
        let digit = (value >> (place * 5)) & 31;
        char::from(ALPHABET[digit as usize])
    });
    format!("{prefix}-{}", digits.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_then_by_chance() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let early = ordered_id("c", at(1_000), u128::MAX);
        let late = ordered_id("c", at(1_001), 0);
        assert!(early < late, "{early} {late}");
        assert_eq!(early.len(), 28);
    }

    #[test]
    fn a_known_value_has_its_known_text() {
        // The example of the ULID specification.
        let time = Timestamp::from_millisecond(1_469_918_176_385).unwrap();
        assert!(
            ordered_id("c", time, 0).starts_with("c-01aryz6s41"),
            "{}",
            ordered_id("c", time, 0)
        );
    }
}
