-- Differences from run to run. The subject is the start of the window, or the subscription that no tenant has.
CREATE TABLE differences (
    period              TEXT COLLATE "C" NOT NULL,
    tenant_id           TEXT COLLATE "C" NOT NULL,
    meter               TEXT COLLATE "C" NOT NULL,
    source              TEXT COLLATE "C" NOT NULL,
    subject             TEXT COLLATE "C" NOT NULL,
    first_seen          BIGINT NOT NULL,
    last_seen           BIGINT NOT NULL,
    -- How many runs saw it.
    runs                BIGINT NOT NULL,
    -- NULL: it is there, for all that is known.
    gone_at             BIGINT,
    class               TEXT COLLATE "C" NOT NULL,
    reason              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (period, tenant_id, meter, source, subject)
);

-- How many runs saw the difference. NULL: it is none and was none in the last run, or the row is older than this column.
ALTER TABLE reconciliation ADD COLUMN age_runs BIGINT;
-- What the run tolerated.
ALTER TABLE runs ADD COLUMN tolerances TEXT COLLATE "C" NOT NULL DEFAULT 'none';
