//! What there is to transfer: the files and folders below what was named.

use std::io;

use super::{Failed, Pair, Skipped};
use crate::storage::path::VolumePath;
use crate::storage::tree::{Kind, Stat, Tree};

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<Item>,
    /// Folders, each after the one it is in.
    pub(super) folders: Vec<Item>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) failed: Vec<Failed>,
}

/// A file or a folder, and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) from: VolumePath,
    pub(super) to: VolumePath,
    pub(super) stat: Stat,
}

impl Found {
    /// Looks at everything below `pairs` in `tree`. `seen` hears of every file, and says whether
    /// to go on.
    pub(super) fn scan(
        tree: &Tree,
        pairs: &[Pair],
        seen: &dyn Fn(&Stat) -> bool,
    ) -> Result<Self, Failed> {
        let mut found = Found::default();
        for Pair { from, to } in pairs {
            let fail = |error| Failed::new(from.clone(), error);
            let stat = tree.find(from).map_err(fail)?;
            let stat = stat.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
            let mut waiting = vec![Item { from: from.clone(), to: to.clone(), stat }];
            while let Some(item) = waiting.pop() {
                if !seen(&item.stat) {
                    return Ok(found);
                }
                found.add(tree, item, &mut waiting);
            }
        }
        Ok(found)
    }

    fn add(&mut self, tree: &Tree, item: Item, waiting: &mut Vec<Item>) {
        match item.stat.kind {
            Kind::File => self.files.push(item),
            Kind::Folder => {
                self.add_names(tree, &item, waiting);
                self.folders.push(item);
            }
            kind => self.skipped.push(Skipped { path: item.from, kind }),
        }
    }

    fn add_names(&mut self, tree: &Tree, folder: &Item, waiting: &mut Vec<Item>) {
        let entries = match tree.list(&folder.from) {
            Ok(entries) => entries,
            Err(error) => return self.failed.push(Failed::new(folder.from.clone(), error)),
        };
        // Taken from the end, so that files come in the order of their names.
        for entry in entries.into_iter().rev() {
            match entry.name.to_str() {
                Some(name) => waiting.push(Item {
                    from: folder.from.join(name),
                    to: folder.to.join(name),
                    stat: entry.stat,
                }),
                None => {
                    let path = folder.from.join(&entry.name.to_string_lossy());
                    let error = io::Error::new(io::ErrorKind::InvalidFilename, NOT_UTF8);
                    self.failed.push(Failed::new(path, error));
                }
            }
        }
    }
}

const NOT_UTF8: &str = "its name isn't UTF-8";
