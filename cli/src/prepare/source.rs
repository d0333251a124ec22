//! A function's own code as a tree of files: which there are, their hash, and a copy of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::FileProblem;
use crate::fingerprint::Fingerprint;
use crate::resource::Source;

/// The files of a tree, to be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFiles {
    /// The hash they must have.
    pub hash: Fingerprint,
    /// The folder that their paths start from.
    pub root: PathBuf,
    /// The files, by path.
    pub files: Vec<SourceFile>,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its path within the tree, with slashes.
    pub path: String,
    /// It is a program.
    pub executable: bool,
}

/// Reads the tree that `entries` (files and folders below `root`) make.
pub(super) fn read_tree(
    app: &str,
    root: &Path,
    entries: &[PathBuf],
) -> Result<(Source, SourceFiles), FileProblem> {
    let mut files = BTreeMap::new();
    for entry in entries {
        collect(root, entry, &mut files)?;
    }
    let files: Vec<_> =
        files.into_iter().map(|(path, executable)| SourceFile { path, executable }).collect();
    let source =
        hash_files(app, root, &files).map_err(|(path, source)| FileProblem::Io { path, source })?;
    let files = SourceFiles { hash: source.hash.clone(), root: root.to_owned(), files };
    Ok((source, files))
}

fn collect(
    root: &Path,
    entry: &Path,
    files: &mut BTreeMap<String, bool>,
) -> Result<(), FileProblem> {
    let shown = entry.display().to_string();
    if !entry.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(FileProblem::Outside(shown));
    }
    let start = root.join(entry);
    if fs::symlink_metadata(&start).is_err() {
        return Err(FileProblem::Missing(shown));
    }
    let walk = WalkDir::new(&start).follow_links(true).into_iter();
    for found in walk.filter_entry(|entry| entry.depth() == 0 || !is_junk(entry)) {
        let found = found.map_err(|error| unreadable(&shown, error))?;
        let kind = found.file_type();
        let path = relative(root, found.path())?;
        if kind.is_file() {
            let mode = found.metadata().map_err(|error| unreadable(&path, error))?.permissions();
            files.insert(path, mode.mode() & 0o111 != 0);
        } else if !kind.is_dir() {
            return Err(FileProblem::Special(path));
        }
    }
    Ok(())
}

/// What programs leave behind and nobody means to deploy.
fn is_junk(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    if entry.file_type().is_dir() {
        return [".git", ".hg", ".svn", ".vdeploy", "__pycache__"].contains(&name.as_ref())
            || entry.path().join("CACHEDIR.TAG").is_file();
    }
    name == ".DS_Store" || [".pyc", ".swp", "~"].iter().any(|end| name.ends_with(end))
}

fn relative(root: &Path, path: &Path) -> Result<String, FileProblem> {
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts: Option<Vec<_>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_str())
        .collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| FileProblem::Name(path.display().to_string()))
}

fn unreadable(path: &str, error: walkdir::Error) -> FileProblem {
    let path = error.path().map_or_else(|| path.to_owned(), |path| path.display().to_string());
    FileProblem::Io { path, source: error.into() }
}

/// The hash of the tree in `root` as it is, whatever it should be; none when it holds what no
/// deployed copy does.
pub fn hash_tree(app: &str, root: &Path) -> io::Result<Option<Source>> {
    let mut files = Vec::new();
    for found in WalkDir::new(root).sort_by_file_name() {
        let found = found?;
        let kind = found.file_type();
        if kind.is_dir() {
            continue;
        }
        let Ok(path) = relative(root, found.path()) else { return Ok(None) };
        if !kind.is_file() {
            return Ok(None);
        }
        let executable = found.metadata()?.permissions().mode() & 0o111 != 0;
        files.push(SourceFile { path, executable });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    hash_files(app, root, &files).map(Some).map_err(|(_, error)| error)
}

fn hash_files(app: &str, root: &Path, files: &[SourceFile]) -> Result<Source, (String, io::Error)> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    feed(&mut hasher, app.as_bytes());
    for file in files {
        let (size, content) =
            hash_file(&root.join(&file.path)).map_err(|error| (file.path.clone(), error))?;
        feed(&mut hasher, file.path.as_bytes());
        hasher.update([u8::from(file.executable)]);
        hasher.update(content);
        bytes += size;
    }
    Ok(Source { hash: Fingerprint::finish(hasher), files: files.len() as u64, bytes })
}

