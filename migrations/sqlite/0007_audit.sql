-- What was closed, reported, imported or sold by is never rewritten: rows are added, and the database refuses the rest.
-- A window that is parked is no closed one: it is written anew whenever it is looked at.
CREATE TRIGGER closed_windows_change_none BEFORE UPDATE ON billing_windows WHEN OLD.status = 'closed' BEGIN SELECT RAISE(ABORT, 'billing_windows is append-only'); END;
CREATE TRIGGER closed_windows_lose_none BEFORE DELETE ON billing_windows WHEN OLD.status = 'closed' BEGIN SELECT RAISE(ABORT, 'billing_windows is append-only'); END;
-- INSERT OR REPLACE deletes without asking a DELETE trigger.
CREATE TRIGGER closed_windows_replace_none BEFORE INSERT ON billing_windows WHEN EXISTS (SELECT 1 FROM billing_windows WHERE tenant_id = NEW.tenant_id AND window_start = NEW.window_start AND window_end = NEW.window_end AND status = 'closed') BEGIN SELECT RAISE(ABORT, 'billing_windows is append-only'); END;
CREATE TRIGGER window_usage_keeps_rows BEFORE UPDATE ON window_usage BEGIN SELECT RAISE(ABORT, 'window_usage is append-only'); END;
CREATE TRIGGER window_usage_loses_none BEFORE DELETE ON window_usage BEGIN SELECT RAISE(ABORT, 'window_usage is append-only'); END;
CREATE TRIGGER window_usage_replaces_none BEFORE INSERT ON window_usage WHEN EXISTS (SELECT 1 FROM window_usage WHERE tenant_id = NEW.tenant_id AND window_start = NEW.window_start AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'window_usage is append-only'); END;
CREATE TRIGGER window_lines_keeps_rows BEFORE UPDATE ON window_lines BEGIN SELECT RAISE(ABORT, 'window_lines is append-only'); END;
CREATE TRIGGER window_lines_loses_none BEFORE DELETE ON window_lines BEGIN SELECT RAISE(ABORT, 'window_lines is append-only'); END;
CREATE TRIGGER window_lines_replaces_none BEFORE INSERT ON window_lines WHEN EXISTS (SELECT 1 FROM window_lines WHERE tenant_id = NEW.tenant_id AND window_start = NEW.window_start AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'window_lines is append-only'); END;
CREATE TRIGGER reconciliation_keeps_rows BEFORE UPDATE ON reconciliation BEGIN SELECT RAISE(ABORT, 'reconciliation is append-only'); END;
CREATE TRIGGER reconciliation_loses_none BEFORE DELETE ON reconciliation BEGIN SELECT RAISE(ABORT, 'reconciliation is append-only'); END;
CREATE TRIGGER reconciliation_replaces_none BEFORE INSERT ON reconciliation WHEN EXISTS (SELECT 1 FROM reconciliation WHERE run_id = NEW.run_id AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'reconciliation is append-only'); END;
CREATE TRIGGER run_exceptions_keeps_rows BEFORE UPDATE ON run_exceptions BEGIN SELECT RAISE(ABORT, 'run_exceptions is append-only'); END;
CREATE TRIGGER run_exceptions_loses_none BEFORE DELETE ON run_exceptions BEGIN SELECT RAISE(ABORT, 'run_exceptions is append-only'); END;
CREATE TRIGGER run_exceptions_replaces_none BEFORE INSERT ON run_exceptions WHEN EXISTS (SELECT 1 FROM run_exceptions WHERE run_id = NEW.run_id AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'run_exceptions is append-only'); END;
CREATE TRIGGER run_control_totals_keeps_rows BEFORE UPDATE ON run_control_totals BEGIN SELECT RAISE(ABORT, 'run_control_totals is append-only'); END;
CREATE TRIGGER run_control_totals_loses_none BEFORE DELETE ON run_control_totals BEGIN SELECT RAISE(ABORT, 'run_control_totals is append-only'); END;
CREATE TRIGGER run_control_totals_replaces_none BEFORE INSERT ON run_control_totals WHEN EXISTS (SELECT 1 FROM run_control_totals WHERE run_id = NEW.run_id AND meter = NEW.meter AND measure = NEW.measure) BEGIN SELECT RAISE(ABORT, 'run_control_totals is append-only'); END;
CREATE TRIGGER run_evidence_keeps_rows BEFORE UPDATE ON run_evidence BEGIN SELECT RAISE(ABORT, 'run_evidence is append-only'); END;
CREATE TRIGGER run_evidence_loses_none BEFORE DELETE ON run_evidence BEGIN SELECT RAISE(ABORT, 'run_evidence is append-only'); END;
CREATE TRIGGER run_evidence_replaces_none BEFORE INSERT ON run_evidence WHEN EXISTS (SELECT 1 FROM run_evidence WHERE run_id = NEW.run_id AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'run_evidence is append-only'); END;
CREATE TRIGGER run_decisions_keeps_rows BEFORE UPDATE ON run_decisions BEGIN SELECT RAISE(ABORT, 'run_decisions is append-only'); END;
CREATE TRIGGER run_decisions_loses_none BEFORE DELETE ON run_decisions BEGIN SELECT RAISE(ABORT, 'run_decisions is append-only'); END;
CREATE TRIGGER run_decisions_replaces_none BEFORE INSERT ON run_decisions WHEN EXISTS (SELECT 1 FROM run_decisions WHERE run_id = NEW.run_id AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'run_decisions is append-only'); END;
CREATE TRIGGER run_accruals_keeps_rows BEFORE UPDATE ON run_accruals BEGIN SELECT RAISE(ABORT, 'run_accruals is append-only'); END;
CREATE TRIGGER run_accruals_loses_none BEFORE DELETE ON run_accruals BEGIN SELECT RAISE(ABORT, 'run_accruals is append-only'); END;
CREATE TRIGGER run_accruals_replaces_none BEFORE INSERT ON run_accruals WHEN EXISTS (SELECT 1 FROM run_accruals WHERE run_id = NEW.run_id AND position = NEW.position) BEGIN SELECT RAISE(ABORT, 'run_accruals is append-only'); END;
CREATE TRIGGER run_totals_keeps_rows BEFORE UPDATE ON run_totals BEGIN SELECT RAISE(ABORT, 'run_totals is append-only'); END;
CREATE TRIGGER run_totals_loses_none BEFORE DELETE ON run_totals BEGIN SELECT RAISE(ABORT, 'run_totals is append-only'); END;
CREATE TRIGGER run_totals_replaces_none BEFORE INSERT ON run_totals WHEN EXISTS (SELECT 1 FROM run_totals WHERE run_id = NEW.run_id AND currency = NEW.currency) BEGIN SELECT RAISE(ABORT, 'run_totals is append-only'); END;
CREATE TRIGGER import_receipts_keeps_rows BEFORE UPDATE ON import_receipts BEGIN SELECT RAISE(ABORT, 'import_receipts is append-only'); END;
CREATE TRIGGER import_receipts_loses_none BEFORE DELETE ON import_receipts BEGIN SELECT RAISE(ABORT, 'import_receipts is append-only'); END;
CREATE TRIGGER import_receipts_replaces_none BEFORE INSERT ON import_receipts WHEN EXISTS (SELECT 1 FROM import_receipts WHERE receipt = NEW.receipt) BEGIN SELECT RAISE(ABORT, 'import_receipts is append-only'); END;
CREATE TRIGGER catalog_versions_keeps_rows BEFORE UPDATE ON catalog_versions BEGIN SELECT RAISE(ABORT, 'catalog_versions is append-only'); END;
CREATE TRIGGER catalog_versions_loses_none BEFORE DELETE ON catalog_versions BEGIN SELECT RAISE(ABORT, 'catalog_versions is append-only'); END;
CREATE TRIGGER catalog_versions_replaces_none BEFORE INSERT ON catalog_versions WHEN EXISTS (SELECT 1 FROM catalog_versions WHERE version = NEW.version) BEGIN SELECT RAISE(ABORT, 'catalog_versions is append-only'); END;
-- No look-up before each insert here: it would cost every import, and `billrecon verify --all` finds a replaced record.
CREATE TRIGGER usage_ledger_keeps_rows BEFORE UPDATE ON usage_ledger BEGIN SELECT RAISE(ABORT, 'usage_ledger is append-only'); END;
CREATE TRIGGER usage_ledger_loses_none BEFORE DELETE ON usage_ledger BEGIN SELECT RAISE(ABORT, 'usage_ledger is append-only'); END;

-- Who ran, by the operating system's word.
ALTER TABLE runs ADD COLUMN os_user TEXT NOT NULL DEFAULT '';
