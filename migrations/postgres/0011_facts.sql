-- Whether the tenant pays in a window: of those that closed before this was kept it is taken to be so.
ALTER TABLE billing_windows ADD COLUMN paying BIGINT NOT NULL DEFAULT 1;

-- Of usage lines: the quota that was taken off, and the bill on the next plan; empty where there is none, or it was not kept.
ALTER TABLE window_lines ADD COLUMN free_quota TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE window_lines ADD COLUMN next_plan_minor TEXT COLLATE "C" NOT NULL DEFAULT '';

-- What a judged run knew beside the figures of its windows (JSON), so that the period can be judged again by another policy.
CREATE TABLE run_facts (
    run_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body            TEXT COLLATE "C" NOT NULL
);
CREATE TRIGGER run_facts_keeps_rows BEFORE UPDATE OR DELETE ON run_facts
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_facts_is_never_emptied BEFORE TRUNCATE ON run_facts
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
