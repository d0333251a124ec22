//! One file from or to a stream, such as stdin and stdout.

use std::io::{self, Read, Write};

use tokio_util::sync::CancellationToken;

use super::hash::BLOCK;
use super::{Event, Failed, TransferError};
use crate::storage::path::VolumePath;
use crate::storage::place::{Existing, Place, place, sync_folder};
use crate::storage::staging::StagingFolder;
use crate::storage::tree::{Kind, Tree};

/// Writes all of `source` to `to`, which appears when the stream has ended. Returns the bytes.
pub fn put_stream(
    source: &mut dyn Read,
    tree: &Tree,
    to: &VolumePath,
    overwrite: bool,
    cancel: &CancellationToken,
    events: &(dyn Fn(Event) + Sync),
) -> Result<u64, TransferError> {
    let failed = |error| match io::Error::kind(&error) {
        io::ErrorKind::AlreadyExists => TransferError::Exists(vec![to.clone()]),
        _ => TransferError::Destination(Failed::new(to.clone(), error)),
    };
    match tree.find_itself(to).map_err(failed)? {
        Some(there) if there.kind == Kind::Folder => {
            return Err(TransferError::Blocked { path: to.clone(), found: Kind::Folder });
        }
        Some(_) if !overwrite => return Err(TransferError::Exists(vec![to.clone()])),
        _ => {}
    }
    let staging = StagingFolder::create_beside(tree.path()).map_err(failed)?;
    let written = staging.path().join("stream");
    let mut file = std::fs::File::create(&written).map_err(failed)?;
    let bytes = copy(source, &mut file, cancel, events, failed)?;
    let existing = if overwrite { Existing::Replace } else { Existing::Keep };
    file.sync_all().map_err(failed)?;
    move_into(tree, written.as_os_str(), to, existing).map_err(failed)?;
    Ok(bytes)
}

/// Writes all of the file at `from` to `sink`. Returns the bytes.
pub fn get_stream(
    tree: &Tree,
    from: &VolumePath,
    sink: &mut dyn Write,
    cancel: &CancellationToken,
    events: &(dyn Fn(Event) + Sync),
) -> Result<u64, TransferError> {
    let source = |error| TransferError::Source(Failed::new(from.clone(), error));
    let mut file = tree.open_file(from).map_err(source)?;
    copy(&mut file, sink, cancel, events, |error| {
        TransferError::Destination(Failed::new(from.clone(), error))
    })
}

fn copy(
    source: &mut dyn Read,
    sink: &mut dyn Write,
    cancel: &CancellationToken,
    events: &(dyn Fn(Event) + Sync),
    failed: impl Fn(io::Error) -> TransferError,
) -> Result<u64, TransferError> {
    let mut buffer = vec![0; BLOCK as usize];
    let mut bytes = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        sink.write_all(&buffer[..read]).map_err(&failed)?;
        bytes += read as u64;
        events(Event::Advanced { bytes: read as u64 });
    }
    sink.flush().map_err(&failed)?;
    Ok(bytes)
}

fn move_into(
    tree: &Tree,
    written: &std::ffi::OsStr,
    to: &VolumePath,
    existing: Existing,
) -> io::Result<()> {
    use rustix::fd::AsFd;

    let (folder, name) = to.split().ok_or(io::ErrorKind::IsADirectory)?;
    tree.make_folder(&folder, 0o777)?;
    let folder = tree.folder(&folder)?;
    place(
        Place { folder: rustix::fs::CWD, name: written },
        Place { folder: folder.as_fd(), name: name.as_ref() },
        existing,
    )?;
    sync_folder(folder)
}
