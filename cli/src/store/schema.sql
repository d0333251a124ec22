CREATE TABLE apps (
    app     TEXT PRIMARY KEY,
    lineage TEXT NOT NULL,
    serial  INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- What records and versions refer to, once however many do.
CREATE TABLE resources (
    app         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    resource    TEXT NOT NULL,
    PRIMARY KEY (app, fingerprint)
) STRICT;

CREATE TABLE records (
    app         TEXT NOT NULL,
    id          TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      TEXT NOT NULL,
    PRIMARY KEY (app, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE versions (
    app     TEXT NOT NULL,
    number  INTEGER NOT NULL,
    about   TEXT NOT NULL,
    PRIMARY KEY (app, number)
) WITHOUT ROWID, STRICT;

CREATE TABLE version_resources (
    app         TEXT NOT NULL,
    number      INTEGER NOT NULL,
    id          TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (app, number, id)
) WITHOUT ROWID, STRICT;

