-- The ledger: one row per usage record. Instants are nanoseconds since 1970 in UTC; the tenant leads the
-- key, so that the table can be distributed by it. Text compares by bytes, whatever the database's collation.
CREATE TABLE usage_ledger (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    source_event_id        TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    -- NaN sorts above every number, so the upper bound refuses it.
    quantity               NUMERIC(36, 12) NOT NULL CHECK (quantity > -1000000000000000 AND quantity < 1000000000000000),
    occurred_at            BIGINT NOT NULL,
    recorded_at            BIGINT NOT NULL,
    outcome                TEXT COLLATE "C" NOT NULL,
    source                 TEXT COLLATE "C" NOT NULL,
    properties             TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, source_event_id)
);

-- Closing reads a month out of years of records; a block range index costs next to nothing and is no key.
CREATE INDEX usage_ledger_by_time ON usage_ledger USING brin (occurred_at);

-- Lines that are not in the ledger, with the reason. Unique by the hash of their text; no id is reserved by them.
CREATE TABLE quarantine (
    body_hash              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    reason                 TEXT COLLATE "C" NOT NULL,
    detail                 TEXT COLLATE "C" NOT NULL,
    tenant_id              TEXT COLLATE "C" NOT NULL,
    source_event_id        TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    file                   TEXT COLLATE "C" NOT NULL,
    line                   BIGINT NOT NULL,
    body                   TEXT COLLATE "C" NOT NULL,
    recorded_at            BIGINT NOT NULL,
    resolved_at            BIGINT
);
CREATE INDEX quarantine_by_period ON quarantine (period);
CREATE INDEX quarantine_by_record ON quarantine (tenant_id, source_event_id);

-- One row per import of usage: read = accepted + duplicate + quarantined.
CREATE TABLE import_receipts (
    receipt                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    file                   TEXT COLLATE "C" NOT NULL,
    recorded_at            BIGINT NOT NULL,
    records_read           BIGINT NOT NULL,
    accepted               BIGINT NOT NULL,
    duplicate              BIGINT NOT NULL,
    quarantined            BIGINT NOT NULL
);
