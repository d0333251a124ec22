//! Within a bucket: the store copies, and nothing comes here.

use std::io;
use std::sync::Arc;

use super::check::{There, check_doubles};
use super::get::moved;
use super::{Placed, Problem, Run, announce, refused};
use crate::aws::objects::UploadedPart;
use crate::aws::objects::{Condition, Metadata};
use crate::storage::bucket::{BucketFile, file_stat};
use crate::storage::place::Existing;
use crate::storage::transfer::scan::Item;
use crate::storage::transfer::{Event, Failed, Pair, Summary, TransferError};
use crate::storage::tree::Kind;

/// The largest object that is copied by one request.
const WHOLE: u64 = 5 << 30;
/// Bytes that one request of several copies.
const RANGE: u64 = 1 << 30;

pub(super) async fn copy(run: Arc<Run>) -> Result<Summary, TransferError> {
    let mut found = Vec::new();
    let mut roots = Vec::new();
    for Pair { from, to } in &run.transfer.pairs {
        let fail = |error| TransferError::Source(Failed::new(from.clone(), error));
        let files = match run.remote.file(from).await.map_err(fail)? {
            Some(file) => {
                roots.push((to.clone(), Kind::File));
                vec![file]
            }
            None => {
                roots.push((to.clone(), Kind::Folder));
                run.remote.walk(from).await.map_err(fail)?.files
            }
        };
        if files.is_empty() {
            return Err(fail(io::ErrorKind::NotFound.into()));
        }
        found.extend(files.into_iter().map(|file| item(file, from, to)));
    }
    let items: Vec<_> = found.iter().map(|(item, _)| item.clone()).collect();
    check_doubles(&items)?;
    let there = There::look(&run.remote, &roots).await.map_err(|error| {
        TransferError::Destination(Failed::new(run.transfer.pairs[0].to.clone(), error))
    })?;
    let (mut files, mut exists, mut unchanged) = (Vec::new(), Vec::new(), 0);
    for (item, file) in found {
        match there.at(&item.to)? {
            None => files.push((item, file)),
            // The same ETag is the same content.
            Some(old) if (&old.etag, old.size) == (&file.etag, file.size) => unchanged += 1,
            Some(_) if run.transfer.overwrite => files.push((item, file)),
            Some(_) => exists.push(item.to),
        }
    }
    if !exists.is_empty() {
        return Err(TransferError::Exists(exists));
    }
    announce(
        &run,
        &files.iter().map(|(item, _)| (item.clone(), Existing::Replace)).collect::<Vec<_>>(),
    );
    let copied = run.each(files, copy_file).await?;
    Ok(Summary { unchanged, ..copied })
}

fn item(
    file: BucketFile,
    from: &crate::storage::VolumePath,
    to: &crate::storage::VolumePath,
) -> (Item, BucketFile) {
    let (to, stat) = (moved(&file.path, from, to), file_stat(file.size, file.modified));
    (Item { from: file.path.clone(), to, stat }, file)
}

async fn copy_file(run: Arc<Run>, (item, file): (Item, BucketFile)) -> Result<Placed, Problem> {
    let (from, to) = (run.remote.key(&item.from), run.remote.key(&item.to));
    let bucket = run.remote.bucket();
    let copied = match file.size {
        0..=WHOLE => bucket.copy(&from, &to).await,
        _ => copy_ranges(&run, &from, &to, file.size).await,
    };
    copied.map_err(|error| refused(&item.to, error))?;
    run.tell(Event::Advanced { bytes: file.size });
    Ok(Placed { bytes: file.size, resumed: 0 })
}

async fn copy_ranges(
    run: &Run,
    from: &str,
    to: &str,
    size: u64,
) -> Result<(), crate::aws::AwsError> {
    let bucket = run.remote.bucket();
    let noted = bucket.head(from).await?.map(|head| head.metadata).unwrap_or_default();
    let upload = bucket.begin(to, noted).await?;
    let ranges = (0..size.div_ceil(RANGE)).map(|n| (n * RANGE, size.min((n + 1) * RANGE)));
    let parts = (1..).zip(ranges).map(|(number, (start, end))| {
        let upload = &upload;
        async move {
            let etag = bucket.copy_part((from, start, end), (to, upload, number)).await?;
            Ok::<_, crate::aws::AwsError>(UploadedPart { number, etag, size: end - start })
        }
    });
    let parts = futures::future::try_join_all(parts).await?;
    bucket.complete(to, &upload, parts, Condition::Always).await?;
    let tags: Metadata = bucket.tags(from).await?;
    for (name, value) in tags {
        bucket.tag(to, &name, &value).await?;
    }
    Ok(())
}
