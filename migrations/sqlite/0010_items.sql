-- What a row of the comparison is that is no usage: base fee, tax, discount; empty where it is usage.
ALTER TABLE reconciliation ADD COLUMN item TEXT NOT NULL DEFAULT '';
