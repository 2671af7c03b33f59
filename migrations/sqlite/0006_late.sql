-- Usage that came after its window was closed, what was used of windows still open, and what a run knew of the ledger.
-- One row for what one run adjusted of a window, segment and meter. Nothing is ever taken back: a later run adds its own.
CREATE TABLE adjustments (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    segment_start   INTEGER NOT NULL,
    segment_end     INTEGER NOT NULL,
    meter           TEXT    NOT NULL,
    period          TEXT    NOT NULL,
    plan            TEXT    NOT NULL,
    plan_interval   TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    records         INTEGER NOT NULL,
    quantity_floor  INTEGER NOT NULL,
    quantity_rest   INTEGER NOT NULL,
    amount_minor    INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end, segment_start, meter, run_id)
) STRICT;
CREATE INDEX adjustments_by_period ON adjustments (period);
CREATE TRIGGER adjustments_keeps_rows BEFORE UPDATE ON adjustments BEGIN SELECT RAISE(ABORT, 'adjustments is append-only'); END;
-- INSERT OR REPLACE deletes without asking a DELETE trigger.
CREATE TRIGGER adjustments_replaces_none BEFORE INSERT ON adjustments WHEN EXISTS (SELECT 1 FROM adjustments WHERE tenant_id = NEW.tenant_id AND window_start = NEW.window_start AND window_end = NEW.window_end AND segment_start = NEW.segment_start AND meter = NEW.meter AND run_id = NEW.run_id) BEGIN SELECT RAISE(ABORT, 'adjustments is append-only'); END;
CREATE TRIGGER adjustments_loses_none BEFORE DELETE ON adjustments BEGIN SELECT RAISE(ABORT, 'adjustments is append-only'); END;

-- What a run reported of windows that were open at the end of its period.
CREATE TABLE run_accruals (
    run_id          TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    tenant_id       TEXT    NOT NULL,
    plan            TEXT    NOT NULL,
    plan_interval   TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    meter           TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    accrued_until   INTEGER NOT NULL,
    records         INTEGER NOT NULL,
    quantity        TEXT    NOT NULL,
    amount_minor    INTEGER NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;

-- How many records each batch of an import brought, by the UTC day on which they occurred (days since 1970). Written with
-- the records, so that one can tell whether something came for a closed period without reading the ledger.
CREATE TABLE arrivals (
    arrival         INTEGER NOT NULL PRIMARY KEY,
    occurred_day    INTEGER NOT NULL,
    records         INTEGER NOT NULL
) STRICT;
CREATE INDEX arrivals_by_day ON arrivals (occurred_day, records);

-- The time that a period was last looked at for, and the records that had arrived for its days by then.
ALTER TABLE billing_period_jobs ADD COLUMN reach_start INTEGER;
ALTER TABLE billing_period_jobs ADD COLUMN reach_end INTEGER;
ALTER TABLE billing_period_jobs ADD COLUMN arrived INTEGER;

-- How a window was laid out when it closed: late usage is rated by that, whatever the tenant's rows say now.
ALTER TABLE billing_windows ADD COLUMN trial INTEGER NOT NULL DEFAULT 0;
ALTER TABLE billing_windows ADD COLUMN stretches TEXT NOT NULL DEFAULT '';

-- What the ledger held of the period when the run read it.
ALTER TABLE runs ADD COLUMN ledger_records INTEGER;
ALTER TABLE runs ADD COLUMN ledger_recorded_at INTEGER;
-- What the figures of the run came to.
CREATE TABLE run_totals (
    run_id          TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    base_minor      TEXT    NOT NULL,
    usage_minor     TEXT    NOT NULL,
    late_minor      TEXT    NOT NULL,
    PRIMARY KEY (run_id, currency)
) STRICT;
