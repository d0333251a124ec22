//! Looking at calls: one by id, or many by filter.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, ToSql};

use super::queue::{Queue, json, optional_json, timestamp};
use super::record::{AttemptRecord, CallRecord, CallState};
use crate::dispatch::Callee;
use crate::wire::CallId;

/// Which calls to list; everything absent lets all through.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of this environment.
    pub environment: Option<String>,
    /// Of this app.
    pub app: Option<String>,
    /// Of this function.
    pub function: Option<String>,
    /// In one of these states; none for any.
    pub states: Vec<CallState>,
    /// Of this map.
    pub map: Option<String>,
    /// Accepted at or after this.
    pub since: Option<Timestamp>,
    /// At most so many, the first ones.
    pub limit: Option<usize>,
    /// Oldest first, instead of newest first.
    pub oldest_first: bool,
}

const COLUMNS: &str = "calls.seq, calls.id, functions.environment, functions.app, functions.name,
    functions.version, calls.state, calls.args, calls.map, calls.created, calls.started,
    calls.ended, calls.outcome, calls.parent, calls.cost";

impl Queue {
    /// The call of that id.
    pub(super) fn call(&self, id: &CallId) -> rusqlite::Result<Option<CallRecord>> {
        let found = self
            .db
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM calls JOIN functions ON functions.id = calls.function
                 WHERE calls.id = ?1"
            ))?
            .query_row([&id.0], call_record)
            .optional()?;
        found.map(|(seq, call)| self.with_attempts(seq, call)).transpose()
    }

    /// Calls that pass the filter, newest first unless it says otherwise; those of a map by the
    /// places of their inputs.
    pub(super) fn calls(&self, filter: &CallFilter) -> rusqlite::Result<Vec<CallRecord>> {
        let (select, values) = filter.select();
        let rows: Vec<_> = self
            .db
            .prepare(&select)?
            .query_map(rusqlite::params_from_iter(values), call_record)?
            .collect::<Result<_, _>>()?;
        rows.into_iter().map(|(seq, call)| self.with_attempts(seq, call)).collect()
    }

    /// How many calls pass the filter, whatever its limit.
    pub(super) fn count(&self, filter: &CallFilter) -> rusqlite::Result<u64> {
        let (conditions, values) = filter.conditions();
        self.db
            .prepare(&format!(
                "SELECT count(*) FROM calls JOIN functions ON functions.id = calls.function
                 WHERE {conditions}"
            ))?
            .query_row(rusqlite::params_from_iter(values), |row| row.get(0))
    }

    /// Forgets calls that ended before `before`, and says which.
    pub(super) fn forget_ended(&self, before: Timestamp) -> rusqlite::Result<Vec<CallId>> {
        self.db
            .prepare_cached("DELETE FROM calls WHERE ended < ?1 RETURNING id")?
            .query_map([before.as_millisecond()], |row| Ok(CallId(row.get(0)?)))?
            .collect()
    }

    fn with_attempts(&self, seq: i64, mut call: CallRecord) -> rusqlite::Result<CallRecord> {
        call.attempts = self
            .db
            .prepare_cached(
                "SELECT attempt, worker, started, ended, progress, failure FROM attempts
                 WHERE call = ?1 ORDER BY attempt",
            )?
            .query_map([seq], |row| {
                Ok(AttemptRecord {
                    attempt: row.get(0)?,
                    worker: row.get(1)?,
                    started: timestamp(row.get(2)?),
                    ended: row.get::<_, Option<i64>>(3)?.map(timestamp),
                    progress: optional_json(row, 4)?,
                    failure: optional_json(row, 5)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        // A sum of nothing is -0.
        call.seconds = call.attempts.iter().filter_map(AttemptRecord::seconds).sum::<f64>() + 0.0;
        Ok(call)
    }
}

impl CallFilter {
    /// Whether calls of `callee` may pass.
    pub fn covers(&self, callee: &Callee) -> bool {
        let may = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        may(&self.environment, &callee.environment)
            && may(&self.app, &callee.app)
            && may(&self.function, &callee.function)
    }

    /// The statement that lists what passes, and the values in it.
    fn select(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let (conditions, mut values) = self.conditions();
        values.push(Box::new(self.limit.map_or(-1, |limit| limit as i64)));
        let order = if self.oldest_first { "ASC" } else { "DESC" };
        // The index of a map's calls has them in this order; any other would have to sort them all.
        let column = if self.map.is_some() { "map_index" } else { "seq" };
        let select = format!(
            "SELECT {COLUMNS} FROM calls JOIN functions ON functions.id = calls.function
             WHERE {conditions} ORDER BY calls.{column} {order} LIMIT ?"
        );
        (select, values)
    }

    /// As SQL on `calls` joined with `functions`, and the values in it.
    fn conditions(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let texts = [
            ("functions.environment", &self.environment),
            ("functions.app", &self.app),
            ("functions.name", &self.function),
            ("calls.map", &self.map),
        ];
        for (column, wanted) in texts {
            if let Some(wanted) = wanted {
                conditions.push(format!("{column} = ?"));
                values.push(Box::new(wanted.clone()));
            }
        }
        if let Some(since) = self.since {
            conditions.push("calls.created >= ?".into());
            values.push(Box::new(since.as_millisecond()));
        }
        if !self.states.is_empty() {
            let names: Vec<_> =
                self.states.iter().map(|state| format!("'{}'", state.as_str())).collect();
            conditions.push(format!("calls.state IN ({})", names.join(", ")));
        }
        (conditions.join(" AND "), values)
    }
}

fn call_record(row: &Row<'_>) -> rusqlite::Result<(i64, CallRecord)> {
    let state: String = row.get(6)?;
    let call = CallRecord {
        id: CallId(row.get(1)?),
        environment: row.get(2)?,
        app: row.get(3)?,
        function: row.get(4)?,
        version: row.get::<_, i64>(5)? as u64,
        state: CallState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
        args: json(row, 7)?,
        map: row.get(8)?,
        parent: row.get::<_, Option<String>>(13)?.map(CallId),
        created: timestamp(row.get(9)?),
        started: row.get::<_, Option<i64>>(10)?.map(timestamp),
        ended: row.get::<_, Option<i64>>(11)?.map(timestamp),
        attempts: Vec::new(),
        outcome: optional_json(row, 12)?,
        seconds: 0.0,
        cost: row.get(14)?,
    };
    Ok((row.get(0)?, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_calls_of_all_and_of_a_map_are_found_without_sorting_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&folder.path().join("queue.db")).unwrap();
        let join = "SEARCH functions USING INTEGER PRIMARY KEY (rowid=?)";
        let (select, _) = CallFilter { limit: Some(20), ..CallFilter::default() }.select();
        assert_eq!(queue.plan(&select), ["SCAN calls", join]);
        let map = CallFilter { map: Some("m".into()), limit: Some(20), ..CallFilter::default() };
        let (select, _) = map.select();
        assert_eq!(queue.plan(&select), ["SEARCH calls USING INDEX calls_map (map=?)", join]);
    }
}
