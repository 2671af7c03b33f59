-- The books: rules, tenants, the lease, runs, and what was closed. Instants are nanoseconds since 1970 in UTC,
-- lease times milliseconds of the database's own clock.
CREATE TABLE catalog_versions (
    version                BIGINT NOT NULL PRIMARY KEY,
    catalog_hash           TEXT COLLATE "C" NOT NULL,
    body                   TEXT COLLATE "C" NOT NULL,
    recorded_at            BIGINT NOT NULL
);

CREATE TABLE tenants (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    position               BIGINT NOT NULL,
    name                   TEXT COLLATE "C" NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    stripe_customer_id     TEXT COLLATE "C" NOT NULL,
    stripe_subscription_id TEXT COLLATE "C" NOT NULL,
    status                 TEXT COLLATE "C" NOT NULL,
    billing_anchor         BIGINT,
    trial_end              BIGINT,
    started_at             BIGINT,
    ended_at               BIGINT,
    PRIMARY KEY (tenant_id, position)
);

CREATE TABLE lease (
    name                   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder                 TEXT COLLATE "C" NOT NULL,
    fence                  BIGINT NOT NULL,
    acquired_at            BIGINT NOT NULL,
    renewed_at             BIGINT NOT NULL,
    expires_at             BIGINT NOT NULL
);

CREATE TABLE runs (
    run_id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    period                 TEXT COLLATE "C" NOT NULL,
    state                  TEXT COLLATE "C" NOT NULL,
    fence                  BIGINT NOT NULL,
    holder                 TEXT COLLATE "C" NOT NULL,
    started_at             BIGINT NOT NULL,
    code_version           TEXT COLLATE "C" NOT NULL,
    catalog_hash           TEXT COLLATE "C" NOT NULL,
    rules_hash             TEXT COLLATE "C" NOT NULL,
    time_zone              TEXT COLLATE "C" NOT NULL,
    period_status          TEXT COLLATE "C" NOT NULL,
    manifest_sha256        TEXT COLLATE "C" NOT NULL
);
CREATE INDEX runs_by_state ON runs (state);

CREATE TABLE billing_period_jobs (
    period                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    status                 TEXT COLLATE "C" NOT NULL,
    tenants                BIGINT NOT NULL,
    closed                 BIGINT NOT NULL,
    parked                 BIGINT NOT NULL,
    not_billed             BIGINT NOT NULL,
    pending_before         BIGINT NOT NULL,
    pushed                 BIGINT NOT NULL,
    errors                 BIGINT NOT NULL,
    pending_after          BIGINT NOT NULL,
    tenants_version        BIGINT NOT NULL,
    run_id                 TEXT COLLATE "C" NOT NULL
);

CREATE TABLE billing_windows (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    window_end             BIGINT NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    tenant_name            TEXT COLLATE "C" NOT NULL,
    status                 TEXT COLLATE "C" NOT NULL,
    accounted              TEXT COLLATE "C" NOT NULL,
    park_reason            TEXT COLLATE "C" NOT NULL,
    run_id                 TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
);
CREATE INDEX billing_windows_by_period ON billing_windows (period);
CREATE INDEX billing_windows_by_end ON billing_windows (window_end);

-- NaN sorts above every number, so an upper bound refuses it.
-- What a closed window used, by segment and meter; and what it was billed. Written once.
CREATE TABLE window_usage (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    position               BIGINT NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    segment_start          BIGINT NOT NULL,
    segment_end            BIGINT NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    disposition            TEXT COLLATE "C" NOT NULL,
    records                BIGINT NOT NULL,
    quantity               NUMERIC(36, 12) NOT NULL CHECK (quantity < 1000000000000000000000000),
    free                   NUMERIC(36, 12) NOT NULL CHECK (free < 1000000000000000000000000),
    PRIMARY KEY (tenant_id, window_start, position)
);
CREATE INDEX window_usage_by_period ON window_usage (period);

CREATE TABLE window_lines (
    tenant_id              TEXT COLLATE "C" NOT NULL,
    window_start           BIGINT NOT NULL,
    position               BIGINT NOT NULL,
    period                 TEXT COLLATE "C" NOT NULL,
    segment_start          BIGINT NOT NULL,
    segment_end            BIGINT NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    plan_interval          TEXT COLLATE "C" NOT NULL,
    currency               TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    kind                   TEXT COLLATE "C" NOT NULL,
    tier                   BIGINT,
    quantity               NUMERIC(36, 12) NOT NULL CHECK (quantity < 1000000000000000000000000),
    unit_amount            NUMERIC(36, 12) NOT NULL CHECK (unit_amount < 1000000000000000000000000),
    amount_minor           BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, window_start, position)
);
CREATE INDEX window_lines_by_period ON window_lines (period);

-- What a run reported beside the lines, kept so that its files can be made again to the byte.
CREATE TABLE run_exceptions (
    run_id                 TEXT COLLATE "C" NOT NULL,
    position               BIGINT NOT NULL,
    tenant_id              TEXT COLLATE "C" NOT NULL,
    kind                   TEXT COLLATE "C" NOT NULL,
    reason                 TEXT COLLATE "C" NOT NULL,
    plan                   TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    tenant_name            TEXT COLLATE "C" NOT NULL,
    records                BIGINT NOT NULL,
    quantity               TEXT COLLATE "C" NOT NULL,
    next_step              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, position)
);

CREATE TABLE run_control_totals (
    run_id                 TEXT COLLATE "C" NOT NULL,
    meter                  TEXT COLLATE "C" NOT NULL,
    measure                TEXT COLLATE "C" NOT NULL,
    records                BIGINT NOT NULL,
    quantity               TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, meter, measure)
);

CREATE TABLE audit_log (
    position               BIGINT NOT NULL PRIMARY KEY,
    recorded_at            BIGINT NOT NULL,
    run_id                 TEXT COLLATE "C" NOT NULL,
    event                  TEXT COLLATE "C" NOT NULL,
    details                TEXT COLLATE "C" NOT NULL,
    hash                   TEXT COLLATE "C" NOT NULL
);
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only';
END
$$;
CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only();
CREATE TRIGGER audit_log_is_never_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
