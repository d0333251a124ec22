-- From layout 1 to 2: calls that are made by calls.

ALTER TABLE calls ADD COLUMN parent TEXT;
DROP INDEX calls_queued;
CREATE INDEX calls_queued ON calls (function, parent IS NULL, priority DESC, seq) WHERE state = 'queued';
CREATE INDEX calls_children ON calls (parent) WHERE parent IS NOT NULL AND state IN ('queued', 'running');
