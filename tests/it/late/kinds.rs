//! What is late, and what it is worth: gauges, rules, corrections, trials, prices and plans that changed since.
//!
//! In: one kind of late usage at a time. Out: its row in `adjustments.csv`, each number made by hand.

use super::{CATALOG, TENANTS, adjusted, closed, company, control, import, of, set, wake};
use crate::support::{ENGINES, Workspace, csv_rows};

/// The files of September after one more wake.
#[track_caller]
fn after(workspace: &Workspace, code: i32) -> std::collections::BTreeMap<String, Vec<u8>> {
    let outcomes = wake(workspace, "2026-10-06T00:00:00Z", code);
    set(workspace, of(&outcomes, "2026-09"))
}

#[test]
fn a_higher_reading_of_a_gauge_is_late_money_and_a_lower_one_is_none() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &["acme devices 3 2026-09-12 success d2"]);
        // Nothing is to be billed, so nobody has to act.
        let lower = after(&workspace, 0);
        assert_eq!(adjusted(&lower), ["acme pro devices 1 4 0 4 202 0 202 try"]);
        assert_eq!(control(&lower, "devices", "late"), "1 3");
        import(&workspace, &["acme devices 7 2026-09-13 success d3"]);
        let outcomes = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        let higher = set(&workspace, of(&outcomes, "2026-09"));
        // 7 x 50.5 = 353.5, a half away from zero; 4 x 50.5 = 202.
        assert_eq!(adjusted(&higher), ["acme pro devices 2 4 3 7 202 152 354 try"]);
        // Readings are no sum for a person either: 3 and 7 beside the 4 that it stood at.
        let ask = ["explain", "acme", "--period", "2026-09", "--meter", "devices"];
        let told = workspace.run(&ask).expect(0).stdout;
        let words = "devices: 2 records came after the close and changed nothing of it (the gauge would stand higher by 3)";
        assert!(told.contains(words), "{told}");
        let json = workspace.run(&[&ask[..], &["--json"]].concat()).expect(0).json();
        assert_eq!(json["windows"][0]["late"][0]["quantity"], "3");
    }
}

/// Whether a meter is a gauge is no matter of what was closed of it.
#[test]
fn late_readings_of_a_gauge_that_closed_without_one_are_proved_as_a_gauges() {
    for engine in ENGINES {
        let workspace = super::company_of(engine, &super::USAGE[..2]);
        wake(&workspace, "2026-10-05T00:00:00Z", 0);
        import(&workspace, &["beta devices 5 2026-09-12 success d2", "beta devices 3 2026-09-13 success d3"]);
        let files = after(&workspace, 3);
        // 5 x 50.5 = 252.5, a half away from zero.
        assert_eq!(adjusted(&files), ["beta pro devices 2 0 5 5 0 253 253 try"]);
        assert_eq!(control(&files, "devices", "late"), "2 8");
        assert_eq!(control(&files, "devices", "aggregate"), "0 0");
        let run_id = workspace.sql("SELECT run_id FROM runs WHERE period = '2026-09' ORDER BY fence DESC")[0]
            [0]
        .clone();
        workspace.run(&["verify", &run_id]).expect(0);
        workspace.run(&["approve", &run_id, "--by", "Ada", "--note", "seen"]).expect(0);
    }
}

#[test]
fn a_late_correction_gives_money_back_and_never_more_than_was_charged() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &["acme calls -10 2026-09-12 success c1 a1"]);
        assert_eq!(adjusted(&after(&workspace, 3)), ["acme pro calls 1 130 -10 120 21000 -7000 14000 try"]);
        import(&workspace, &["acme calls -200 2026-09-12 success c2 a1"]);
        let outcomes = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        let more = set(&workspace, of(&outcomes, "2026-09"));
        assert_eq!(adjusted(&more), ["acme pro calls 2 130 -210 -80 21000 -21000 0 try"]);
    }
}

#[test]
fn late_records_that_no_bill_would_hold_are_counted_as_excluded() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &["acme tokens 5 2026-09-12 failure t2", "acme tokens 6 2026-09-12 success t3"]);
        let files = after(&workspace, 3);
        assert_eq!(adjusted(&files), ["acme pro tokens 1 10 6 16 10 6 16 try"]);
        assert_eq!(control(&files, "tokens", "late"), "1 6");
        assert_eq!(control(&files, "tokens", "excluded"), "1 5");
        assert_eq!(control(&files, "tokens", "accepted"), "3 21");
        let exceptions = csv_rows(&files["exceptions.csv"]);
        assert_eq!((&*exceptions[0]["reason"], &*exceptions[0]["quantity"]), ("not_billable", "5"));
        assert!(exceptions[0]["next_step"].starts_with("came after the close"));
    }
}

