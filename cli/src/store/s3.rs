//! State as one object per app, replaced only while it is still the one that was read.
//!
//! An answer may get lost after the object was written, and the request be sent again, which then is
//! refused: so each writing carries a mark, by which its writer knows it again.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use vdeploy_runtime::aws::layout::Keys;
use vdeploy_runtime::aws::objects::{Bucket, Condition};
use vdeploy_runtime::aws::{AwsError, AwsErrorKind};

use super::{AppSummary, Archive, StateStore, StoreError};
use crate::fingerprint::Fingerprint;
use crate::resource::{Kind, Resource, ResourceId};
use crate::state::{Basis, Change, Record, State, Status, Version};

/// The version of [`Document`] that this code writes; readers refuse later ones.
const FORMAT: u32 = 1;
/// Completions that are recorded together: the whole object is written each time.
const BATCH: usize = 256;

/// The state of all apps of one environment in a bucket.
#[derive(Debug)]
pub(crate) struct S3Store {
    objects: Bucket,
    keys: Keys,
    known: BTreeMap<String, Known>,
}

/// A state as it was read or written last.
#[derive(Clone, Debug)]
struct Known {
    document: Document,
    etag: String,
}

/// The object. Resources stand in it once, however many versions have them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    format: u32,
    lineage: String,
    serial: u64,
    /// Of the writing that made it.
    mark: String,
    version: u64,
    records: BTreeMap<ResourceId, Row>,
    versions: Vec<Kept>,
    resources: BTreeMap<Fingerprint, Resource>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    fingerprint: Fingerprint,
    status: Status,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    about: Version,
    resources: BTreeMap<ResourceId, Fingerprint>,
}

impl Row {
    fn of(record: &Record) -> Self {
        Row { fingerprint: record.fingerprint.clone(), status: record.status }
    }
}

impl Kept {
    fn of(version: Version) -> Self {
        Kept { resources: version.resources.clone(), about: version }
    }
}

impl S3Store {
    /// The states of an environment in a bucket, whether that is there or not.
    pub(crate) fn new(objects: Bucket, environment: &str) -> Self {
        S3Store { objects, keys: Keys::of(environment), known: BTreeMap::new() }
    }

    fn key(&self, app: &str) -> String {
        format!("{}state.json", self.keys.state(app))
    }

    async fn read(&self, app: &str) -> Result<Option<Known>, StoreError> {
        let found = match self.objects.get(&self.key(app)).await {
            // There is no bucket yet.
            Err(error) if error.kind == AwsErrorKind::NotFound => None,
            found => found?,
        };
        let Some((head, bytes)) = found else { return Ok(None) };
        let damaged = |source| StoreError::Damaged { app: app.into(), source: Box::new(source) };
        let document: Document = serde_json::from_slice(&bytes).map_err(damaged)?;
        if document.format > FORMAT {
            return Err(StoreError::Later(self.key(app).into()));
        }
        Ok(Some(Known { document, etag: head.etag }))
    }

    async fn write(&mut self, app: &str, next: Document) -> Result<(), StoreError> {
        let condition = match self.known.get(app) {
            Some(known) => Condition::Unchanged(known.etag.clone()),
            None => Condition::Absent,
        };
        let etag = match self.objects.put_json(&self.key(app), &next, condition).await {
            Ok(etag) => etag,
            Err(error) if error.kind == AwsErrorKind::Conflict => {
                let there = self.read(app).await?.filter(|there| there.document.mark == next.mark);
                there.ok_or_else(|| StoreError::Moved(app.into()))?.etag
            }
            Err(error) => return Err(error.into()),
        };
        self.known.insert(app.to_owned(), Known { document: next, etag });
        Ok(())
    }

    /// Apps that have a state.
    async fn listed(&self) -> Result<Vec<String>, StoreError> {
        let prefix = self.keys.state("");
        let prefix = prefix.trim_end_matches('/');
        let below = format!("{prefix}/");
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = match self.objects.page(&below, after.as_deref(), true).await {
                Err(error) if error.kind == AwsErrorKind::NotFound => return Ok(names),
                page => page?,
            };
            let found = page.prefixes.iter().filter_map(|prefix| prefix.strip_prefix(&below));
            names.extend(found.map(|name| name.trim_end_matches('/').to_owned()));
            after = page.next;
            if after.is_none() {
                return Ok(names);
            }
        }
    }
}

impl StateStore for S3Store {
    fn batch(&self) -> usize {
        BATCH
    }

    async fn load(&mut self, app: &str) -> Result<State, StoreError> {
        let Some(known) = self.read(app).await? else {
            self.known.remove(app);
            return Ok(State::default());
        };
        let state = known.document.state(app);
        self.known.insert(app.to_owned(), known);
        state
    }

    async fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> Result<Basis, StoreError> {
        if !self.known.contains_key(app) {
            self.load(app).await?;
        }
        let known = self.known.get(app).map(|known| &known.document);
        if known.map(Document::basis).unwrap_or_default() != *basis {
            return Err(StoreError::Moved(app.into()));
        }
        let mut next = known.cloned().unwrap_or_else(Document::first);
        next.record(changes, app)?;
        let basis = next.basis();
        self.write(app, next).await?;
        Ok(basis)
    }

