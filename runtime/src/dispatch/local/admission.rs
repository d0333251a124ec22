//! How calls get into the queue, and into their places in maps.

use std::fmt;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, named_params, params};
use serde_json::Value;

use super::queue::{Queue, json, optional_json, to_json};
use super::record::{CallState, NewCall};
use crate::catalog::FunctionName;
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
    Done {
        /// That call.
        call: CallId,
        /// What it made.
        outcome: Outcome,
        /// The version of the function that it was a call of.
        version: u64,
    },
    /// An earlier run's call has the place, and is another one.
    Different(Difference),
}

/// What an earlier run of a map did another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It had another input at this place, from 0.
    Input(u64),
    /// It called another function.
    Function {
        /// Where that was deployed.
        environment: String,
        /// Its full name.
        name: FunctionName,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(place) => write!(f, "another input {place}"),
            Self::Function { environment, name } => {
                write!(f, "another function, `{name}` of the environment `{environment}`")
            }
        }
    }
}

/// The call that has a place in a map.
struct Occupant {
    seq: i64,
    call: CallId,
    environment: String,
    name: FunctionName,
    version: u64,
    args: Value,
    state: String,
    outcome: Option<Outcome>,
    ending: bool,
}

impl Occupant {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Occupant {
            seq: row.get(0)?,
            call: CallId(row.get(1)?),
            environment: row.get(2)?,
            name: FunctionName { app: row.get(3)?, function: row.get(4)? },
            version: row.get::<_, i64>(5)? as u64,
            args: json(row, 6)?,
            state: row.get(7)?,
            outcome: optional_json(row, 8)?,
            ending: row.get(9)?,
        })
    }

    /// How it is another call than `call`; the same function may have another version.
    fn difference(&self, call: &NewCall, place: u64) -> Option<Difference> {
        let NewCall { environment, function, args, .. } = call;
        let name = (&*self.environment, &*self.name.app, &*self.name.function);
        if name != (&**environment, &*function.app, &*function.name) {
            let (environment, name) = (self.environment.clone(), self.name.clone());
            return Some(Difference::Function { environment, name });
        }
        (self.args != *args).then_some(Difference::Input(place))
    }
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
        let occupant = self.occupant(map, *index)?;
        if let Some(difference) = occupant.difference(call, *index) {
            return Ok(Placement::Different(difference));
        }
        let Occupant { seq, call: found, version, outcome, ending, .. } = occupant;
        match (CallState::parse(&occupant.state), outcome) {
            (Some(CallState::Succeeded), Some(outcome)) => {
                Ok(Placement::Done { call: found, outcome, version })
            }
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

    fn occupant(&self, map: &str, index: u64) -> rusqlite::Result<Occupant> {
        self.db
            .prepare_cached(
                "SELECT seq, calls.id, environment, app, name, version, args, state, outcome,
                        cancel_requested
                 FROM calls JOIN functions ON functions.id = calls.function
                 WHERE map = ?1 AND map_index = ?2",
            )?
            .query_row(params![map, index as i64], Occupant::read)
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
            engine: crate::aws::layout::Engine::Local,
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

    #[test]
    fn the_place_of_another_function_or_input_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(&folder.path().join("queue.db")).unwrap();
        let place = |id: &str, change: &dyn Fn(&mut NewCall)| {
            let mut call = call(1);
            change(&mut call);
            queue.place(&CallId(id.into()), &call, Timestamp::UNIX_EPOCH).unwrap()
        };
        place("c-1", &|_| ());
        let name = FunctionName::new("a", "f");
        let other = Difference::Function { environment: "main".into(), name };
        let other = Placement::Different(other);
        assert_eq!(place("c-2", &|call| call.function.name = "g".into()), other);
        assert_eq!(place("c-2", &|call| call.function.app = "b".into()), other);
        assert_eq!(place("c-2", &|call| call.environment = "test".into()), other);
        let input = Placement::Different(Difference::Input(0));
        assert_eq!(place("c-2", &|call| call.args = json!(1)), input);
        let open = Placement::Open(CallId("c-1".into()));
        assert_eq!(place("c-2", &|call| call.version = 2), open, "deployed again");
    }
}
