//! A volume as a directory, and real paths in it for programs that need one.

use std::io;
use std::path::{Path, PathBuf};

use super::path::{VolumePath, VolumePathError, is_reserved};
use super::staging::StagingFolder;
use super::tree::{Kind, Tree};

/// A volume of an environment on the local target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    name: String,
    root: PathBuf,
}

impl Volume {
    /// The volume called `name` at `root`.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Volume { name: name.into(), root: root.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its files, to list and to transfer.
    pub fn tree(&self) -> io::Result<Tree> {
        Tree::open(&self.root)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in self.root.read_dir()? {
            if !is_reserved(&entry?.file_name()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what `path` names: a link rather than what it leads to, a folder with everything in
    /// it. A folder goes out of sight in one step. The root of a volume can't be removed.
    pub fn remove(&self, path: &VolumePath) -> io::Result<()> {
        let tree = self.tree()?;
        match (tree.find_itself(path)?, path.split()) {
            (None, _) => Err(io::ErrorKind::NotFound.into()),
            (Some(stat), Some((parent, name))) if stat.kind == Kind::Folder => {
                let bin = StagingFolder::create_beside(&self.root)?;
                let gone = bin.path().join(name);
                Ok(rustix::fs::renameat(tree.folder(&parent)?, name, rustix::fs::CWD, gone)?)
            }
            (Some(stat), _) => tree.unlink(path, stat.kind),
        }
    }

    /// The place that `path` names within the volume, whether something is there or not. Links are
    /// followed while they stay inside; what is returned has none in it, so that nothing can be
    /// reached that isn't below [`Volume::root`].
    pub fn resolve(&self, path: &str) -> Result<PathBuf, VolumePathError> {
        let root = self.root.canonicalize().map_err(|e| VolumePathError::Lookup(e.kind()))?;
        let path = VolumePath::parse(path)?;
        let mut parts = path.parts();
        let mut resolved = root.clone();
        for part in parts.by_ref() {
            resolved.push(part);
            match follow(&resolved)? {
                Some(real) if real.starts_with(&root) => resolved = real,
                Some(_) => return Err(VolumePathError::Outside),
                None => break,
            }
        }
        resolved.extend(parts);
        Ok(resolved)
    }
}

/// Where `path` really is; none when nothing is there.
fn follow(path: &Path) -> Result<Option<PathBuf>, VolumePathError> {
    let lookup = |error: &io::Error| VolumePathError::Lookup(error.kind());
    let error = match path.canonicalize() {
        Ok(real) => return Ok(Some(real)),
        Err(error) => error,
    };
    match (error.kind(), path.symlink_metadata()) {
        (io::ErrorKind::NotFound, Ok(_)) => Err(VolumePathError::Dangling),
        (_, Ok(_)) => Err(lookup(&error)),
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        (_, Err(error)) => Err(lookup(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// A volume full of links, beside a folder that nobody may reach.
    fn riddled() -> (tempfile::TempDir, Volume) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volume");
        let outside = dir.path().join("outside");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b")).unwrap();
        for secret in [dir.path().join("f"), outside.join("f"), outside.join("b/f")] {
            fs::write(secret, "secret").unwrap();
        }
        for file in ["f", "a/f", "a/b/f"] {
            fs::write(root.join(file), "mine").unwrap();
        }
        let links = [
            ("../outside", "up"),
            ("..", "a/top"),
            ("../..", "a/out"),
            ("../../..", "a/b/out"),
            ("a", "in"),
            ("../a/./b", "a/in"),
            ("a/../../outside", "wave"),
            ("loop", "loop"),
            ("nothing", "dangling"),
            ("../outside/new", "new"),
            ("/", "slash"),
            ("/proc/self/root", "magic"),
        ];
        for (target, link) in links {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(&outside, root.join("absolute")).unwrap();
        symlink(outside.join("f"), root.join("a/secret")).unwrap();
        (dir, Volume::new("riddled", root))
    }

    fn any_path() -> impl Strategy<Value = String> {
        let names = [
            "a", "b", "f", "up", "top", "out", "in", "wave", "loop", "dangling", "new", "slash",
            "magic", "absolute", "secret", "outside", "tmp", "..", ".", "", "etc", "volume",
        ];
        prop::collection::vec(prop::sample::select(names.to_vec()), 0..6)
            .prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_a_volume(path in any_path()) {
            let (_dir, volume) = riddled();
            let root = volume.root().canonicalize().unwrap();
            if let Ok(resolved) = volume.resolve(&path) {
                prop_assert!(resolved.starts_with(&root), "{path} -> {}", resolved.display());
                let parts = resolved.strip_prefix(&root).unwrap().components();
                let mut prefix = root.clone();
                for part in parts {
                    prefix.push(part);
                    prop_assert!(!prefix.is_symlink(), "{} is a link", prefix.display());
                    prop_assert!(part != std::path::Component::ParentDir);
                }
            }
        }

        #[test]
        fn no_path_reads_or_makes_anything_outside(path in any_path()) {
            let (dir, volume) = riddled();
            let Ok(path) = VolumePath::parse(&path) else { return Ok(()) };
            let tree = volume.tree().unwrap();
            if let Ok(mut file) = tree.open_file(&path) {
                let mut text = String::new();
                if file.read_to_string(&mut text).is_ok() {
                    prop_assert_eq!(text, "mine");
                }
            }
            let made = path.join("made");
            let _ = tree.make_folder(&made, 0o755);
            for outside in ["made", "outside/made", "outside/b/made"] {
                prop_assert!(!dir.path().join(outside).exists());
            }
            let _ = volume.remove(&path);
            prop_assert_eq!(fs::read_to_string(dir.path().join("outside/b/f")).unwrap(), "secret");
            prop_assert_eq!(fs::read_to_string(dir.path().join("outside/f")).unwrap(), "secret");
            prop_assert_eq!(fs::read_to_string(dir.path().join("f")).unwrap(), "secret");
        }
    }

    #[test]
    fn links_that_stay_inside_are_followed_and_others_are_told_apart() {
        let (_dir, volume) = riddled();
        let root = volume.root().canonicalize().unwrap();
        let inside = |path: &str| {
            volume.resolve(path).map(|path| path.strip_prefix(&root).unwrap().to_owned())
        };
        assert_eq!(inside("in/f"), Ok("a/f".into()));
        assert_eq!(inside("/a/in/new/file"), Ok("a/b/new/file".into()));
        assert_eq!(inside(""), Ok("".into()));
        assert_eq!(inside("up/f"), Err(VolumePathError::Outside));
        assert_eq!(inside("a/../f"), Err(VolumePathError::Outside));
        assert_eq!(inside("dangling"), Err(VolumePathError::Dangling));
        assert_eq!(inside("new"), Err(VolumePathError::Dangling));
        assert_eq!(inside(".vdeploy-staging/x"), Err(VolumePathError::Reserved));
        assert_eq!(inside("a\0b"), Err(VolumePathError::Nul));
        assert!(matches!(inside("f/g"), Err(VolumePathError::Lookup(_))));
        assert!(matches!(inside("loop"), Err(VolumePathError::Lookup(_))));
    }
}
