-- What Stripe is sent, what it answers, and what follows from it. Instants are nanoseconds since 1970 in UTC.
-- The one account, or the sandbox, that this database speaks to.
CREATE TABLE account_pin (
    pin                 BIGINT NOT NULL PRIMARY KEY CHECK (pin = 1),
    account_id          TEXT COLLATE "C" NOT NULL,
    livemode            BIGINT NOT NULL,
    pinned_at           BIGINT NOT NULL
);

-- What is to be sent to Stripe, written before it is sent. Quantity, instant and identifier never change.
CREATE TABLE intents (
    account_id          TEXT COLLATE "C" NOT NULL,
    tenant_id           TEXT COLLATE "C" NOT NULL,
    customer_id         TEXT COLLATE "C" NOT NULL,
    meter               TEXT COLLATE "C" NOT NULL,
    segment_start       BIGINT NOT NULL,
    segment_end         BIGINT NOT NULL,
    sequence            BIGINT NOT NULL,
    identifier          TEXT COLLATE "C" NOT NULL,
    quantity            NUMERIC(36,12) NOT NULL CHECK (quantity <> 'NaN'),
    records             BIGINT NOT NULL,
    event_at            BIGINT NOT NULL,
    state               TEXT COLLATE "C" NOT NULL,
    attempted_at        BIGINT,
    reason              TEXT COLLATE "C" NOT NULL,
    period              TEXT COLLATE "C" NOT NULL,
    run_id              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter, segment_start, segment_end, account_id, sequence)
);
CREATE UNIQUE INDEX intents_by_identifier ON intents (identifier);
CREATE INDEX intents_by_segment ON intents (segment_end);
CREATE INDEX intents_by_state ON intents (state);

-- Windows that were seen at Stripe while their invoice still took usage.
CREATE TABLE observed_windows (
    tenant_id           TEXT COLLATE "C" NOT NULL,
    window_start        BIGINT NOT NULL,
    window_end          BIGINT NOT NULL,
    run_id              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
);

-- The comparison, row by row; quantities and amounts are decimal text, empty where nothing is known. Rows of windows
-- that were closed stay for all later reports of their period.
CREATE TABLE reconciliation (
    run_id              TEXT COLLATE "C" NOT NULL,
    position            BIGINT NOT NULL,
    period              TEXT COLLATE "C" NOT NULL,
    closed              BIGINT NOT NULL,
    tenant_id           TEXT COLLATE "C" NOT NULL,
    plan                TEXT COLLATE "C" NOT NULL,
    meter               TEXT COLLATE "C" NOT NULL,
    window_start        BIGINT,
    window_end          BIGINT,
    source              TEXT COLLATE "C" NOT NULL,
    class               TEXT COLLATE "C" NOT NULL,
    ledger_quantity     TEXT COLLATE "C" NOT NULL,
    stripe_quantity     TEXT COLLATE "C" NOT NULL,
    ledger_amount_minor TEXT COLLATE "C" NOT NULL,
    stripe_amount_minor TEXT COLLATE "C" NOT NULL,
    currency            TEXT COLLATE "C" NOT NULL,
    reason              TEXT COLLATE "C" NOT NULL,
    evidence            TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, position)
);
CREATE INDEX reconciliation_by_period ON reconciliation (period, closed);

CREATE TABLE run_evidence (
    run_id              TEXT COLLATE "C" NOT NULL,
    position            BIGINT NOT NULL,
    body                TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, position)
);

CREATE TABLE run_decisions (
    run_id              TEXT COLLATE "C" NOT NULL,
    position            BIGINT NOT NULL,
    plan                TEXT COLLATE "C" NOT NULL,
    meter               TEXT COLLATE "C" NOT NULL,
    metric              TEXT COLLATE "C" NOT NULL,
    value               TEXT COLLATE "C" NOT NULL,
    operator            TEXT COLLATE "C" NOT NULL,
    threshold           TEXT COLLATE "C" NOT NULL,
    passed              TEXT COLLATE "C" NOT NULL,
    required            BIGINT NOT NULL,
    population          BIGINT NOT NULL,
    PRIMARY KEY (run_id, position)
);

-- Messages that are to be sent, and those that were.
CREATE TABLE outbox (
    message_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    run_id              TEXT COLLATE "C" NOT NULL,
    body                TEXT COLLATE "C" NOT NULL,
    state               TEXT COLLATE "C" NOT NULL,
    created_at          BIGINT NOT NULL,
    attempts            BIGINT NOT NULL,
    problem             TEXT COLLATE "C" NOT NULL
);
CREATE INDEX outbox_by_state ON outbox (state);

ALTER TABLE runs ADD COLUMN mode TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN account_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN verdict TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN reasons TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE billing_windows ADD COLUMN not_billed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE billing_windows ADD COLUMN full_cycle BIGINT NOT NULL DEFAULT 0;
ALTER TABLE run_exceptions ADD COLUMN amount TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE run_exceptions ADD COLUMN currency TEXT COLLATE "C" NOT NULL DEFAULT '';
-- Identifier, quantity and instant are what Stripe was asked for: they are never rewritten, and no intent is lost.
CREATE FUNCTION intents_keeps_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an intent is frozen and never removed';
END
$$;
CREATE TRIGGER intents_are_frozen BEFORE UPDATE OF account_id, tenant_id, customer_id, meter, segment_start, segment_end,
    sequence, identifier, quantity, records, event_at ON intents FOR EACH ROW EXECUTE FUNCTION intents_keeps_rows();
CREATE TRIGGER intents_loses_none BEFORE DELETE OR TRUNCATE ON intents EXECUTE FUNCTION intents_keeps_rows();
