-- From layout 4 to 5: attempts know how long they claimed nothing, in milliseconds, since they waited
-- for calls that they made.

ALTER TABLE attempts ADD COLUMN waited INTEGER NOT NULL DEFAULT 0;