fn feed(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

fn hash_file(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok((size, hasher.finalize().into())),
            read => {
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

impl SourceFiles {
    /// Whether the files are still what they were when they were read.
    pub fn is_unchanged(&self, app: &str) -> io::Result<bool> {
        let now = hash_files(app, &self.root, &self.files).map_err(|(_, error)| error)?;
        Ok(now.hash == self.hash)
    }
}

/// The bytes of one file of a tree.
pub fn read_file_of(files: &SourceFiles, file: &SourceFile) -> io::Result<Vec<u8>> {
    fs::read(files.root.join(&file.path))
}

/// Copies a tree into the new folder `to`, for reading only.
pub fn copy_tree(files: &SourceFiles, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in &files.files {
        let target = to.join(&file.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(files.root.join(&file.path), &target)?;
        let mode = if file.executable { 0o555 } else { 0o444 };
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        File::open(&target)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn read(
        dir: &tempfile::TempDir,
        entries: &[&str],
    ) -> Result<(Source, SourceFiles), FileProblem> {
        let entries: Vec<_> = entries.iter().map(PathBuf::from).collect();
        read_tree("app", dir.path(), &entries)
    }

    #[test]
    fn the_hash_covers_paths_content_mode_and_app() {
        let dir = project(&[("h/a.py", "1"), ("h/b.py", "2")]);
        let first = read(&dir, &["h"]).unwrap().0;
        assert_eq!((first.files, first.bytes), (2, 2));
        assert_eq!(read(&dir, &["./h/", "h/a.py"]).unwrap().0, first);
        let entries = [PathBuf::from("h")];
        assert_ne!(read_tree("other", dir.path(), &entries).unwrap().0.hash, first.hash);
        fs::set_permissions(dir.path().join("h/a.py"), fs::Permissions::from_mode(0o755)).unwrap();
        let executable = read(&dir, &["h"]).unwrap().0;
        assert_ne!(executable.hash, first.hash);
        fs::rename(dir.path().join("h/b.py"), dir.path().join("h/c.py")).unwrap();
        assert_ne!(read(&dir, &["h"]).unwrap().0.hash, executable.hash);
    }

    #[test]
    fn a_copy_has_the_hash_of_the_original_until_it_is_touched() {
        let dir = project(&[("h/a.py", "1"), ("h/deep/b.sh", "2")]);
        let (source, files) = read(&dir, &["h"]).unwrap();
        let copy = dir.path().join("copy");
        copy_tree(&files, &copy).unwrap();
        assert_eq!(hash_tree("app", &copy).unwrap(), Some(source.clone()));
        fs::write(copy.join("h/new.py"), "").unwrap();
        assert_ne!(hash_tree("app", &copy).unwrap(), Some(source));
    }

    #[test]
    fn junk_stays_behind() {
        let dir = project(&[
            ("h/a.py", "1"),
            ("h/__pycache__/a.pyc", "x"),
            ("h/.git/HEAD", "x"),
            ("h/target/CACHEDIR.TAG", "x"),
            ("h/target/big", "x"),
            ("h/.a.py.swp", "x"),
        ]);
        assert_eq!(read(&dir, &["h"]).unwrap().0.files, 1);
    }

    #[test]
    fn what_cannot_be_copied_is_named() {
        let dir = project(&[("h/a.py", "1")]);
        let problem = |entry| read(&dir, &[entry]).unwrap_err().to_string();
        assert_eq!(problem("nope.py"), "`nope.py` isn't there");
        assert_eq!(problem("../x"), "`../x` isn't within the manifest's folder");
        assert_eq!(problem("/etc/passwd"), "`/etc/passwd` isn't within the manifest's folder");
        std::os::unix::fs::symlink("gone", dir.path().join("h/link")).unwrap();
        assert!(problem("h").starts_with("can't read"));
    }
}
