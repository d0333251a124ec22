//! Files by pattern, as a shell finds them.

use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::error::{CliError, Result};

/// Files that match `pattern`, sorted. What can't be looked into is an error in its place. Relative
/// patterns start at `folder`, whatever its name looks like.
pub(super) fn files(pattern: &str, folder: &Path) -> Result<Vec<Result<PathBuf>>> {
    let parts: Vec<_> =
        Path::new(pattern).components().filter(|part| *part != Component::CurDir).collect();
    let (fixed, wild) = parts.split_at(parts.iter().take_while(|part| is_fixed(part)).count());
    let root = folder.join(fixed.iter().collect::<PathBuf>());
    if wild.is_empty() {
        return Ok(Some(root).filter(|file| file.is_file()).map(Ok).into_iter().collect());
    }
    let wild = Wild::new(wild)
        .map_err(|error| CliError::usage(format!("`{pattern}` isn't a pattern")).cause(error))?;
    Ok(wild.walk(&root))
}

fn is_fixed(part: &Component<'_>) -> bool {
    !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{', '\\'])
}

/// The part of a pattern from its first wildcard on.
struct Wild {
    /// What files match, from where the walk starts.
    whole: GlobMatcher,
    /// What folders match on the way there, by their depth; none from a `**` on, or within braces.
    folders: Vec<GlobMatcher>,
    /// How deep files can be.
    depth: usize,
}

impl Wild {
    fn new(parts: &[Component<'_>]) -> Result<Self, globset::Error> {
        let names: Vec<_> = parts.iter().map(|part| part.as_os_str().to_string_lossy()).collect();
        let deep = names.iter().position(|name| name.contains("**"));
        let folders = (1..=deep.unwrap_or(names.len() - 1))
            .map_while(|depth| matcher(&names[..depth].join("/")).ok())
            .collect();
        let depth = if deep.is_some() { usize::MAX } else { names.len() };
        Ok(Wild { whole: matcher(&names.join("/"))?, folders, depth })
    }

    fn walk(&self, root: &Path) -> Vec<Result<PathBuf>> {
        let within = |path: &Path| path.strip_prefix(root).map(Path::to_owned).unwrap_or_default();
        WalkDir::new(root)
            .follow_links(true)
            .max_depth(self.depth)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| self.leads_on(entry, &within(entry.path())))
            .filter_map(|entry| match entry {
                Ok(entry) => {
                    let matches = self.whole.is_match(within(entry.path()));
                    (matches && entry.file_type().is_file()).then(|| Ok(entry.into_path()))
                }
                Err(error) => {
                    let matches =
                        error.path().is_some_and(|path| self.whole.is_match(within(path)));
                    is_worth_telling(&error, matches).then(|| Err(unreadable(&error)))
                }
            })
            .collect()
    }

    /// Whether what is asked for can be at or below `entry`.
    fn leads_on(&self, entry: &DirEntry, path: &Path) -> bool {
        let folder = entry.depth().checked_sub(1).and_then(|index| self.folders.get(index));
        folder.is_none_or(|folder| folder.is_match(path))
    }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher())
}

/// A link back up shows nothing new, and what isn't there matters only if it was asked for.
fn is_worth_telling(error: &walkdir::Error, matches: bool) -> bool {
    let missing = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    error.loop_ancestor().is_none() && (matches || !missing)
}

fn unreadable(error: &walkdir::Error) -> CliError {
    let path = error.path().unwrap_or(Path::new("")).display();
    let cause = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    CliError::failed(format!("can't look into `{path}` for files")).cause(cause)
}
