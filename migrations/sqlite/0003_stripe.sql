-- What Stripe is sent, what it answers, and what follows from it. Instants are nanoseconds since 1970 in UTC.
-- The one account, or the sandbox, that this database speaks to.
CREATE TABLE account_pin (
    pin                 INTEGER NOT NULL PRIMARY KEY CHECK (pin = 1),
    account_id          TEXT NOT NULL,
    livemode            INTEGER NOT NULL,
    pinned_at           INTEGER NOT NULL
) STRICT;

-- What is to be sent to Stripe, written before it is sent. Quantity, instant and identifier never change.
CREATE TABLE intents (
    account_id          TEXT NOT NULL,
    tenant_id           TEXT NOT NULL,
    customer_id         TEXT NOT NULL,
    meter               TEXT NOT NULL,
    segment_start       INTEGER NOT NULL,
    segment_end         INTEGER NOT NULL,
    sequence            INTEGER NOT NULL,
    identifier          TEXT NOT NULL,
    quantity_floor      INTEGER NOT NULL,
    quantity_rest       INTEGER NOT NULL,
    records             INTEGER NOT NULL,
    event_at            INTEGER NOT NULL,
    state               TEXT NOT NULL,
    attempted_at        INTEGER,
    reason              TEXT NOT NULL,
    period              TEXT NOT NULL,
    run_id              TEXT NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter, segment_start, segment_end, account_id, sequence)
) STRICT;
CREATE UNIQUE INDEX intents_by_identifier ON intents (identifier);
CREATE INDEX intents_by_segment ON intents (segment_end);
CREATE INDEX intents_by_state ON intents (state);

-- Windows that were seen at Stripe while their invoice still took usage.
CREATE TABLE observed_windows (
    tenant_id           TEXT NOT NULL,
    window_start        INTEGER NOT NULL,
    window_end          INTEGER NOT NULL,
    run_id              TEXT NOT NULL,
    PRIMARY KEY (tenant_id, window_start, window_end)
) STRICT;

-- The comparison, row by row; quantities and amounts are decimal text, empty where nothing is known. Rows of windows
-- that were closed stay for all later reports of their period.
CREATE TABLE reconciliation (
    run_id              TEXT NOT NULL,
    position            INTEGER NOT NULL,
    period              TEXT NOT NULL,
    closed              INTEGER NOT NULL,
    tenant_id           TEXT NOT NULL,
    plan                TEXT NOT NULL,
    meter               TEXT NOT NULL,
    window_start        INTEGER,
    window_end          INTEGER,
    source              TEXT NOT NULL,
    class               TEXT NOT NULL,
    ledger_quantity     TEXT NOT NULL,
    stripe_quantity     TEXT NOT NULL,
    ledger_amount_minor TEXT NOT NULL,
    stripe_amount_minor TEXT NOT NULL,
    currency            TEXT NOT NULL,
    reason              TEXT NOT NULL,
    evidence            TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;
CREATE INDEX reconciliation_by_period ON reconciliation (period, closed);

CREATE TABLE run_evidence (
    run_id              TEXT NOT NULL,
    position            INTEGER NOT NULL,
    body                TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;

CREATE TABLE run_decisions (
    run_id              TEXT NOT NULL,
    position            INTEGER NOT NULL,
    plan                TEXT NOT NULL,
    meter               TEXT NOT NULL,
    metric              TEXT NOT NULL,
    value               TEXT NOT NULL,
    operator            TEXT NOT NULL,
    threshold           TEXT NOT NULL,
    passed              TEXT NOT NULL,
    required            INTEGER NOT NULL,
    population          INTEGER NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;

-- Messages that are to be sent, and those that were.
CREATE TABLE outbox (
    message_id          TEXT NOT NULL PRIMARY KEY,
    run_id              TEXT NOT NULL,
    body                TEXT NOT NULL,
    state               TEXT NOT NULL,
    created_at          INTEGER NOT NULL,
    attempts            INTEGER NOT NULL,
    problem             TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_by_state ON outbox (state);

ALTER TABLE runs ADD COLUMN mode TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN account_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN reasons TEXT NOT NULL DEFAULT '[]';
ALTER TABLE billing_windows ADD COLUMN not_billed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE billing_windows ADD COLUMN full_cycle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_exceptions ADD COLUMN amount TEXT NOT NULL DEFAULT '';
ALTER TABLE run_exceptions ADD COLUMN currency TEXT NOT NULL DEFAULT '';
-- Identifier, quantity and instant are what Stripe was asked for: they are never rewritten, and no intent is lost.
CREATE TRIGGER intents_are_frozen BEFORE UPDATE OF account_id, tenant_id, customer_id, meter, segment_start, segment_end, sequence, identifier, quantity_floor, quantity_rest, records, event_at ON intents BEGIN SELECT RAISE(ABORT, 'an intent is frozen'); END;
-- INSERT OR REPLACE deletes without asking a DELETE trigger.
CREATE TRIGGER intents_replaces_none BEFORE INSERT ON intents WHEN EXISTS (SELECT 1 FROM intents WHERE identifier = NEW.identifier) BEGIN SELECT RAISE(ABORT, 'an intent is frozen'); END;
CREATE TRIGGER intents_loses_none BEFORE DELETE ON intents BEGIN SELECT RAISE(ABORT, 'an intent is never removed'); END;
