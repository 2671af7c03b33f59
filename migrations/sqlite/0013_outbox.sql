-- What a message is about, so that the same is not told twice and a bot finds what it said before: where it stands, and how far
-- it has come (the message, its thread, its files).
ALTER TABLE outbox ADD COLUMN topic    TEXT NOT NULL DEFAULT 'verdict';
ALTER TABLE outbox ADD COLUMN subject  TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN digest   TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN details  TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN followup TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN folder   TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN channel  TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN ts       TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN steps    INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_topic ON outbox (topic, subject, created_at);