    async fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        let Some(Known { document, .. }) = self.read(app).await? else { return Ok(None) };
        let kept = document.versions.iter().find(|kept| kept.about.number == number);
        Ok(kept.map(|kept| {
            let prints = kept.resources.values();
            prints.filter_map(|print| document.resources.get(print).cloned()).collect()
        }))
    }

    async fn apps(&mut self) -> Result<Vec<AppSummary>, StoreError> {
        let mut apps = Vec::new();
        for app in self.listed().await? {
            let state = self.load(&app).await?;
            if state.records.is_empty() {
                continue;
            }
            apps.push(AppSummary {
                version: state.version,
                deployed_at: state.current().map(|version| version.deployed_at),
                functions: state.records.keys().filter(|id| id.kind == Kind::Function).count(),
                resources: state.records.len(),
                app,
            });
        }
        Ok(apps)
    }

    async fn names(&mut self) -> Result<Vec<String>, StoreError> {
        self.listed().await
    }

    async fn import(&mut self, app: &str, archive: &Archive) -> Result<(), StoreError> {
        archive.may_replace(app, &self.load(app).await?.basis)?;
        self.write(app, Document::of(archive)).await
    }

    async fn forget(&mut self, app: &str) -> Result<(), StoreError> {
        self.known.remove(app);
        match self.objects.delete(&[self.key(app)]).await {
            Err(error) if error.kind == AwsErrorKind::NotFound => Ok(()),
            deleted => Ok(deleted.map(drop)?),
        }
    }

    async fn users(&mut self, id: &ResourceId) -> Result<Vec<String>, StoreError> {
        let mut users = Vec::new();
        for app in self.listed().await? {
            let known = self.read(&app).await?;
            if known.is_some_and(|known| known.document.records.contains_key(id)) {
                users.push(app);
            }
        }
        Ok(users)
    }
}

impl Document {
    fn first() -> Self {
        Document {
            format: FORMAT,
            lineage: mark(),
            serial: 0,
            mark: String::new(),
            version: 0,
            records: BTreeMap::new(),
            versions: Vec::new(),
            resources: BTreeMap::new(),
        }
    }

    /// What an app that was kept elsewhere is here.
    fn of(archive: &Archive) -> Self {
        let State { basis, records, version, versions } = archive.state.clone();
        Document {
            lineage: basis.lineage.unwrap_or_else(mark),
            serial: basis.serial,
            mark: mark(),
            version,
            records: records.iter().map(|(id, record)| (id.clone(), Row::of(record))).collect(),
            versions: versions.into_iter().map(Kept::of).collect(),
            resources: archive.all_resources(),
            ..Document::first()
        }
    }

    fn basis(&self) -> Basis {
        Basis { lineage: Some(self.lineage.clone()), serial: self.serial }
    }

    /// The state that this is.
    fn state(&self, app: &str) -> Result<State, StoreError> {
        let record = |(id, row): (&ResourceId, &Row)| {
            let resource = self.resources.get(&row.fingerprint).cloned();
            let resource = resource.ok_or_else(|| StoreError::Damaged {
                app: app.into(),
                source: format!("what `{id}` is isn't in it").into(),
            })?;
            let (fingerprint, status) = (row.fingerprint.clone(), row.status);
            Ok((id.clone(), Record { resource, fingerprint, status }))
        };
        let version =
            |kept: &Kept| Version { resources: kept.resources.clone(), ..kept.about.clone() };
        Ok(State {
            basis: self.basis(),
            records: self.records.iter().map(record).collect::<Result<_, StoreError>>()?,
            version: self.version,
            versions: self.versions.iter().map(version).collect(),
        })
    }

    /// Adds steps, and forgets resources that nothing refers to any more.
    fn record(&mut self, changes: &[Change], app: &str) -> Result<(), StoreError> {
        let mut state = self.state(app)?;
        for change in changes {
            state.record(change);
        }
        for record in state.records.values() {
            let (print, resource) = (&record.fingerprint, &record.resource);
            self.resources.entry(print.clone()).or_insert_with(|| resource.clone());
        }
        let rows = state.records.iter().map(|(id, record)| (id.clone(), Row::of(record)));
        self.records = rows.collect();
        self.versions = state.versions.into_iter().map(Kept::of).collect();
        self.version = state.version;
        let of_versions = self.versions.iter().flat_map(|kept| kept.resources.values());
        let used: std::collections::BTreeSet<_> =
            self.records.values().map(|row| &row.fingerprint).chain(of_versions).cloned().collect();
        self.resources.retain(|print, _| used.contains(print));
        self.serial += 1;
        self.mark = mark();
        Ok(())
    }
}

/// 128 random bits as hexadecimal digits.
pub(super) fn mark() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

impl From<AwsError> for StoreError {
    fn from(error: AwsError) -> Self {
        StoreError::Cloud(error)
    }
}
