-- Differences from run to run. The subject is the start of the window, or the subscription that no tenant has.
CREATE TABLE differences (
    period              TEXT COLLATE "C" NOT NULL,
    tenant_id           TEXT COLLATE "C" NOT NULL,
    meter               TEXT COLLATE "C" NOT NULL,
    source              TEXT COLLATE "C" NOT NULL,
    subject             TEXT COLLATE "C" NOT NULL,
    first_seen          BIGINT NOT NULL,
    last_seen           BIGINT NOT NULL,
    -- NULL: it is there.
    gone_at             BIGINT,
    class               TEXT COLLATE "C" NOT NULL,
    reason              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (period, tenant_id, meter, source, subject)
);

-- NULL: it is no difference, or older than this column.
ALTER TABLE reconciliation ADD COLUMN first_seen BIGINT;
-- What the run tolerated.
ALTER TABLE runs ADD COLUMN tolerances TEXT COLLATE "C" NOT NULL DEFAULT 'none';
