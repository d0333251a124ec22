-- The durable queue of the local target. One executor writes what happens to calls; any process
-- may add calls and ask for their cancellation.

CREATE TABLE functions (
  id INTEGER PRIMARY KEY,
  environment TEXT NOT NULL,
  app TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  spec TEXT NOT NULL,
  UNIQUE (environment, app, name, version, spec)
);

CREATE TABLE calls (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  function INTEGER NOT NULL REFERENCES functions (id),
  args TEXT NOT NULL,
  overwrite INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  -- The process that waits for it; nobody waits for a detached call.
  owner TEXT,
  map TEXT,
  map_index INTEGER,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  checkpoint TEXT,
  outcome TEXT,
  created INTEGER NOT NULL,
  started INTEGER,
  ended INTEGER
);

CREATE INDEX calls_queued ON calls (function, priority DESC, seq) WHERE state = 'queued';
CREATE INDEX calls_open ON calls (state) WHERE state IN ('queued', 'running');
CREATE INDEX calls_cancelling ON calls (seq) WHERE cancel_requested = 1 AND state IN ('queued', 'running');
CREATE UNIQUE INDEX calls_map ON calls (map, map_index) WHERE map IS NOT NULL;

CREATE TABLE attempts (
  call INTEGER NOT NULL REFERENCES calls (seq) ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  worker INTEGER,
  started INTEGER NOT NULL,
  ended INTEGER,
  progress TEXT,
  failure TEXT,
  PRIMARY KEY (call, attempt)
) WITHOUT ROWID;

-- Worker processes that a killed executor may have left behind.
CREATE TABLE workers (
  pid INTEGER NOT NULL,
  started INTEGER NOT NULL,
  PRIMARY KEY (pid, started)
) WITHOUT ROWID;
