-- What was closed, reported, imported or sold by is never rewritten: rows are added, and the database refuses the rest.
-- A window that is parked is no closed one: it is written anew whenever it is looked at.
CREATE FUNCTION keeps_its_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER closed_windows_keep_rows BEFORE UPDATE OR DELETE ON billing_windows
    FOR EACH ROW WHEN (OLD.status = 'closed') EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER billing_windows_is_never_emptied BEFORE TRUNCATE ON billing_windows
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER window_usage_keeps_rows BEFORE UPDATE OR DELETE ON window_usage
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER window_usage_is_never_emptied BEFORE TRUNCATE ON window_usage
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER window_lines_keeps_rows BEFORE UPDATE OR DELETE ON window_lines
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER window_lines_is_never_emptied BEFORE TRUNCATE ON window_lines
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER reconciliation_keeps_rows BEFORE UPDATE OR DELETE ON reconciliation
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER reconciliation_is_never_emptied BEFORE TRUNCATE ON reconciliation
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_exceptions_keeps_rows BEFORE UPDATE OR DELETE ON run_exceptions
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_exceptions_is_never_emptied BEFORE TRUNCATE ON run_exceptions
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_control_totals_keeps_rows BEFORE UPDATE OR DELETE ON run_control_totals
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_control_totals_is_never_emptied BEFORE TRUNCATE ON run_control_totals
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_evidence_keeps_rows BEFORE UPDATE OR DELETE ON run_evidence
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_evidence_is_never_emptied BEFORE TRUNCATE ON run_evidence
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_decisions_keeps_rows BEFORE UPDATE OR DELETE ON run_decisions
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_decisions_is_never_emptied BEFORE TRUNCATE ON run_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_accruals_keeps_rows BEFORE UPDATE OR DELETE ON run_accruals
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_accruals_is_never_emptied BEFORE TRUNCATE ON run_accruals
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_totals_keeps_rows BEFORE UPDATE OR DELETE ON run_totals
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER run_totals_is_never_emptied BEFORE TRUNCATE ON run_totals
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER import_receipts_keeps_rows BEFORE UPDATE OR DELETE ON import_receipts
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER import_receipts_is_never_emptied BEFORE TRUNCATE ON import_receipts
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER catalog_versions_keeps_rows BEFORE UPDATE OR DELETE ON catalog_versions
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER catalog_versions_is_never_emptied BEFORE TRUNCATE ON catalog_versions
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();
-- Citus distributes no table with triggers: docs/operations.md says what takes their place there.
CREATE TRIGGER usage_ledger_keeps_rows BEFORE UPDATE OR DELETE ON usage_ledger
    FOR EACH ROW EXECUTE FUNCTION keeps_its_rows();
CREATE TRIGGER usage_ledger_is_never_emptied BEFORE TRUNCATE ON usage_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION keeps_its_rows();

-- Who ran, by the operating system's word.
ALTER TABLE runs ADD COLUMN os_user TEXT COLLATE "C" NOT NULL DEFAULT '';
