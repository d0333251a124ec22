//! State as rows of a SQLite database: a step costs what it changes, whatever the size of the state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use vdeploy_runtime::database::{self, OpenError};

use super::{AppSummary, Archive, StateStore, StoreError};
use crate::fingerprint::Fingerprint;
use crate::resource::{Resource, ResourceId};
use crate::state::{Basis, Change, Record, State, Status, VERSIONS_KEPT, Version};

const SCHEMA: &str = include_str!("schema.sql");

/// The state of one environment in one file, which comes into being with the first step.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Option<Connection>,
}

impl SqliteStore {
    /// The store at `path`, whether there is a file or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        SqliteStore { path: path.into(), connection: None }
    }

    /// The database, unless nothing was ever recorded.
    fn existing(&mut self) -> Result<Option<&mut Connection>, StoreError> {
        if self.connection.is_none() && !self.path.exists() {
            return Ok(None);
        }
        self.database().map(Some)
    }

    fn database(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn read<T: Default>(
        &mut self,
        app: &str,
        query: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let path = self.path.clone();
        let Some(connection) = self.existing()? else { return Ok(T::default()) };
        let transaction = connection.transaction().map_err(|source| at(&path, source))?;
        query(&transaction).map_err(|source| damaged_or_at(app, &path, source))
    }
}

impl StateStore for SqliteStore {
    async fn load(&mut self, app: &str) -> Result<State, StoreError> {
        self.read(app, |db| load(db, app))
    }

    async fn append(
        &mut self,
        app: &str,
        basis: &Basis,
        changes: &[Change],
    ) -> Result<Basis, StoreError> {
        let path = self.path.clone();
        let connection = self.database()?;
        let mut append = || -> rusqlite::Result<Option<Basis>> {
            let db = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(next) = advance(&db, app, basis)? else { return Ok(None) };
            for change in changes {
                record(&db, app, change)?;
            }
            db.commit()?;
            Ok(Some(next))
        };
        match append() {
            Ok(Some(next)) => Ok(next),
            Ok(None) => Err(StoreError::Moved(app.into())),
            Err(source) => Err(at(&path, source)),
        }
    }

    async fn version(
        &mut self,
        app: &str,
        number: u64,
    ) -> Result<Option<Vec<Resource>>, StoreError> {
        self.read(app, |db| {
            let known = db
                .prepare("SELECT 1 FROM versions WHERE app = ?1 AND number = ?2")?
                .exists(params![app, number])?;
            known.then(|| version_resources(db, app, number)).transpose()
        })
    }

    async fn apps(&mut self) -> Result<Vec<AppSummary>, StoreError> {
        self.read("*", |db| {
            let mut statement = db.prepare(
                "SELECT a.app, a.version,
                        (SELECT about FROM versions v WHERE v.app = a.app ORDER BY number DESC LIMIT 1),
                        sum(r.id LIKE 'function.%'), count(*)
                 FROM apps a JOIN records r ON r.app = a.app GROUP BY a.app ORDER BY a.app",
            )?;
            let rows = statement.query_map([], |row| {
                let about: Option<String> = row.get(2)?;
                let about = about.map(|text| json::<Version>(2, &text)).transpose()?;
                Ok(AppSummary {
                    app: row.get(0)?,
                    version: row.get(1)?,
                    deployed_at: about.map(|version| version.deployed_at),
                    functions: row.get(3)?,
                    resources: row.get(4)?,
                })
            })?;
            rows.collect()
        })
    }

