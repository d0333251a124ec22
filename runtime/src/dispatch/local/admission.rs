//! How calls get into the queue, and into their places in maps.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, named_params, params};
use serde_json::Value;

use super::queue::{Queue, json, optional_json, to_json};
use super::record::{CallState, NewCall};
use crate::function::FunctionSpec;
use crate::wire::{CallId, Outcome};

/// What became of a call that was put in its place in a map.
#[derive(Clone, Debug, PartialEq)]
pub enum Placement {
    /// It was recorded.
    New(CallId),
    /// An earlier run's call has the place and hasn't ended.
    Open(CallId),
    /// An earlier run's call has the place and succeeded.
    Done(CallId, Outcome),
    /// An earlier run's call has the place with other arguments.
    Different(u64),
}

impl Queue {
    /// Records a call. Of a map, a place that is taken is left as it is: `false`.
    pub(super) fn insert(
        &self,
        id: &CallId,
        call: &NewCall,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let function = self.function_row(&call.environment, call.version, &call.function)?;
        let mut insert = self.db.prepare_cached(
            "INSERT INTO calls (id, function, args, overwrite, fresh, priority, owner, map,
                                map_index, parent, state, created)
             VALUES (:id, :function, :args, :overwrite, :fresh, :priority, :owner, :map,
                     :index, :parent, 'queued', :now)
             ON CONFLICT (map, map_index) WHERE map IS NOT NULL DO NOTHING",
        )?;
        let inserted = insert.execute(named_params! {
            ":id": id.0,
            ":function": function,
            ":args": call.args.to_string(),
            ":overwrite": call.overwrite,
            ":fresh": call.fresh,
            ":priority": call.priority,
            ":owner": call.owner.as_ref().map(to_json),
            ":map": call.map.as_ref().map(|(map, _)| map),
            ":index": call.map.as_ref().map(|(_, index)| *index as i64),
            ":parent": call.parent.as_ref().map(|parent| &parent.0),
            ":now": now.as_millisecond(),
        })?;
        Ok(inserted == 1)
    }

    /// Records calls that attempt number `attempt` of `parent` makes at their places in a map; none
    /// when that attempt is over.
    pub(super) fn place_children(
        &self,
        parent: &CallId,
        attempt: u32,
        calls: &[(CallId, NewCall)],
        now: Timestamp,
    ) -> rusqlite::Result<Option<Vec<Placement>>> {
        let runs = self
            .db
            .prepare_cached(
                "SELECT 1 FROM calls WHERE id = ?1 AND attempt = ?2 AND state = 'running'",
            )?
            .exists(params![parent.0, attempt])?;
        if !runs {
            return Ok(None);
        }
        calls.iter().map(|(id, call)| self.place(id, call, now)).collect::<Result<_, _>>().map(Some)
    }

    /// Records a call of a map at its place, or finds the call that has it already. One that ended
    /// without a result, or is about to, makes room for the new one.
    pub(super) fn place(
        &self,
        id: &CallId,
        call: &NewCall,
        now: Timestamp,
    ) -> rusqlite::Result<Placement> {
        if self.insert(id, call, now)? {
            return Ok(Placement::New(id.clone()));
        }
        let Some((map, index)) = &call.map else { return Ok(Placement::New(id.clone())) };
        let (seq, found, args, state, outcome, ending) = self
            .db
            .prepare_cached(
                "SELECT seq, id, args, state, outcome, cancel_requested FROM calls
                 WHERE map = ?1 AND map_index = ?2",
            )?
            .query_row(params![map, *index as i64], |row| {
                let state: String = row.get(3)?;
                Ok((
                    row.get::<_, i64>(0)?,
                    CallId(row.get(1)?),
                    json::<Value>(row, 2)?,
                    state,
                    optional_json::<Outcome>(row, 4)?,
                    row.get::<_, bool>(5)?,
                ))
            })?;
        if args != call.args {
            return Ok(Placement::Different(*index));
        }
        match (CallState::parse(&state), outcome) {
            (Some(CallState::Succeeded), Some(outcome)) => Ok(Placement::Done(found, outcome)),
            (Some(CallState::Queued | CallState::Running), _) if !ending => {
                let owner = call.owner.as_ref().map(to_json);
                self.db
                    .execute("UPDATE calls SET owner = ?2 WHERE seq = ?1", params![seq, owner])?;
                Ok(Placement::Open(found))
            }
            _ => {
                self.db.execute("UPDATE calls SET map = NULL WHERE seq = ?1", [seq])?;
                self.insert(id, call, now)?;
                Ok(Placement::New(id.clone()))
            }
        }
    }

    /// The row of a function at a version of its app, made when missing.
    pub(super) fn function_row(
        &self,
        environment: &str,
        version: u64,
        function: &FunctionSpec,
    ) -> rusqlite::Result<i64> {
        let spec = to_json(function);
        let key = params![environment, function.app, function.name, version as i64, spec];
        let found = self
            .db
            .prepare_cached(
                "SELECT id FROM functions
                 WHERE environment = ?1 AND app = ?2 AND name = ?3 AND version = ?4 AND spec = ?5",
            )?
            .query_row(key, |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            return Ok(id);
        }
        self.db
            .prepare_cached(
                "INSERT INTO functions (environment, app, name, version, spec)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(key)?;
        Ok(self.db.last_insert_rowid())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(owner: u32) -> NewCall {
        let function = json!({
            "app": "a", "name": "f", "entry": { "kind": "builtin", "handler": "echo" },
        });
        NewCall {
            environment: "main".into(),
            version: 1,
            function: serde_json::from_value(function).unwrap(),
            args: json!({}),
            overwrite: false,
            fresh: false,
            priority: 0,
            owner: Some(crate::process::ProcessId { pid: owner, started: 1 }),
            map: Some(("m".into(), 0)),
            parent: None,
        }
    }

    #[test]
    fn a_map_that_is_run_again_takes_open_calls_over_but_none_that_is_being_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&folder.path().join("queue.db")).unwrap();
        let place = |id: &str, owner| {
            queue.place(&CallId(id.into()), &call(owner), Timestamp::UNIX_EPOCH).unwrap()
        };
        let id = |id: &str| CallId(id.into());
        assert_eq!(place("c-1", 1), Placement::New(id("c-1")));
        assert_eq!(place("c-2", 2), Placement::Open(id("c-1")));
        assert!(queue.request_cancel(&id("c-1")).unwrap());
        assert_eq!(place("c-3", 3), Placement::New(id("c-3")));
        assert_eq!(place("c-4", 4), Placement::Open(id("c-3")));
    }
}