#[test]
fn excluded_records_alone_adjust_nothing() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &["acme tokens 5 2026-09-12 failure t2"]);
        let outcomes = wake(&workspace, "2026-10-06T00:00:00Z", 0);
        assert!(outcomes.iter().all(|one| one["period"] != "2026-09"));
        assert_eq!(workspace.report_folders("2026-09").len(), 1);
    }
}

/// A new price, a meter that counts otherwise, and a tenant who has another plan by now.
#[test]
fn late_usage_is_rated_by_the_catalog_and_the_plan_of_the_close() {
    for engine in ENGINES {
        let workspace = closed(engine);
        let dearer =
            CATALOG.replace("\"700\"", "\"900\"").replace("billable = [\"outcome = success\"]\n", "");
        workspace.write("catalog.toml", dearer);
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        workspace.write("tenants.csv", TENANTS.replace("acme,Acme,pro", "acme,Acme,team"));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        import(
            &workspace,
            &[
                "acme calls 20 2026-09-20 success a2",
                "acme tokens 5 2026-09-12 failure t2",
                "acme tokens 6 2026-09-12 success t3",
            ],
        );
        let expected =
            ["acme pro calls 1 130 20 150 21000 14000 35000 try", "acme pro tokens 1 10 6 16 10 6 16 try"];
        assert_eq!(adjusted(&after(&workspace, 3)), expected);
    }
}

/// From the 11th on Acme is on another plan: a window of two segments, each rated on its own.
#[test]
fn late_usage_belongs_to_the_segment_in_which_it_occurred() {
    for engine in ENGINES {
        let workspace = company(engine);
        let change = "acme,Acme,pro,try,cus_acme,sub_acme,2026-09-01T00:00:00Z,2026-09-11T00:00:00Z\n\
                      acme,Acme,team,try,cus_acme,sub_acme,2026-09-11T00:00:00Z,\n";
        let tenants = TENANTS.replace("started_at\n", "started_at,ended_at\n");
        let tenants = tenants.replace("00:00:00Z\n", "00:00:00Z,\n");
        let row = "acme,Acme,pro,try,cus_acme,sub_acme,2026-09-01T00:00:00Z,\n";
        assert!(tenants.contains(row));
        workspace.write("tenants.csv", tenants.replace(row, change));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        wake(&workspace, "2026-10-05T00:00:00Z", 0);
        import(&workspace, &["acme calls 2 2026-09-05 success a2", "acme calls 3 2026-09-25 success a3"]);
        let files = after(&workspace, 3);
        assert_eq!(
            adjusted(&files),
            ["acme pro calls 1 130 2 132 21000 1400 22400 try", "acme team calls 1 0 3 3 0 900 900 try"]
        );
        let rows = csv_rows(&files["adjustments.csv"]);
        let edges = |row: &crate::late::Row| (row["segment_start"].clone(), row["segment_end"].clone());
        let at = |day: &str| format!("2026-{day}T00:00:00Z");
        assert_eq!(edges(&rows[0]), (at("09-01"), at("09-11")));
        assert_eq!(edges(&rows[1]), (at("09-11"), at("10-01")));
    }
}

#[test]
fn late_usage_of_a_trial_costs_nothing() {
    for engine in ENGINES {
        let workspace = company(engine);
        let header = TENANTS.lines().next().unwrap();
        let trial = "zeta,Zeta,pro,try,cus_zeta,sub_zeta,2026-09-01T00:00:00Z,2026-09-15T00:00:00Z\n";
        workspace.write("zeta.csv", format!("{header},trial_end\n{trial}"));
        workspace.run(&["import", "tenants", "zeta.csv"]).expect(0);
        import(&workspace, &["zeta calls 500 2026-09-05 success z1"]);
        let outcomes = wake(&workspace, "2026-10-20T00:00:00Z", 0);
        assert_eq!(of(&outcomes, "2026-09")["status"], "closed");
        import(&workspace, &["zeta calls 100 2026-09-06 success z2"]);
        let outcomes = wake(&workspace, "2026-10-21T00:00:00Z", 3);
        let files = set(&workspace, of(&outcomes, "2026-09"));
        assert_eq!(adjusted(&files), ["zeta pro calls 1 500 100 600 0 0 0 try"]);
    }
}

