//! Transfers to and from a bucket that are interrupted, or meet what they shouldn't.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::aws::objects::{Bucket, Condition};

const SIZE: u64 = 5 * PART + 7;

fn clip() -> VolumePath {
    VolumePath::parse("clip").unwrap()
}

fn transfer(
    dir: &Path,
    cancel: &CancellationToken,
    events: impl Fn(Event) + Send + Sync + 'static,
) -> BucketTransfer {
    BucketTransfer {
        pairs: vec![Pair { from: clip(), to: clip() }],
        overwrite: false,
        index: Some(dir.join("index.db")),
        cancel: cancel.clone(),
        events: Arc::new(events),
    }
}

/// Cancels after the first block.
fn impatient() -> (CancellationToken, impl Fn(Event) + Send + Sync + 'static) {
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let events = move |event| {
        if matches!(event, Event::Advanced { .. }) {
            stop.cancel();
        }
    };
    (cancel, events)
}

fn quiet() -> (CancellationToken, impl Fn(Event) + Send + Sync + 'static) {
    (CancellationToken::new(), |_| {})
}

/// A folder with a clip of several parts, each of another byte.
fn with_clip() -> (tempfile::TempDir, BucketFolder) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["from", "to"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at / PART) as u8 + 1).collect();
    fs::write(dir.path().join("from/clip"), bytes).unwrap();
    (dir, BucketFolder::new(Bucket::in_memory(), "volume/"))
}

fn tree(dir: &tempfile::TempDir, name: &str) -> Tree {
    Tree::open(&dir.path().join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_put_shows_nothing_and_goes_on_the_next_time() {
    let (dir, folder) = with_clip();
    let (cancel, events) = impatient();
    let put = transfer(dir.path(), &cancel, events).put(tree(&dir, "from"), folder.clone());
    assert_eq!(put.await, Err(TransferError::Cancelled));
    assert!(folder.find(&clip()).await.unwrap().is_none());

    let (cancel, events) = quiet();
    let put = transfer(dir.path(), &cancel, events).put(tree(&dir, "from"), folder.clone());
    let summary = put.await.unwrap();
    assert_eq!((summary.files, summary.bytes), (1, SIZE));
    assert!(summary.resumed_bytes > 0, "{summary:?}");
    let (_, bytes) = folder.bucket().get("volume/clip").await.unwrap().unwrap();
    assert!(fs::read(dir.path().join("from/clip")).unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_get_shows_nothing_and_goes_on_the_next_time() {
    let (dir, folder) = with_clip();
    let (cancel, events) = quiet();
    let put = transfer(dir.path(), &cancel, events).put(tree(&dir, "from"), folder.clone());
    put.await.unwrap();
    let (cancel, events) = impatient();
    let get = transfer(dir.path(), &cancel, events).get(folder.clone(), tree(&dir, "to"));
    assert_eq!(get.await, Err(TransferError::Cancelled));
    assert!(!dir.path().join("to/clip").exists());

    let (cancel, events) = quiet();
    let get = transfer(dir.path(), &cancel, events).get(folder, tree(&dir, "to"));
    let summary = get.await.unwrap();
    assert_eq!((summary.files, summary.failed.len()), (1, 0));
    assert!(summary.resumed_bytes > 0, "{summary:?}");
    let [was, is] = ["from/clip", "to/clip"].map(|path| fs::read(dir.path().join(path)).unwrap());
    assert!(was == is);
    assert_eq!(fs::read_dir(dir.path().join("to")).unwrap().count(), 1, "nothing is left beside");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_that_were_put_are_refused() {
    let (dir, folder) = with_clip();
    let notes = Metadata::from([(HASH_NOTE.to_owned(), "00".repeat(32))]);
    let bucket = folder.bucket();
    bucket.put("volume/clip", "other", notes, Condition::Always).await.unwrap();
    let (cancel, events) = quiet();
    let got = transfer(dir.path(), &cancel, events).get(folder, tree(&dir, "to")).await.unwrap();
    assert_eq!((got.files, got.failed.len()), (0, 1));
    assert!(got.failed[0].why.contains("SHA-256"), "{got:?}");
    assert!(!dir.path().join("to/clip").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bytes_are_told_once() {
    let (dir, folder) = with_clip();
    let told = Arc::new(AtomicU64::new(0));
    let (cancel, count) = (CancellationToken::new(), Arc::clone(&told));
    let events = move |event| {
        if let Event::Advanced { bytes } = event {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
    };
    let put = transfer(dir.path(), &cancel, events).put(tree(&dir, "from"), folder);
    put.await.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), SIZE);
}

#[test]
fn pieces_hash_like_the_bytes_that_they_are() {
    let bytes: Vec<u8> = (0..(5 * BLOCK / 2)).map(|at| (at % 251) as u8).collect();
    for size in [1 << 10, 700_001, BLOCK as usize, bytes.len()] {
        let pieces: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        let mut hashing = BlockHashing::default();
        hashing.add(&pieces[..1]);
        hashing.add(&pieces[1..]);
        assert!(hashing.finish() == hash_blocks(&bytes, &Hasher::default()), "{size}");
    }
    assert!(BlockHashing::default().finish().is_empty());
}

#[test]
fn parts_are_whole_blocks_and_never_too_many() {
    for size in [1, PART, PART + 1, 100 << 30, 5 << 40] {
        let ranges: Vec<_> = part_ranges(size).collect();
        assert!(ranges.len() <= 10_000, "{size}");
        assert_eq!(ranges.last().unwrap().1, size);
        assert!(ranges.iter().all(|(start, _)| start % BLOCK == 0));
    }
    assert_eq!(part_ranges(0).len(), 0);
}
