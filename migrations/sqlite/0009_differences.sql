-- Differences from run to run. The subject is the start of the window, or the subscription that no tenant has.
CREATE TABLE differences (
    period              TEXT NOT NULL,
    tenant_id           TEXT NOT NULL,
    meter               TEXT NOT NULL,
    source              TEXT NOT NULL,
    subject             TEXT NOT NULL,
    first_seen          INTEGER NOT NULL,
    last_seen           INTEGER NOT NULL,
    -- NULL: it is there.
    gone_at             INTEGER,
    class               TEXT NOT NULL,
    reason              TEXT NOT NULL,
    PRIMARY KEY (period, tenant_id, meter, source, subject)
) STRICT;

-- NULL: it is no difference, or older than this column.
ALTER TABLE reconciliation ADD COLUMN first_seen INTEGER;
-- What the run tolerated.
ALTER TABLE runs ADD COLUMN tolerances TEXT NOT NULL DEFAULT 'none';
