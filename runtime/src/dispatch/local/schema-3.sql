-- From layout 2 to 3: earlier successes that like calls give again, and what calls cost.

-- An earlier outcome isn't good enough: the call runs.
ALTER TABLE calls ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
-- In the currency of the price that was set when it ended.
ALTER TABLE calls ADD COLUMN cost REAL;

CREATE TABLE reusable (
  key TEXT PRIMARY KEY,
  call INTEGER NOT NULL REFERENCES calls (seq) ON DELETE CASCADE,
  files TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX reusable_call ON reusable (call);
