//! Earlier successes, by what makes calls alike.

use rusqlite::{OptionalExtension, params};

use super::queue::{Queue, json, to_json};
use super::reuse::{Key, Mark};
use crate::wire::{CallId, Outcome};
use serde_json::Value;

/// An earlier success as it is recorded.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) call: CallId,
    pub(super) args: Value,
    pub(super) outcome: Outcome,
    /// The files it left.
    pub(super) files: Vec<Mark>,
}

impl Queue {
    /// Remembers the call of that row, in place of an earlier one that was alike.
    pub(super) fn remember(&self, key: &Key, seq: i64, files: &[Mark]) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO reusable (key, call, files) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![key, seq, to_json(&files)])?;
        Ok(())
    }

    /// The last call that was alike and succeeded.
    pub(super) fn remembered(&self, key: &Key) -> rusqlite::Result<Option<Remembered>> {
        self.db
            .prepare_cached(
                "SELECT calls.id, calls.args, calls.outcome, reusable.files
                 FROM reusable JOIN calls ON calls.seq = reusable.call
                 WHERE reusable.key = ?1 AND calls.state = 'succeeded'",
            )?
            .query_row([key], |row| {
                Ok(Remembered {
                    call: CallId(row.get(0)?),
                    args: json(row, 1)?,
                    outcome: json(row, 2)?,
                    files: json(row, 3)?,
                })
            })
            .optional()
    }
}
