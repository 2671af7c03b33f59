-- What of a difference its cause accounts for, and who does what. Empty: not known, as in rows of earlier versions.
ALTER TABLE reconciliation ADD COLUMN explained_quantity TEXT NOT NULL DEFAULT '';
ALTER TABLE reconciliation ADD COLUMN explained_amount_minor TEXT NOT NULL DEFAULT '';
ALTER TABLE reconciliation ADD COLUMN next_step TEXT NOT NULL DEFAULT '';
