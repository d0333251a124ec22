//! Transfers that meet something on their way.

use std::fs;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::*;

/// Copies `clip` from one folder to another, and hears of every event.
fn copy(
    dir: &Path,
    overwrite: bool,
    cancel: &CancellationToken,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Summary, TransferError> {
    let (from, to) = (dir.join("from"), dir.join("to"));
    fs::create_dir_all(&to).unwrap();
    let clip = VolumePath::parse("clip").unwrap();
    Transfer {
        from: &Tree::open(&from).unwrap(),
        to: &Tree::open(&to).unwrap(),
        pairs: vec![Pair { from: clip.clone(), to: clip }],
        overwrite,
        index: Some(dir.join("index.db")),
        cancel,
        events,
    }
    .run()
}

/// A folder with a clip of 20 blocks, each of which says its number.
fn with_clip() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("from")).unwrap();
    let bytes: Vec<u8> = (0..20_u8).flat_map(|n| vec![n + 1; hash::BLOCK as usize]).collect();
    fs::write(dir.path().join("from/clip"), bytes).unwrap();
    dir
}

#[test]
fn a_cancelled_transfer_shows_nothing_and_goes_on_the_next_time() {
    let dir = with_clip();
    let cancel = CancellationToken::new();
    let stop = |event| {
        if matches!(event, Event::Advanced { .. }) {
            cancel.cancel();
        }
    };
    assert_eq!(copy(dir.path(), false, &cancel, &stop), Err(TransferError::Cancelled));
    assert!(!dir.path().join("to/clip").exists());

    let summary = copy(dir.path(), false, &CancellationToken::new(), &|_| {}).unwrap();
    assert!(summary.resumed_bytes >= hash::BLOCK, "{summary:?}");
    let read = |folder: &str| fs::read(dir.path().join(folder).join("clip")).unwrap();
    assert!(read("from") == read("to"));
    assert_eq!(fs::read_dir(dir.path().join("to")).unwrap().count(), 1);
}

#[test]
fn a_source_that_changes_while_it_is_read_is_not_put_in_place() {
    let dir = with_clip();
    let source = dir.path().join("from/clip");
    let change = |event| {
        if matches!(event, Event::Advanced { .. }) {
            fs::File::options().append(true).open(&source).unwrap().set_len(1).unwrap();
        }
    };
    let summary = copy(dir.path(), false, &CancellationToken::new(), &change).unwrap();
    assert_eq!((summary.files, summary.failed.len()), (0, 1), "{summary:?}");
    assert_eq!(summary.failed[0].why, "it changed while it was read");
    assert!(!dir.path().join("to/clip").exists());
    let again = copy(dir.path(), false, &CancellationToken::new(), &|_| {}).unwrap();
    assert_eq!((again.files, again.bytes), (1, 1));
}

#[test]
fn what_appears_in_the_place_meanwhile_is_kept_unless_asked() {
    let dir = with_clip();
    let place = dir.path().join("to/clip");
    let appear = |event| {
        if matches!(event, Event::Copying { .. }) {
            fs::write(&place, "mine").unwrap();
        }
    };
    let error = copy(dir.path(), false, &CancellationToken::new(), &appear).unwrap_err();
    assert_eq!(error, TransferError::Exists(vec![VolumePath::parse("clip").unwrap()]));
    assert_eq!(fs::read_to_string(&place).unwrap(), "mine");
    copy(dir.path(), true, &CancellationToken::new(), &appear).unwrap();
    assert_eq!(fs::metadata(&place).unwrap().len(), 20 * hash::BLOCK);
}

#[test]
fn an_unchanged_file_is_not_even_read() {
    let dir = with_clip();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let source = dir.path().join("from/clip");
    fs::File::options().append(true).open(&source).unwrap().set_modified(old).unwrap();
    copy(dir.path(), false, &CancellationToken::new(), &|_| {}).unwrap();
    let reads = |event| assert!(!matches!(event, Event::Checking { .. } | Event::Advanced { .. }));
    let summary = copy(dir.path(), false, &CancellationToken::new(), &reads).unwrap();
    assert_eq!((summary.files, summary.unchanged), (0, 1));
    // Without what is remembered, reading finds the same.
    fs::remove_file(dir.path().join("index.db")).unwrap();
    let summary = copy(dir.path(), false, &CancellationToken::new(), &|_| {}).unwrap();
    assert_eq!((summary.files, summary.unchanged), (0, 1));
}
