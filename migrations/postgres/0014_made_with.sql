-- What a run was asked for and what it was made with, beside catalog, rules and code: one JSON object. Empty in runs of earlier
-- versions. A set of files that is made again needs it to be the same to the byte.
ALTER TABLE runs ADD COLUMN made_with TEXT COLLATE "C" NOT NULL DEFAULT '{}';
