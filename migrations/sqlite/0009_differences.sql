-- Differences from run to run. The subject is the start of the window, or the subscription that no tenant has.
CREATE TABLE differences (
    period              TEXT NOT NULL,
    tenant_id           TEXT NOT NULL,
    meter               TEXT NOT NULL,
    source              TEXT NOT NULL,
    subject             TEXT NOT NULL,
    first_seen          INTEGER NOT NULL,
    last_seen           INTEGER NOT NULL,
    -- How many runs saw it.
    runs                INTEGER NOT NULL,
    -- NULL: it is there, for all that is known.
    gone_at             INTEGER,
    class               TEXT NOT NULL,
    reason              TEXT NOT NULL,
    PRIMARY KEY (period, tenant_id, meter, source, subject)
) STRICT;

-- How many runs saw the difference. NULL: it is none and was none in the last run, or the row is older than this column.
ALTER TABLE reconciliation ADD COLUMN age_runs INTEGER;
-- What the run tolerated.
ALTER TABLE runs ADD COLUMN tolerances TEXT NOT NULL DEFAULT 'none';