/// Gold waits for its plan, so the month stays partial; Acme's window is closed all the same.
#[test]
fn a_partial_period_adjusts_what_is_closed_of_it_and_stays_partial() {
    for engine in ENGINES {
        let workspace = company(engine);
        workspace.write(
            "gold.csv",
            format!(
                "{}\ngold,Gold,gold,try,cus_gold,sub_gold,2026-09-01T00:00:00Z\n",
                TENANTS.lines().next().unwrap()
            ),
        );
        workspace.run(&["import", "tenants", "gold.csv"]).expect(0);
        let first = wake(&workspace, "2026-10-05T00:00:00Z", 3);
        let first = of(&first, "2026-09").clone();
        assert_eq!(first["status"], "partial");
        import(&workspace, &["acme calls 20 2026-09-20 success a2"]);
        let second = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let second = of(&second, "2026-09").clone();
        assert_eq!((&second["status"], &second["verdict"]), (&"partial".into(), &first["verdict"]));
        let files = set(&workspace, &second);
        assert_eq!(adjusted(&files), ["acme pro calls 1 130 20 150 21000 14000 35000 try"]);
        assert_eq!(files["lines.csv"], set(&workspace, &first)["lines.csv"]);
        assert_eq!(files["decision.csv"], set(&workspace, &first)["decision.csv"]);
        let third = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        assert_eq!(of(&third, "2026-09")["run_id"], second["run_id"]);
    }
}

/// One is anchored on the 1st, one on the 20th: the first is closed while the second is open.
#[test]
fn a_closing_period_adjusts_what_is_closed_of_it_and_goes_on() {
    for engine in ENGINES {
        let workspace = company(engine);
        let header = TENANTS.lines().next().unwrap();
        let row = "late,Late,pro,try,cus_late,sub_late,2026-09-20T00:00:00Z,2026-09-20T00:00:00Z\n";
        workspace.write("late.csv", format!("{header},billing_anchor\n{row}"));
        workspace.run(&["import", "tenants", "late.csv"]).expect(0);
        let first = wake(&workspace, "2026-10-05T00:00:00Z", 0);
        assert_eq!(of(&first, "2026-09")["status"], "closing");
        import(&workspace, &["acme calls 20 2026-09-20 success a2"]);
        let second = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        assert_eq!(of(&second, "2026-09")["status"], "closing");
        let rows = adjusted(&set(&workspace, of(&second, "2026-09")));
        assert_eq!(rows, ["acme pro calls 1 130 20 150 21000 14000 35000 try"]);
        wake(&workspace, "2026-10-06T01:00:00Z", 0);
        let third = wake(&workspace, "2026-10-25T00:00:00Z", 0);
        assert_eq!(of(&third, "2026-09")["status"], "closed");
        assert_eq!(adjusted(&set(&workspace, of(&third, "2026-09"))), rows);
    }
}

#[test]
fn late_usage_that_no_bill_can_hold_is_named_and_stops_nobody() {
    for engine in ENGINES {
        let workspace = closed(engine);
        let huge: Vec<String> = (0..200)
            .map(|number| format!("acme calls 999999999999999 2026-09-20 success h{number}"))
            .collect();
        let mut lines: Vec<&str> = huge.iter().map(String::as_str).collect();
        lines.push("beta calls 10.5 2026-09-01 success b2");
        import(&workspace, &lines);
        let ended = workspace.run(&["run", "--as-of", "2026-10-06T00:00:00Z", "--json"]).expect(3);
        let told = serde_json::from_str::<serde_json::Value>(ended.stdout.lines().next().unwrap()).unwrap();
        assert_eq!(told["status"], "closed");
        let folder = workspace.report_folders("2026-09").pop().unwrap();
        let files = crate::support::files(&folder);
        assert_eq!(adjusted(&files), ["beta pro calls 1 99.5 10.5 110 0 7000 7000 try"]);
        assert_eq!(control(&files, "calls", "late"), "201 199999999999999810.5");
        let exceptions = csv_rows(&files["exceptions.csv"]);
        let one = exceptions.iter().find(|row| row["kind"] == "unvalued").unwrap();
        let texts = ["tenant_id", "reason", "meter", "records", "quantity"].map(|name| one[name].as_str());
        assert_eq!(texts, ["acme", "too_large", "calls", "200", "199999999999999800"]);
        workspace.run(&["verify", "--files", folder.to_str().unwrap()]).expect(0);
    }
}
