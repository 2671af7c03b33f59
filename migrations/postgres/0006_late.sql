-- Usage that came after its window was closed, what was used of windows still open, and what a run knew of the ledger.
-- One row for what one run adjusted of a window, segment and meter. Nothing is ever taken back: a later run adds its own.
CREATE TABLE adjustments (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    window_end             BIGINT NOT NULL,
    segment_start          BIGINT NOT NULL,
    segment_end            BIGINT NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    records                BIGINT NOT NULL,
    -- NaN sorts above every number, so an upper bound refuses it.
    quantity               NUMERIC(36, 12) NOT NULL CHECK (quantity < 1000000000000000000000000),
    amount_minor           BIGINT NOT NULL,
    run_id                 TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end, segment_start, meter, run_id)
);
CREATE INDEX adjustments_by_period ON adjustments (period);
CREATE FUNCTION adjustments_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'adjustments is append-only';
END
$$;
CREATE TRIGGER adjustments_keeps_rows BEFORE UPDATE OR DELETE ON adjustments
    FOR EACH ROW EXECUTE FUNCTION adjustments_is_append_only();
CREATE TRIGGER adjustments_is_never_emptied BEFORE TRUNCATE ON adjustments
    FOR EACH STATEMENT EXECUTE FUNCTION adjustments_is_append_only();

-- What a run reported of windows that were open at the end of its period.
CREATE TABLE run_accruals (
    run_id                 TEXT COLLATE "C" NOT NULL,
    position               BIGINT NOT NULL,
    tenant_id              TEXT COLLATE "C" NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    window_end             BIGINT NOT NULL,
    accrued_until          BIGINT NOT NULL,
    records                BIGINT NOT NULL,
    quantity               TEXT COLLATE "C" NOT NULL,
    amount_minor           BIGINT NOT NULL,
    PRIMARY KEY (run_id, position)
);

-- How many records each batch of an import brought, by the UTC day on which they occurred (days since 1970). Written with
-- the records, so that one can tell whether something came for a closed period without reading the ledger.
CREATE TABLE arrivals (
    arrival                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_day           BIGINT NOT NULL,
    records                BIGINT NOT NULL
);
CREATE INDEX arrivals_by_day ON arrivals (occurred_day, records);

-- The time that a period was last looked at for, and the records that had arrived for its days by then.
ALTER TABLE billing_period_jobs ADD COLUMN reach_start BIGINT;
ALTER TABLE billing_period_jobs ADD COLUMN reach_end BIGINT;
ALTER TABLE billing_period_jobs ADD COLUMN arrived BIGINT;

-- How a window was laid out when it closed: late usage is rated by that, whatever the tenant's rows say now.
ALTER TABLE billing_windows ADD COLUMN trial BIGINT NOT NULL DEFAULT 0;
ALTER TABLE billing_windows ADD COLUMN stretches TEXT COLLATE "C" NOT NULL DEFAULT '';

-- What the ledger held of the period when the run read it.
ALTER TABLE runs ADD COLUMN ledger_records BIGINT;
ALTER TABLE runs ADD COLUMN ledger_recorded_at BIGINT;
-- What the figures of the run came to.
CREATE TABLE run_totals (
    run_id                 TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    base_minor             TEXT COLLATE "C" NOT NULL,
    usage_minor            TEXT COLLATE "C" NOT NULL,
    late_minor             TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, currency)
);
