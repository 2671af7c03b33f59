-- The books: rules, tenants, the lease, runs, and what was closed. Instants are nanoseconds since 1970 in UTC,
-- lease times milliseconds of the database's own clock.
CREATE TABLE catalog_versions (
    version         INTEGER NOT NULL PRIMARY KEY,
    catalog_hash    TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    recorded_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    tenant_id              TEXT    NOT NULL,
    position               INTEGER NOT NULL,
    name                   TEXT    NOT NULL,
    plan                   TEXT    NOT NULL,
    plan_interval          TEXT    NOT NULL,
    currency               TEXT    NOT NULL,
    stripe_customer_id     TEXT    NOT NULL,
    stripe_subscription_id TEXT    NOT NULL,
    status                 TEXT    NOT NULL,
    billing_anchor         INTEGER,
    trial_end              INTEGER,
    started_at             INTEGER,
    ended_at               INTEGER,
    PRIMARY KEY (tenant_id, position)
) STRICT;

CREATE TABLE lease (
    name            TEXT    NOT NULL PRIMARY KEY,
    holder          TEXT    NOT NULL,
    fence           INTEGER NOT NULL,
    acquired_at     INTEGER NOT NULL,
    renewed_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    run_id          TEXT    NOT NULL PRIMARY KEY,
    period          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    fence           INTEGER NOT NULL,
    holder          TEXT    NOT NULL,
    started_at      INTEGER NOT NULL,
    code_version    TEXT    NOT NULL,
    catalog_hash    TEXT    NOT NULL,
    rules_hash      TEXT    NOT NULL,
    time_zone       TEXT    NOT NULL,
    period_status   TEXT    NOT NULL,
    manifest_sha256 TEXT    NOT NULL
) STRICT;
CREATE INDEX runs_by_state ON runs (state);

CREATE TABLE billing_period_jobs (
    period          TEXT    NOT NULL PRIMARY KEY,
    status          TEXT    NOT NULL,
    tenants         INTEGER NOT NULL,
    closed          INTEGER NOT NULL,
    parked          INTEGER NOT NULL,
    not_billed      INTEGER NOT NULL,
    pending_before  INTEGER NOT NULL,
    pushed          INTEGER NOT NULL,
    errors          INTEGER NOT NULL,
    pending_after   INTEGER NOT NULL,
    tenants_version INTEGER NOT NULL,
    run_id          TEXT    NOT NULL
) STRICT;

CREATE TABLE billing_windows (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    tenant_name     TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    accounted       TEXT    NOT NULL,
    park_reason     TEXT    NOT NULL,
    run_id          TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
) STRICT;
CREATE INDEX billing_windows_by_period ON billing_windows (period);
CREATE INDEX billing_windows_by_end ON billing_windows (window_end);

-- What a closed window used, by segment and meter; and what it was billed. Written once.
CREATE TABLE window_usage (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    segment_start   INTEGER NOT NULL,
    segment_end     INTEGER NOT NULL,
    plan            TEXT    NOT NULL,
    plan_interval   TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    disposition     TEXT    NOT NULL,
    records         INTEGER NOT NULL,
    quantity_floor  INTEGER NOT NULL,
    quantity_rest   INTEGER NOT NULL,
    free_floor      INTEGER NOT NULL,
    free_rest       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, window_start, position)
) STRICT;
CREATE INDEX window_usage_by_period ON window_usage (period);

CREATE TABLE window_lines (
    tenant_id         TEXT    NOT NULL,
    window_start      INTEGER NOT NULL,
    position          INTEGER NOT NULL,
    period            TEXT    NOT NULL,
    segment_start     INTEGER NOT NULL,
    segment_end       INTEGER NOT NULL,
    plan              TEXT    NOT NULL,
    plan_interval     TEXT    NOT NULL,
    currency          TEXT    NOT NULL,
    meter             TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    tier              INTEGER,
    quantity_floor    INTEGER NOT NULL,
    quantity_rest     INTEGER NOT NULL,
    unit_amount_floor INTEGER NOT NULL,
    unit_amount_rest  INTEGER NOT NULL,
    amount_minor      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, window_start, position)
) STRICT;
CREATE INDEX window_lines_by_period ON window_lines (period);

-- What a run reported beside the lines, kept so that its files can be made again to the byte.
CREATE TABLE run_exceptions (
    run_id          TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    tenant_id       TEXT    NOT NULL,
    kind            TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    plan            TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    tenant_name     TEXT    NOT NULL,
    records         INTEGER NOT NULL,
    quantity        TEXT    NOT NULL,
    next_step       TEXT    NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;

CREATE TABLE run_control_totals (
    run_id          TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    measure         TEXT    NOT NULL,
    records         INTEGER NOT NULL,
    quantity        TEXT    NOT NULL,
    PRIMARY KEY (run_id, meter, measure)
) STRICT;

CREATE TABLE audit_log (
    position        INTEGER NOT NULL PRIMARY KEY,
    recorded_at     INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    event           TEXT    NOT NULL,
    details         TEXT    NOT NULL,
    hash            TEXT    NOT NULL
) STRICT;
CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
-- INSERT OR REPLACE deletes without asking a DELETE trigger.
CREATE TRIGGER audit_log_replaces_none BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM audit_log WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_loses_none BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