    async fn names(&mut self) -> Result<Vec<String>, StoreError> {
        self.read("*", |db| {
            let mut statement = db.prepare("SELECT app FROM apps ORDER BY app")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    async fn import(&mut self, app: &str, archive: &Archive) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| at(&path, source);
        let connection = self.database()?;
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let db = db.map_err(failed)?;
        let there = load(&db, app).map_err(|source| damaged_or_at(app, &path, source))?;
        archive.may_replace(app, &there.basis)?;
        delete(&db, app).and_then(|()| insert(&db, app, archive)).map_err(failed)?;
        db.commit().map_err(failed)
    }

    async fn forget(&mut self, app: &str) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |source| at(&path, source);
        let Some(connection) = self.existing()? else { return Ok(()) };
        let db = connection.transaction().map_err(failed)?;
        delete(&db, app).map_err(failed)?;
        db.commit().map_err(failed)
    }

    async fn users(&mut self, id: &ResourceId) -> Result<Vec<String>, StoreError> {
        self.read("*", |db| {
            let mut statement = db.prepare("SELECT app FROM records WHERE id = ?1 ORDER BY app")?;
            let rows = statement.query_map([id.to_string()], |row| row.get(0))?;
            rows.collect()
        })
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    database::open(path, &[SCHEMA]).map_err(|error| match error {
        OpenError::File(source) => StoreError::Io { path: path.to_owned(), source },
        OpenError::Database(source) => StoreError::Database { path: path.to_owned(), source },
        OpenError::Later(_) => StoreError::Later(path.to_owned()),
    })
}

fn load(db: &Connection, app: &str) -> rusqlite::Result<State> {
    let head = db
        .prepare("SELECT lineage, serial, version FROM apps WHERE app = ?1")?
        .query_row([app], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((lineage, serial, version)) = head else { return Ok(State::default()) };
    let basis = Basis { lineage: Some(lineage), serial };
    Ok(State { basis, version, records: records(db, app)?, versions: versions(db, app)? })
}

fn records(db: &Connection, app: &str) -> rusqlite::Result<BTreeMap<ResourceId, Record>> {
    let mut statement = db.prepare(
        "SELECT r.id, r.fingerprint, r.status, s.resource FROM records r
         JOIN resources s ON s.app = r.app AND s.fingerprint = r.fingerprint WHERE r.app = ?1",
    )?;
    let rows = statement.query_map([app], |row| {
        let fingerprint = Fingerprint::from(row.get::<_, String>(1)?);
        let status = match row.get_ref(2)?.as_str()? {
            "creating" => Status::Creating,
            _ => Status::Ready,
        };
        let resource = json(3, row.get_ref(3)?.as_str()?)?;
        Ok((id(0, row.get_ref(0)?.as_str()?)?, Record { resource, fingerprint, status }))
    })?;
    rows.collect()
}

fn versions(db: &Connection, app: &str) -> rusqlite::Result<Vec<Version>> {
    let mut statement = db.prepare("SELECT about FROM versions WHERE app = ?1 ORDER BY number")?;
    let rows = statement.query_map([app], |row| json::<Version>(0, row.get_ref(0)?.as_str()?))?;
    let mut versions: BTreeMap<u64, Version> = BTreeMap::new();
    for version in rows {
        let version = version?;
        versions.insert(version.number, version);
    }
    let mut statement =
        db.prepare("SELECT number, id, fingerprint FROM version_resources WHERE app = ?1")?;
    let mut rows = statement.query([app])?;
    while let Some(row) = rows.next()? {
        if let Some(version) = versions.get_mut(&row.get(0)?) {
            let print = Fingerprint::from(row.get::<_, String>(2)?);
            version.resources.insert(id(1, row.get_ref(1)?.as_str()?)?, print);
        }
    }
    Ok(versions.into_values().collect())
}

fn version_resources(db: &Connection, app: &str, number: u64) -> rusqlite::Result<Vec<Resource>> {
    let mut statement = db.prepare(
        "SELECT s.resource FROM version_resources v
         JOIN resources s ON s.app = v.app AND s.fingerprint = v.fingerprint
         WHERE v.app = ?1 AND v.number = ?2",
    )?;
    let rows =
        statement.query_map(params![app, number], |row| json(0, row.get_ref(0)?.as_str()?))?;
    rows.collect()
}

/// Raises the serial, unless the state isn't at `basis`.
fn advance(db: &Connection, app: &str, basis: &Basis) -> rusqlite::Result<Option<Basis>> {
    let Some(lineage) = &basis.lineage else {
        let inserted = db
            .prepare_cached(
                "INSERT INTO apps VALUES (?1, lower(hex(randomblob(16))), 1, 0)
                 ON CONFLICT DO NOTHING RETURNING lineage",
            )?
            .query_row([app], |row| row.get(0))
            .optional()?;
        return Ok(inserted.map(|lineage| Basis { lineage: Some(lineage), serial: 1 }));
    };
    let moved = db
        .prepare_cached(
            "UPDATE apps SET serial = serial + 1 WHERE app = ?1 AND lineage = ?2 AND serial = ?3",
        )?
        .execute(params![app, lineage, basis.serial])?;
    Ok((moved == 1).then(|| Basis { serial: basis.serial + 1, ..basis.clone() }))
}

fn record(db: &Connection, app: &str, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Intend(resource) => put(db, app, resource, "creating"),
        Change::Have(resource) => put(db, app, resource, "ready"),
        Change::Drop(id) => db
            .prepare_cached("DELETE FROM records WHERE app = ?1 AND id = ?2")?
            .execute(params![app, id.to_string()])
            .map(drop),
        Change::Release(version) => release(db, app, version),
        Change::End => end(db, app),
    }
}

fn put(db: &Connection, app: &str, resource: &Resource, status: &str) -> rusqlite::Result<()> {
    let fingerprint = resource.fingerprint();
    let text = serde_json::to_string(resource).expect("a resource is plain data");
    db.prepare_cached("INSERT INTO resources VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![app, fingerprint.as_str(), text])?;
    db.prepare_cached(
        "INSERT INTO records VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
         SET fingerprint = excluded.fingerprint, status = excluded.status",
    )?
    .execute(params![app, resource.id().to_string(), fingerprint.as_str(), status])
    .map(drop)
}

fn release(db: &Connection, app: &str, version: &Version) -> rusqlite::Result<()> {
    put_version(db, app, version)?;
    db.execute("UPDATE apps SET version = ?2 WHERE app = ?1", params![app, version.number])?;
    forget_versions(db, app, version.number.saturating_sub(VERSIONS_KEPT as u64))
}

fn put_version(db: &Connection, app: &str, version: &Version) -> rusqlite::Result<()> {
    let about = serde_json::to_string(version).expect("a version is plain data");
    db.execute("INSERT INTO versions VALUES (?1, ?2, ?3)", params![app, version.number, about])?;
    let mut insert = db.prepare_cached("INSERT INTO version_resources VALUES (?1, ?2, ?3, ?4)")?;
    for (id, print) in &version.resources {
        insert.execute(params![app, version.number, id.to_string(), print.as_str()])?;
    }
    Ok(())
}

fn end(db: &Connection, app: &str) -> rusqlite::Result<()> {
    forget_versions(db, app, i64::MAX as u64)
}

/// Forgets the versions up to a number, and the resources that nothing refers to any more.
fn forget_versions(db: &Connection, app: &str, up_to: u64) -> rusqlite::Result<()> {
    for table in ["versions", "version_resources"] {
        let statement = format!("DELETE FROM {table} WHERE app = ?1 AND number <= ?2");
        db.execute(&statement, params![app, up_to])?;
    }
    db.execute(
        "DELETE FROM resources WHERE app = ?1
         AND fingerprint NOT IN (SELECT fingerprint FROM records WHERE app = ?1)
         AND fingerprint NOT IN (SELECT fingerprint FROM version_resources WHERE app = ?1)",
        [app],
    )
    .map(drop)
}

/// Removes all rows of an app.
fn delete(db: &Connection, app: &str) -> rusqlite::Result<()> {
    for table in ["records", "versions", "version_resources", "resources", "apps"] {
        db.execute(&format!("DELETE FROM {table} WHERE app = ?1"), [app])?;
    }
    Ok(())
}

/// Adds the rows of an app that there are none of.
fn insert(db: &Connection, app: &str, archive: &Archive) -> rusqlite::Result<()> {
    let State { basis, records, version, versions } = &archive.state;
    db.execute(
        "INSERT INTO apps VALUES (?1, ?2, ?3, ?4)",
        params![app, basis.lineage, basis.serial, version],
    )?;
    for (print, resource) in archive.all_resources() {
        let text = serde_json::to_string(&resource).expect("a resource is plain data");
        let row = params![app, print.as_str(), text];
        db.execute("INSERT INTO resources VALUES (?1, ?2, ?3)", row)?;
    }
    for record in records.values() {
        let status = match record.status {
            Status::Creating => "creating",
            Status::Ready => "ready",
        };
        put(db, app, &record.resource, status)?;
    }
    versions.iter().try_for_each(|kept| put_version(db, app, kept))
}

/// A JSON column.
fn json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn id(column: usize, text: &str) -> rusqlite::Result<ResourceId> {
    text.parse().map_err(|error: crate::resource::ResourceIdError| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}

fn damaged_or_at(app: &str, path: &Path, error: rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, source) => {
            StoreError::Damaged { app: app.into(), source }
        }
        source => at(path, source),
    }
}

fn at(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Database { path: path.to_owned(), source: source.into() }
}
