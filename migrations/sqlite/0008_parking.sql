-- People's words about tenants, which windows are parked and since when, and what is charged for the windows that closed.
-- Instants are nanoseconds since 1970 in UTC. Rows of holds and releases are only ever added.
CREATE TABLE holds (
    position        INTEGER NOT NULL PRIMARY KEY,
    tenant_id       TEXT    NOT NULL,
    -- Empty: every period from then on.
    period          TEXT    NOT NULL,
    -- 0: this row ends the hold.
    held            INTEGER NOT NULL,
    held_by         TEXT    NOT NULL,
    note            TEXT    NOT NULL,
    recorded_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE releases (
    position        INTEGER NOT NULL PRIMARY KEY,
    -- Empty, and without a window: the whole period.
    tenant_id       TEXT    NOT NULL,
    period          TEXT    NOT NULL,
    window_start    INTEGER,
    window_end      INTEGER,
    reason          TEXT    NOT NULL,
    released_by     TEXT    NOT NULL,
    note            TEXT    NOT NULL,
    recorded_at     INTEGER NOT NULL
) STRICT;

-- The windows that the last run of their period parked, and the first of the runs that did so for that reason.
CREATE TABLE parked_windows (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    since           INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    -- 1: usage was kept back, for this reason or an earlier one.
    kept_back       INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
) STRICT;
CREATE INDEX parked_windows_by_period ON parked_windows (period);
INSERT INTO parked_windows (tenant_id, window_start, window_end, period, reason, since, run_id, kept_back)
    SELECT w.tenant_id, w.window_start, w.window_end, w.period, w.park_reason, r.started_at, w.run_id,
        CASE WHEN w.park_reason = 'incomplete' THEN 0 ELSE 1 END
    FROM billing_windows w JOIN runs r ON r.run_id = w.run_id WHERE w.status = 'parked';

-- What the price in force comes to for each window that closed and is billed through Stripe; the basis is the plan with
-- the meters that are charged, and empty where none is.
CREATE TABLE window_charges (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    basis           TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    amount_minor    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
) STRICT;
CREATE INDEX window_charges_by_period ON window_charges (period);

-- Windows that were seen after their end while their invoice was a draft, by the first run that saw them so.
CREATE TABLE draft_windows (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
) STRICT;

-- The safety bounds that a run kept to.
ALTER TABLE runs ADD COLUMN bounds TEXT NOT NULL DEFAULT '';

CREATE TRIGGER holds_keeps_rows BEFORE UPDATE ON holds BEGIN SELECT RAISE(ABORT, 'holds is append-only'); END;
CREATE TRIGGER holds_replaces_none BEFORE INSERT ON holds WHEN EXISTS (SELECT 1 FROM holds WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'holds is append-only'); END;
CREATE TRIGGER holds_loses_none BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'holds is append-only'); END;
CREATE TRIGGER releases_keeps_rows BEFORE UPDATE ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER releases_replaces_none BEFORE INSERT ON releases WHEN EXISTS (SELECT 1 FROM releases WHERE position = NEW.position) BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
CREATE TRIGGER releases_loses_none BEFORE DELETE ON releases BEGIN SELECT RAISE(ABORT, 'releases is append-only'); END;
