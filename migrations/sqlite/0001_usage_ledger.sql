-- The ledger: one row per usage record. Instants are nanoseconds since 1970 in UTC; a quantity is its whole part
-- (rounded down) and the rest in 10^-12 units. The tenant leads the key, so that the table can be distributed by it.
CREATE TABLE usage_ledger (
    tenant_id       TEXT    NOT NULL,
    source_event_id TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    quantity_floor  INTEGER NOT NULL CHECK (quantity_floor >= -1000000000000000 AND quantity_floor < 1000000000000000),
    quantity_rest   INTEGER NOT NULL CHECK (quantity_rest >= 0 AND quantity_rest < 1000000000000),
    occurred_at     INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    outcome         TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    properties      TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, source_event_id)
) STRICT, WITHOUT ROWID;

-- Lines that are not in the ledger, with the reason. Unique by the hash of their text; no id is reserved by them.
CREATE TABLE quarantine (
    body_hash       TEXT    NOT NULL PRIMARY KEY,
    reason          TEXT    NOT NULL,
    detail          TEXT    NOT NULL,
    tenant_id       TEXT    NOT NULL,
    source_event_id TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    period          TEXT    NOT NULL,
    file            TEXT    NOT NULL,
    line            INTEGER NOT NULL,
    body            TEXT    NOT NULL,
    recorded_at     INTEGER NOT NULL,
    resolved_at     INTEGER
) STRICT;
CREATE INDEX quarantine_by_period ON quarantine (period);
CREATE INDEX quarantine_by_record ON quarantine (tenant_id, source_event_id);

-- One row per import of usage: read = accepted + duplicate + quarantined.
CREATE TABLE import_receipts (
    receipt         TEXT    NOT NULL PRIMARY KEY,
    file            TEXT    NOT NULL,
    recorded_at     INTEGER NOT NULL,
    records_read    INTEGER NOT NULL,
    accepted        INTEGER NOT NULL,
    duplicate       INTEGER NOT NULL,
    quarantined     INTEGER NOT NULL
) STRICT;
