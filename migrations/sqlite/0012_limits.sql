-- Warnings: which levels of its quota a tenant has reached in a window. One row for a window, meter and level, written by the
-- run that saw it first, and never again: what corrections take back changes no row.
CREATE TABLE limit_events (
    tenant_id       TEXT    NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER NOT NULL,
    meter           TEXT    NOT NULL,
    level           INTEGER NOT NULL,
    period          TEXT    NOT NULL,
    plan            TEXT    NOT NULL,
    plan_interval   TEXT    NOT NULL,
    currency        TEXT    NOT NULL,
    quota_floor     INTEGER NOT NULL,
    quota_rest      INTEGER NOT NULL,
    used_floor      INTEGER NOT NULL,
    used_rest       INTEGER NOT NULL,
    reached_at      INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end, meter, level)
) STRICT;
CREATE INDEX limit_events_by_period ON limit_events (period);
CREATE INDEX limit_events_by_end ON limit_events (window_end);
CREATE TRIGGER limit_events_keeps_rows BEFORE UPDATE ON limit_events BEGIN SELECT RAISE(ABORT, 'limit_events is append-only'); END;
CREATE TRIGGER limit_events_loses_none BEFORE DELETE ON limit_events BEGIN SELECT RAISE(ABORT, 'limit_events is append-only'); END;
-- INSERT OR REPLACE deletes without asking a DELETE trigger.
CREATE TRIGGER limit_events_replaces_none BEFORE INSERT ON limit_events WHEN EXISTS (SELECT 1 FROM limit_events WHERE tenant_id = NEW.tenant_id AND window_start = NEW.window_start AND window_end = NEW.window_end AND meter = NEW.meter AND level = NEW.level) BEGIN SELECT RAISE(ABORT, 'limit_events is append-only'); END;
