//! A ledger or a catalog that was damaged after a close: the fault stays with its window.
//!
//! In: a closed month, records taken out of the ledger behind the job's back, an old catalog that cannot be read. Out:
//! exceptions and control totals that say so, figures of everybody else.

use super::{TENANTS, adjusted, closed, company, control, import, of, set, wake};
use crate::support::{ENGINES, Workspace, csv_rows};

/// `tenant kind reason meter records quantity` of each exception of these kinds.
fn exceptions(files: &std::collections::BTreeMap<String, Vec<u8>>, kind: &str) -> Vec<String> {
    let rows = csv_rows(&files["exceptions.csv"]).into_iter().filter(|row| row["kind"] == kind);
    let columns = ["tenant_id", "reason", "meter", "records", "quantity"];
    rows.map(|row| columns.map(|name| row[name].clone()).join(" ")).collect()
}

fn lose(workspace: &Workspace, id: &str) {
    workspace.unprotect("usage_ledger");
    let gone = format!("DELETE FROM usage_ledger WHERE source_event_id = '{id}' RETURNING meter");
    assert_eq!(workspace.sql(&gone).len(), 1);
}

/// The files of the newest run of September prove themselves.
#[track_caller]
fn files_hold(workspace: &Workspace, outcome: &serde_json::Value) {
    let folder = outcome["reports_dir"].as_str().unwrap().to_owned();
    workspace.run(&["verify", "--files", &folder]).expect(0);
}

#[test]
fn records_that_one_tenant_lost_stop_nobody_else_and_are_told() {
    for engine in ENGINES {
        let workspace = closed(engine);
        lose(&workspace, "a1");
        import(&workspace, &["beta calls 10.5 2026-09-01 success b2"]);
        let outcomes = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let september = of(&outcomes, "2026-09");
        let files = set(&workspace, september);
        assert_eq!(adjusted(&files), ["beta pro calls 1 99.5 10.5 110 0 7000 7000 try"]);
        assert_eq!(exceptions(&files, "lost"), ["acme not_in_ledger calls 1 130"]);
        let measures = ["accepted", "lost", "in_window", "late"];
        assert_eq!(
            measures.map(|one| control(&files, "calls", one)),
            ["2 110", "1 130", "2 229.5", "1 10.5"]
        );
        // Nothing is lost of the others, and no row says so.
        let lost = csv_rows(&files["control_totals.csv"]).into_iter().filter(|row| row["measure"] == "lost");
        assert_eq!(lost.count(), 1);
        files_hold(&workspace, september);
        let explained = workspace.run(&["explain", "acme", "--period", "2026-09"]).expect(0).stdout;
        assert!(
            explained.contains("calls: 1 record, 130 units that were closed are no longer"),
            "{explained}"
        );
        // What was told is not told at every wake, and the other months go on.
        wake(&workspace, "2026-10-07T00:00:00Z", 0);
        import(&workspace, &["beta calls 1 2026-10-09 success b3"]);
        let november = wake(&workspace, "2026-11-05T00:00:00Z", 0);
        assert_eq!(of(&november, "2026-10")["status"], "closed");
    }
}

#[test]
fn a_loss_alone_is_told_once_and_once_more_when_it_is_mended() {
    for engine in ENGINES {
        let workspace = closed(engine);
        lose(&workspace, "d1");
        let by_name = |at: &str, code| {
            let ended = workspace.run(&["run", "--period", "2026-09", "--as-of", at]).expect(code);
            (ended.stdout, workspace.report_folders("2026-09").len())
        };
        let (told, folders) = by_name("2026-10-06T00:00:00Z", 3);
        assert!(told.contains("unfinished: 1 closed figure has lost records"), "{told}");
        assert!(told.contains("lost: acme on devices, not_in_ledger (1 record)"), "{told}");
        assert_eq!((folders, by_name("2026-10-06T01:00:00Z", 0).1), (2, 2));
        import(&workspace, &["acme devices 4 2026-09-10 success d1"]);
        let outcomes = wake(&workspace, "2026-10-07T00:00:00Z", 0);
        let files = set(&workspace, of(&outcomes, "2026-09"));
        assert!(exceptions(&files, "lost").is_empty() && adjusted(&files).is_empty());
    }
}

/// Gold waits for its plan, so September is partial; it closes although Acme's ledger is short.
#[test]
fn a_tenant_closes_in_a_period_in_which_another_one_lost_records() {
    for engine in ENGINES {
        let workspace = company(engine);
        let header = TENANTS.lines().next().unwrap();
        let gold = |plan: &str| {
            let row = format!("gold,Gold,{plan},try,cus_gold,sub_gold,2026-09-01T00:00:00Z");
            workspace.write("gold.csv", format!("{header}\n{row}\n"));
            workspace.run(&["import", "tenants", "gold.csv"]).expect(0);
        };
        gold("gold");
        let partial = wake(&workspace, "2026-10-05T00:00:00Z", 3);
        assert_eq!(of(&partial, "2026-09")["status"], "partial");
        gold("pro");
        lose(&workspace, "a1");
        let closed = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let september = of(&closed, "2026-09");
        assert_eq!(september["status"], "closed");
        assert_eq!(exceptions(&set(&workspace, september), "lost"), ["acme not_in_ledger calls 1 130"]);
        files_hold(&workspace, september);
    }
}

/// By the prices of now its 20 calls would cost 180.00, and that could never be taken back.
#[test]
fn late_usage_of_a_window_whose_catalog_cannot_be_read_is_not_valued_by_another() {
    for engine in ENGINES {
        let workspace = closed(engine);
        workspace.write("catalog.toml", super::CATALOG.replace("\"700\"", "\"900\""));
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        workspace.unprotect("catalog_versions");
        let body = workspace.sql("SELECT body FROM catalog_versions WHERE version = 1")[0][0].clone();
        let put = |body: &str| {
            let body = body.replace('\'', "''");
            let rows =
                format!("UPDATE catalog_versions SET body = '{body}' WHERE version = 1 RETURNING body");
            assert_eq!(workspace.sql(&rows).len(), 1);
        };
        put("no catalog");
        import(&workspace, &["acme calls 20 2026-09-20 success a2"]);
        let ended = workspace.run(&["run", "--as-of", "2026-10-06T00:00:00Z", "--json"]).expect(3);
        assert!(ended.stderr.contains("can no longer be read"), "{}", ended.stderr);
        let outcome: serde_json::Value = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
        let files = set(&workspace, &outcome);
        assert!(adjusted(&files).is_empty());
        assert_eq!(exceptions(&files, "unvalued"), ["acme no_catalog calls 1 20"]);
        assert_eq!(control(&files, "calls", "late"), "1 20");
        files_hold(&workspace, &outcome);
        workspace.run(&["explain", "acme", "--period", "2026-09"]).expect(0);
        // With the catalog back it has its value.
        put(&body);
        import(&workspace, &["acme calls 1 2026-09-21 success a3"]);
        let outcomes = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        let files = set(&workspace, of(&outcomes, "2026-09"));
        assert_eq!(adjusted(&files), ["acme pro calls 2 130 21 151 21000 14700 35700 try"]);
        assert!(exceptions(&files, "unvalued").is_empty());
    }
}
