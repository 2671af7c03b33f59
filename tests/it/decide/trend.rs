//! The trend over closed periods, and what going live was to bring.

use super::{CATALOG, Row, TENANTS, USAGE, table, tenant, used};
use crate::support::{ENGINES, Engine, Workspace};

const MONTHS: [&str; 3] = ["2026-09", "2026-10", "2026-11"];

/// Ten tenants on Pro over three months; from November on Stripe charges. `november` comes before that month begins.
fn three_months(engine: Engine, overage: [u32; 3], november: &str) -> Workspace {
    let workspace = Workspace::new(engine);
    let tenants: String = (0..10).map(|number| tenant(&format!("t{number}"), "pro")).collect();
    workspace.import(CATALOG, &format!("{TENANTS}{tenants}"), USAGE);
    for (month, overage) in MONTHS.into_iter().zip(overage) {
        if month == MONTHS[2] {
            let live = CATALOG.replacen("free_quota = 100\n", "billing = \"live\"\n  free_quota = 100\n", 1);
            workspace.write("catalog.toml", live);
            workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
            workspace.write("tenants.csv", format!("{TENANTS}{november}"));
            workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        }
        workspace.write("usage.csv", format!("{USAGE}{}", used("t0", &(100 + overage).to_string(), month)));
        workspace.run(&["import", "usage", "usage.csv"]).expect(0);
        workspace.watch(month);
        let end =
            workspace.run(&["run", "--period", month, "--as-of", &format!("{}-02T03:00:00Z", after(month))]);
        assert!(end.stdout.contains("closed"), "{end:?}");
    }
    workspace
}

fn after(month: &str) -> &'static str {
    match month {
        "2026-09" => "2026-10",
        "2026-10" => "2026-11",
        _ => "2026-12",
    }
}

fn of<'a>(rows: &'a [Row], metric: &str) -> Vec<Vec<&'a str>> {
    let of_metric = rows.iter().filter(|row| row["metric"] == metric);
    let columns = ["period", "value", "previous", "change", "baseline", "target", "met"];
    of_metric.map(|row| columns.map(|column| row[column].as_str()).to_vec()).collect()
}

#[test]
fn each_period_is_told_with_its_change_against_the_last() {
    for engine in ENGINES {
        let workspace = three_months(engine, [10, 30, 285], "");
        assert_eq!(
            of(&table(&workspace, "2026-10", "trend"), "would_be_overage_minor_try"),
            [["2026-09", "7000", "", "", "", "", ""], ["2026-10", "21000", "7000", "14000", "", "", ""]]
        );
        let rows = table(&workspace, "2026-11", "trend");
        let shares = of(&rows, "overage_share_of_plan_mrr_try");
        assert_eq!(shares.len(), 3);
        // 1,995.00 of 9,990.00.
        let expected = ["2026-11", "0.1997", "0.021021", "0.178679", "0.021021", "0.15 to 0.25", "true"];
        assert_eq!(shares[2], expected);
        assert_eq!(of(&rows, "push_error_rate")[2][5..], ["< 0.001", "true"]);
        assert_eq!(of(&rows, "churn_rate")[2][4..], ["0", "<= baseline", "true"]);
        // Nobody upgraded before, and nobody does now: a tenth above nothing is nothing.
        assert_eq!(of(&rows, "upgrade_rate")[2][4..], ["0", ">= 1.1 x baseline", "true"]);
        let targets = rows.iter().filter(|row| row["period"] != "2026-11" && !row["target"].is_empty());
        assert_eq!(targets.count(), 0, "nothing is asked of a month in which Stripe did not charge");
    }
}

#[test]
fn too_little_overage_and_more_churn_than_before_miss_their_targets() {
    let leaves = "t1,pro,try,cus_t1,sub_t1,canceled,2026-09-01,2026-11-10,,\n";
    let workspace = three_months(Engine::Sqlite, [10, 30, 100], leaves);
    let rows = table(&workspace, "2026-11", "trend");
    assert_eq!(of(&rows, "overage_share_of_plan_mrr_try")[2][5..], ["0.15 to 0.25", "false"]);
    assert_eq!(of(&rows, "churn_rate")[2], ["2026-11", "0.1", "0", "0.1", "0", "<= baseline", "false"]);
    let told = workspace.run(&["decide", "--period", "2026-11"]).expect(0).stdout;
    assert!(told.contains("pro churn_rate = 0.1, target <= baseline, baseline 0: not met"), "{told}");
}

/// What is closed is told the same by a later run, and made again from the database with the same bytes.
#[test]
fn the_trend_of_a_closed_run_is_made_again_to_the_byte() {
    let workspace = three_months(Engine::Sqlite, [10, 30, 100], "");
    for month in MONTHS {
        let run = workspace.report_folders(month).pop().unwrap();
        let run_id = run.file_name().unwrap().to_str().unwrap();
        workspace.run(&["verify", run_id]).expect(0);
    }
}
