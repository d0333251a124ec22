-- From layout 3 to 4: calls that were put off are found without walking all that wait. Others have
-- no entry, so it costs them nothing.

CREATE INDEX calls_due ON calls (not_before) WHERE state = 'queued' AND not_before > 0;
