-- Whether the tenant pays in a window: of those that closed before this was kept it is taken to be so.
ALTER TABLE billing_windows ADD COLUMN paying INTEGER NOT NULL DEFAULT 1;

-- Of usage lines: the quota that was taken off, and the bill on the next plan; empty where there is none, or it was not kept.
ALTER TABLE window_lines ADD COLUMN free_quota TEXT NOT NULL DEFAULT '';
ALTER TABLE window_lines ADD COLUMN next_plan_minor TEXT NOT NULL DEFAULT '';

-- What a judged run knew beside the figures of its windows (JSON), so that the period can be judged again by another policy.
CREATE TABLE run_facts (
    run_id          TEXT    NOT NULL PRIMARY KEY,
    body            TEXT    NOT NULL
) STRICT;
CREATE TRIGGER run_facts_keeps_rows BEFORE UPDATE ON run_facts BEGIN SELECT RAISE(ABORT, 'run_facts is append-only'); END;
CREATE TRIGGER run_facts_loses_none BEFORE DELETE ON run_facts BEGIN SELECT RAISE(ABORT, 'run_facts is append-only'); END;
CREATE TRIGGER run_facts_replaces_none BEFORE INSERT ON run_facts WHEN EXISTS (SELECT 1 FROM run_facts WHERE run_id = NEW.run_id) BEGIN SELECT RAISE(ABORT, 'run_facts is append-only'); END;
