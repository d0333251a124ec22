//! Deployed copies of code: objects below the hash of their tree, and a list of them that is written
//! last, so that a copy without one isn't whole.

use serde::{Deserialize, Serialize};
use vdeploy_runtime::aws::objects::{Condition, Metadata};

use super::error::missing_is_none;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::prepare::{SourceFile, read_file_of};
use crate::resource::{Resource, Source};

/// What is in a copy.
#[derive(Serialize, Deserialize)]
struct Contents {
    source: Source,
    files: Vec<SourceFile>,
}

impl AwsProvider<'_> {
    fn contents_key(&self, hash: &str) -> String {
        let prefix = self.keys.source(hash);
        format!("{}.json", prefix.trim_end_matches('/'))
    }

    pub(super) async fn see_source(&self, hash: &str) -> CloudResult<Option<Seen>> {
        let objects = self.session.objects();
        let found = objects.get_json::<Contents>(&self.contents_key(hash)).await;
        let found = missing_is_none(found.map_err(CloudError::from))?;
        let Some((contents, _)) = found.flatten() else { return Ok(None) };
        let there = objects.list(&self.keys.source(hash)).await?;
        let bytes: u64 = there.iter().map(|object| object.size).sum();
        let whole = there.len() as u64 == contents.source.files && bytes == contents.source.bytes;
        Ok(Some(seen(whole.then_some(Resource::Source(contents.source)))))
    }

    pub(super) async fn put_source(&self, source: &Source) -> CloudResult<()> {
        let files = self.deployment.sources.iter().find(|files| files.hash == source.hash);
        let files = files.ok_or(CloudError::SourceGone)?;
        let objects = self.session.objects();
        let prefix = self.keys.source(source.hash.as_str());
        if !files.is_unchanged(self.app).unwrap_or(false) {
            return Err(CloudError::SourceChanged);
        }
        for file in &files.files {
            let bytes = read_file_of(files, file)
                .map_err(|error| CloudError::File(file.path.clone(), error))?;
            let mode = if file.executable { "555" } else { "444" };
            let notes = Metadata::from([("vdeploy-mode".to_owned(), mode.to_owned())]);
            let key = format!("{prefix}{}", file.path);
            objects.put(&key, bytes, notes, Condition::Always).await?;
            self.failpoint.hit("source-copied");
        }
        let contents = Contents { source: source.clone(), files: files.files.clone() };
        objects
            .put_json(&self.contents_key(source.hash.as_str()), &contents, Condition::Always)
            .await?;
        Ok(())
    }

    pub(super) async fn take_source(&self, hash: &str) -> CloudResult<()> {
        let objects = self.session.objects();
        let there = objects.list(&self.keys.source(hash)).await?;
        let keys: Vec<_> = there.into_iter().map(|object| object.key).collect();
        objects.delete(&[self.contents_key(hash)]).await?;
        objects.delete(&keys).await?;
        Ok(())
    }
}
