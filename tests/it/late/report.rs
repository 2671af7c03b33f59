//! `billrecon report`: what a period was closed with, and what it comes to with late usage.
//!
//! In: a closed period, adjusted twice. Out: CSV and JSON on stdout, with a total for each currency. It reads only.

use super::{closed, company, import, of, wake};
use crate::support::{ENGINES, csv_rows};

const LATE: [&str; 2] = ["acme calls 20.5 2026-09-20 success a2", "beta calls 10.5 2026-09-01 success b2"];

const ORIGINAL: &str = "\
period,tenant_id,plan,interval,meter,kind,currency,quantity,amount_minor,amount
2026-09,acme,pro,month,,base,try,,99900,999.00
2026-09,acme,pro,month,calls,usage,try,130,21000,210.00
2026-09,acme,pro,month,devices,usage,try,4,202,2.02
2026-09,acme,pro,month,tokens,usage,try,10,10,0.10
2026-09,beta,pro,month,,base,try,,99900,999.00
2026-09,beta,pro,month,calls,usage,try,99.5,0,0.00
2026-09,cold,pro,month,,base,try,,99900,999.00
2026-09,,,,,total,try,,320912,3209.12
";

#[test]
fn the_original_figures_stay_and_the_restated_ones_stand_beside_them() {
    for engine in ENGINES {
        let workspace = closed(engine);
        let plain = ["report", "--period", "2026-09"];
        let restated = ["report", "--period", "2026-09", "--restated"];
        assert_eq!(workspace.run(&plain).expect(0).stdout, ORIGINAL);
        import(&workspace, &LATE);
        wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let ended = workspace.run(&plain).expect(0);
        assert_eq!(ended.stdout, ORIGINAL);
        assert!(ended.stderr.starts_with("SANDBOX: 2026-09, closed, run "), "{}", ended.stderr);
        let rows = csv_rows(workspace.run(&restated).expect(0).stdout.as_bytes());
        let columns = [
            "tenant_id",
            "meter",
            "original_quantity",
            "late_quantity",
            "restated_quantity",
            "original_amount_minor",
            "late_amount_minor",
            "restated_amount",
        ];
        let text = |row: &super::Row| columns.map(|name| row[name].clone()).join(" ");
        assert_eq!(text(&rows[1]), "acme calls 130 20.5 150.5 21000 14350 353.50");
        assert_eq!(text(&rows[2]), "acme devices 4 0 4 202 0 2.02");
        assert_eq!(text(&rows[5]), "beta calls 99.5 10.5 110 0 7000 70.00");
        assert_eq!(text(rows.last().unwrap()), "     320912 21350 3422.62");
    }
}

#[test]
fn an_older_run_keeps_the_adjustments_that_it_knew() {
    for engine in ENGINES {
        let workspace = closed(engine);
        let mut totals = Vec::new();
        for (day, late) in ["06", "07"].into_iter().zip(LATE) {
            import(&workspace, &[late]);
            let outcomes = wake(&workspace, &format!("2026-10-{day}T00:00:00Z"), 3);
            totals.push(of(&outcomes, "2026-09")["run_id"].as_str().unwrap().to_owned());
        }
        let late_of = |run_id: &str| {
            let ended = workspace.run(&["report", "--run", run_id, "--restated", "--json"]).expect(0);
            let rows = ended.json()["rows"].as_array().unwrap().clone();
            rows.last().unwrap()["late_amount_minor"].as_str().unwrap().to_owned()
        };
        let first =
            workspace.sql("SELECT run_id FROM runs WHERE period = '2026-09' ORDER BY fence")[0][0].clone();
        assert_eq!([&first, &totals[0], &totals[1]].map(|run| late_of(run)), ["0", "14350", "21350"]);
    }
}

#[test]
fn what_is_not_there_is_refused_in_words() {
    for engine in ENGINES {
        let workspace = company(engine);
        wake(&workspace, "2026-09-30T00:00:00Z", 0);
        let open = workspace.sql("SELECT run_id FROM runs")[0][0].clone();
        for (arguments, words) in [
            (["--period", "2026-09"], "nothing of 2026-09 is closed yet"),
            (["--period", "2031-01"], "nothing of 2031-01 is closed yet"),
            (["--run", "nobody"], "there is no run `nobody`"),
            (["--run", &open], "closed nothing"),
        ] {
            let ended = workspace.run(&["report", arguments[0], arguments[1]]).expect(2);
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
        workspace.run(&["report"]).expect(2);
    }
}

/// The manifest tells what the ledger held, and what the figures come to.
#[test]
fn a_close_keeps_what_the_ledger_held_and_what_its_figures_come_to() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        let outcomes = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let set = super::set(&workspace, of(&outcomes, "2026-09"));
        let manifest: serde_json::Value = serde_json::from_slice(&set["manifest.json"]).unwrap();
        assert_eq!(manifest["ledger"]["records"], 6);
        let newest = workspace.sql("SELECT CAST(MAX(recorded_at) AS TEXT) FROM usage_ledger")[0][0].clone();
        let told: jiff::Timestamp = manifest["ledger"]["recorded_at"].as_str().unwrap().parse().unwrap();
        assert_eq!(told.as_nanosecond().to_string(), newest);
        let expected = serde_json::json!([{
            "currency": "try", "base_amount_minor": "299700", "usage_amount_minor": "21212",
            "late_amount_minor": "21350",
        }]);
        assert_eq!(manifest["totals"], expected);
        let stored = workspace.sql(
            "SELECT CAST(r.ledger_records AS TEXT), t.currency, t.base_minor, t.usage_minor, t.late_minor
             FROM runs r JOIN run_totals t ON t.run_id = r.run_id WHERE r.period = '2026-09' ORDER BY r.fence",
        );
        assert_eq!(stored[0], ["4", "try", "299700", "21212", "0"]);
        assert_eq!(stored[1], ["6", "try", "299700", "21212", "21350"]);
    }
}
