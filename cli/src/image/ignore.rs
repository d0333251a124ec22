//! `.dockerignore`: which files of a folder stay out of a build. Pure.

use globset::{GlobBuilder, GlobMatcher};

/// The rules of one file, in their order; the last that fits a path decides.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<(GlobMatcher, bool)>,
}

impl Ignore {
    /// Reads the text of a `.dockerignore`. Lines that are no pattern are passed over, as Docker
    /// does with comments.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let rules = lines.filter_map(|line| {
            let (pattern, excludes) = match line.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), false),
                None => (line, true),
            };
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            let glob = GlobBuilder::new(pattern).literal_separator(true).build().ok()?;
            Some((glob.compile_matcher(), excludes))
        });
        Ignore { rules: rules.collect() }
    }

    /// Whether the file at `path`, from the folder's root, stays out. A pattern that fits a folder
    /// fits everything in it.
    pub(super) fn excludes(&self, path: &str) -> bool {
        let fits = |rule: &GlobMatcher| {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            ends.into_iter().any(|end| rule.is_match(&path[..end]))
        };
        let last = self.rules.iter().rev().find(|(rule, _)| fits(rule));
        last.is_some_and(|(_, excludes)| *excludes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_decides_and_folders_take_their_files_along() {
        let ignore = Ignore::parse("# media\nmedia\n**/*.tmp\n!media/keep.mp4\n/target/\n");
        for (path, excluded) in [
            ("media/a.mp4", true),
            ("media/keep.mp4", false),
            ("deep/x.tmp", true),
            ("x.tmp", true),
            ("target/debug/x", true),
            ("src/target", false),
            ("mediation", false),
        ] {
            assert_eq!(ignore.excludes(path), excluded, "{path}");
        }
    }
}
