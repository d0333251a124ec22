//! What somebody probably meant to type.

/// The candidate that `typed` was probably meant to be, if one is near enough.
pub fn did_you_mean<'a>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(did_you_mean("transcod", ["probe", "transcode"]), Some("transcode"));
        assert_eq!(did_you_mean("porbe", ["probe", "transcode"]), Some("probe"));
        assert_eq!(did_you_mean("overlay", ["probe", "transcode"]), None);
    }
}
