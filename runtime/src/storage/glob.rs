//! Patterns such as `clips/*.mp4`, matched name by name as a shell does.

use std::io;

use globset::{GlobBuilder, GlobMatcher};

use super::path::VolumePath;
use super::tree::{Kind, Tree};

/// A pattern for paths: `*`, `?`, `[…]` and `{a,b}` within a name, `**` for any folders.
#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// `**`.
    Folders,
    /// Anything else. `hidden`: it may match names that start with a dot.
    Name { matcher: GlobMatcher, hidden: bool },
}

impl Pattern {
    /// Whether `text` has anything of a pattern in it.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }

    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, globset::Error> {
        let parts = text.split('/').filter(|part| !matches!(*part, "" | ".")).map(|part| {
            if part == "**" {
                return Ok(Part::Folders);
            }
            let glob = GlobBuilder::new(part).literal_separator(true).build()?;
            Ok(Part::Name { matcher: glob.compile_matcher(), hidden: part.starts_with('.') })
        });
        Ok(Pattern { parts: parts.collect::<Result<_, _>>()? })
    }

    /// What matches below `tree`, sorted. Links are matched and not followed.
    pub fn matches(&self, tree: &Tree) -> io::Result<Vec<VolumePath>> {
        let mut found = Vec::new();
        collect(tree, &VolumePath::root(), &self.parts, &mut found)?;
        found.sort();
        found.dedup();
        Ok(found)
    }
}

impl Pattern {
    /// What matches among `paths` of files, and the folders that these are in; sorted.
    pub(super) fn among(&self, paths: impl Iterator<Item = VolumePath>) -> Vec<VolumePath> {
        let mut found = Vec::new();
        for path in paths {
            let names: Vec<&str> = path.parts().collect();
            for depth in 1..=names.len() {
                if matches(&self.parts, &names[..depth]) {
                    let start = VolumePath::root();
                    found.push(names[..depth].iter().fold(start, |path, name| path.join(name)));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Whether names, one after another, match the parts of a pattern.
fn matches(parts: &[Part], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, names) => names.is_none(),
        (Some((Part::Folders, rest)), None) => rest.is_empty(),
        (Some((Part::Folders, rest)), Some((name, below))) => {
            matches(rest, names) || (!name.starts_with('.') && matches(parts, below))
        }
        (Some((Part::Name { .. }, _)), None) => false,
        (Some((Part::Name { matcher, hidden }, rest)), Some((name, below))) => {
            (*hidden || !name.starts_with('.')) && matcher.is_match(name) && matches(rest, below)
        }
    }
}

fn collect(
    tree: &Tree,
    folder: &VolumePath,
    parts: &[Part],
    found: &mut Vec<VolumePath>,
) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    if let Part::Folders = part {
        collect(tree, folder, rest, found)?;
    }
    for entry in tree.list(folder)? {
        let Some(name) = entry.name.to_str() else { continue };
        let path = folder.join(name);
        let is_folder = entry.stat.kind == Kind::Folder;
        match part {
            Part::Folders if is_folder && !name.starts_with('.') => {
                collect(tree, &path, parts, found)?;
            }
            Part::Folders if rest.is_empty() => found.push(path),
            Part::Folders => {}
            Part::Name { hidden: false, .. } if name.starts_with('.') => {}
            Part::Name { matcher, .. } if !matcher.is_match(name) => {}
            Part::Name { .. } if rest.is_empty() => found.push(path),
            Part::Name { .. } if is_folder => collect(tree, &path, rest, found)?,
            Part::Name { .. } => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.mp4", "b.mov", ".hidden.mp4", "clips/c.mp4", "clips/deep/d.mp4"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = Pattern::parse(pattern).unwrap().matches(&Tree::open(dir.path()).unwrap());
        found.unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        assert_eq!(matches("*.mp4"), ["a.mp4"]);
        assert_eq!(matches("*.{mp4,mov}"), ["a.mp4", "b.mov"]);
        assert_eq!(matches("/cl*/[cd].mp4"), ["clips/c.mp4"]);
        assert_eq!(matches("**/*.mp4"), ["a.mp4", "clips/c.mp4", "clips/deep/d.mp4"]);
        assert_eq!(matches(".h*"), [".hidden.mp4"]);
        assert_eq!(matches("*"), ["a.mp4", "b.mov", "clips"]);
        assert!(matches("nothing*").is_empty());
    }
}
