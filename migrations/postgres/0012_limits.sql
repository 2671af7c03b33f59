-- Warnings: which levels of its quota a tenant has reached in a window. One row for a window, meter and level, written by the
-- run that saw it first, and never again: what corrections take back changes no row.
CREATE TABLE limit_events (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    window_end             BIGINT NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    level                  BIGINT NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    -- NaN sorts above every number, so an upper bound refuses it.
    quota                  NUMERIC(36, 12) NOT NULL CHECK (quota < 1000000000000000000000000),
    used                   NUMERIC(36, 12) NOT NULL CHECK (used < 1000000000000000000000000),
    reached_at             BIGINT NOT NULL,
    run_id                 TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end, meter, level)
);
CREATE INDEX limit_events_by_period ON limit_events (period);
CREATE INDEX limit_events_by_end ON limit_events (window_end);
CREATE TRIGGER limit_events_keeps_rows BEFORE UPDATE OR DELETE ON limit_events
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER limit_events_is_never_emptied BEFORE TRUNCATE ON limit_events
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
