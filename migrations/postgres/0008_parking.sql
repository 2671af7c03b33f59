-- People's words about tenants, which windows are parked and since when, and what is charged for the windows that closed.
-- Instants are nanoseconds since 1970 in UTC. Rows of holds and releases are only ever added.
CREATE TABLE holds (
    position        BIGINT NOT NULL PRIMARY KEY,
    tenant_id       TEXT COLLATE "C" NOT NULL,
    -- Empty: every period from then on.
    period          TEXT COLLATE "C" NOT NULL,
    -- 0: this row ends the hold.
    held            BIGINT NOT NULL,
    held_by         TEXT COLLATE "C" NOT NULL,
    note            TEXT COLLATE "C" NOT NULL,
    recorded_at     BIGINT NOT NULL
);

CREATE TABLE releases (
    position        BIGINT NOT NULL PRIMARY KEY,
    -- Empty, and without a window: the whole period.
    tenant_id       TEXT COLLATE "C" NOT NULL,
    period          TEXT COLLATE "C" NOT NULL,
    window_start    BIGINT,
    window_end      BIGINT,
    reason          TEXT COLLATE "C" NOT NULL,
    released_by     TEXT COLLATE "C" NOT NULL,
    note            TEXT COLLATE "C" NOT NULL,
    recorded_at     BIGINT NOT NULL
);

-- The windows that the last run of their period parked, and the first of the runs that did so for that reason.
CREATE TABLE parked_windows (
    tenant_id       TEXT COLLATE "C" NOT NULL,
    window_start    BIGINT NOT NULL,
    window_end      BIGINT NOT NULL,
    period          TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL,
    since           BIGINT NOT NULL,
    run_id          TEXT COLLATE "C" NOT NULL,
    -- 1: usage was kept back, for this reason or an earlier one.
    kept_back       BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
);
CREATE INDEX parked_windows_by_period ON parked_windows (period);
INSERT INTO parked_windows (tenant_id, window_start, window_end, period, reason, since, run_id, kept_back)
    SELECT w.tenant_id, w.window_start, w.window_end, w.period, w.park_reason, r.started_at, w.run_id,
        CASE WHEN w.park_reason = 'incomplete' THEN 0 ELSE 1 END
    FROM billing_windows w JOIN runs r ON r.run_id = w.run_id WHERE w.status = 'parked';

-- What the price in force comes to for each window that closed and is billed through Stripe; the basis is the plan with
-- the meters that are charged, and empty where none is.
CREATE TABLE window_charges (
    tenant_id       TEXT COLLATE "C" NOT NULL,
    window_start    BIGINT NOT NULL,
    window_end      BIGINT NOT NULL,
    period          TEXT COLLATE "C" NOT NULL,
    basis           TEXT COLLATE "C" NOT NULL,
    currency        TEXT COLLATE "C" NOT NULL,
    amount_minor    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
);
CREATE INDEX window_charges_by_period ON window_charges (period);

-- Windows that were seen after their end while their invoice was a draft, by the first run that saw them so.
CREATE TABLE draft_windows (
    tenant_id       TEXT COLLATE "C" NOT NULL,
    window_start    BIGINT NOT NULL,
    window_end      BIGINT NOT NULL,
    run_id          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
);

-- The safety bounds that a run kept to.
ALTER TABLE runs ADD COLUMN bounds TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE FUNCTION words_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER holds_keeps_rows BEFORE UPDATE OR DELETE ON holds FOR EACH ROW EXECUTE FUNCTION words_are_append_only();
CREATE TRIGGER holds_is_never_emptied BEFORE TRUNCATE ON holds FOR EACH STATEMENT EXECUTE FUNCTION words_are_append_only();
CREATE TRIGGER releases_keeps_rows BEFORE UPDATE OR DELETE ON releases FOR EACH ROW EXECUTE FUNCTION words_are_append_only();
CREATE TRIGGER releases_is_never_emptied BEFORE TRUNCATE ON releases FOR EACH STATEMENT EXECUTE FUNCTION words_are_append_only();
