//! Jumps against a tenant's own history.
//!
//! In: months that closed, and one that is three times as much, a third, or just beside it. Out: rows of kind `jump`, and the
//! history in `forecast.csv`.

use super::{CATALOG, Seen, company, import, on_both, september, wake};
use crate::support::ENGINES;

const MONTHS: [&str; 3] = ["2026-06-10", "2026-07-10", "2026-08-10"];

/// The same quantity of calls in each of these months.
fn monthly(tenant: &str, quantity: &str, days: &[&str]) -> Vec<String> {
    days.iter().map(|day| format!("{tenant} calls {quantity} {day}")).collect()
}

fn import_all(workspace: &crate::support::Workspace, lines: &[Vec<String>]) {
    import(workspace, &lines.concat().iter().map(String::as_str).collect::<Vec<_>>());
}

fn history(seen: &Seen, tenant: &str) -> Vec<String> {
    let columns = ["tenant_id", "meter", "history_windows", "history_mean", "forecast_quantity", "jump"];
    let rows = seen.rows("forecast.csv", &columns).into_iter();
    rows.filter(|row| row.starts_with(&format!("{tenant} calls "))).collect()
}

#[test]
fn a_window_that_closes_with_three_times_the_mean_or_a_third_of_it_is_a_jump() {
    on_both(|engine| {
        let tenants = [
            "down,none,2026-06-01",
            "idle,none,2026-06-01",
            "less,none,2026-06-01",
            "more,none,2026-06-01",
            "new,none,2026-07-01",
            "woken,none,2026-06-01",
            "up,none,2026-06-01",
        ];
        let workspace = company(engine, &tenants);
        let usual = ["down", "less", "more", "up"].map(|tenant| monthly(tenant, "30", &MONTHS));
        let new = monthly("new", "1", &MONTHS[1..]);
        import_all(&workspace, &[usual.concat(), new]);
        import(
            &workspace,
            &[
                "down calls 10 2026-09-10",
                "less calls 10.000000000001 2026-09-10",
                "more calls 89.999999999999 2026-09-10",
                "new calls 1000 2026-09-10",
                "woken calls 0.5 2026-09-10",
                "up calls 50 2026-09-10",
                "up calls 40 2026-09-11",
            ],
        );
        let seen = september(&workspace, "2026-10-05");
        assert_eq!(seen.json["status"], "closed");
        assert_eq!(seen.jumps(), ["down calls down 1 10", "up calls up 2 90", "woken calls up 1 0.5"]);
        let steps = seen.rows("exceptions.csv", &["next_step"]);
        let up = "at least three times 30, the mean of the 3 closed windows before it: ask the tenant, or look for records \
                  that are there twice";
        assert_eq!(steps[1], up);
        workspace.run(&["verify", seen.json["run_id"].as_str().unwrap()]).expect(0);
        vec![seen.files["exceptions.csv"].clone()]
    });
}

#[test]
fn a_jump_stays_in_the_later_reports_of_its_period() {
    for engine in ENGINES {
        let workspace = company(engine, &["acme,none,2026-06-01"]);
        import_all(&workspace, &[monthly("acme", "30", &MONTHS)]);
        // August is changed after its close: what was closed counts.
        let closed = wake(&workspace, "2026-09-05", 0);
        assert!(closed.values().all(|one| one.jumps().is_empty()));
        import(&workspace, &["acme calls 600 2026-08-11", "acme calls 90 2026-09-10"]);
        let seen = wake(&workspace, "2026-10-05", 3);
        assert_eq!(seen["2026-08"].jumps(), [""; 0]);
        assert_eq!(seen["2026-09"].jumps(), ["acme calls up 1 90"]);
        import(&workspace, &["acme calls 5 2026-09-11"]);
        let adjusted = wake(&workspace, "2026-10-06", 3);
        assert_eq!(adjusted["2026-09"].jumps(), ["acme calls up 1 90"]);
        workspace.run(&["verify", "--period", "2026-09"]).expect(0);
    }
}

#[test]
fn an_open_window_is_compared_by_its_forecast_with_six_windows_at_most() {
    on_both(|engine| {
        let workspace =
            company(engine, &["acme,none,2026-01-01", "part,none,2026-07-15", "zero,none,2026-01-01"]);
        // The two oldest are beyond the sixth: they do not count.
        let old = monthly("acme", "9000", &["2026-01-10", "2026-02-10"]);
        let last = monthly("acme", "30", &["2026-03-10", "2026-04-10", "2026-05-10"]);
        import_all(&workspace, &[old, last, monthly("acme", "30", &MONTHS)]);
        import_all(&workspace, &[monthly("part", "30", &["2026-07-20", "2026-08-10", "2026-09-02"])]);
        import(&workspace, &["acme calls 45 2026-09-02", "zero calls 1 2026-09-02"]);
        let seen = september(&workspace, "2026-09-16");
        assert_eq!(history(&seen, "acme"), ["acme calls 6 30 90 up"]);
        // Its first window was no whole one.
        assert_eq!(history(&seen, "part"), ["part calls 1  60 "]);
        assert_eq!(history(&seen, "zero"), ["zero calls 6 0 2 up"]);
        let later = september(&workspace, "2026-09-17");
        assert_eq!(history(&later, "acme"), ["acme calls 6 30 84.375 "]);
        [seen, later].map(|one| one.files["forecast.csv"].clone()).to_vec()
    });
}

/// Of a meter that the plan did not sell there is no history, and a trial is none.
#[test]
fn windows_in_which_a_meter_was_not_sold_and_trials_are_no_history() {
    for engine in ENGINES {
        let tenants = ["acme,none,2026-06-01", "trial,none,2026-05-01,,month,,2026-07-01"];
        let workspace = company(engine, &tenants);
        let without_calls = CATALOG.replace(
            "key = \"none\"\ncurrency = \"try\"\n  [[plan.usage]]\n  meter = \"calls\"",
            "key = \"none\"\ncurrency = \"try\"\n  [[plan.usage]]\n  meter = \"seats\"",
        );
        assert_ne!(without_calls, CATALOG);
        workspace.write("without.toml", without_calls);
        workspace.run(&["import", "catalog", "without.toml"]).expect(0);
        wake(&workspace, "2026-09-05", 0);
        workspace.write("catalog.toml", CATALOG);
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        import(&workspace, &["acme calls 500 2026-09-10", "trial calls 500 2026-09-10"]);
        let look = september(&workspace, "2026-09-16");
        assert_eq!(history(&look, "acme"), ["acme calls 0  1000 "]);
        assert_eq!(history(&look, "trial"), ["trial calls 0  1000 "]);
        let seen = september(&workspace, "2026-10-05");
        assert_eq!(seen.jumps(), [""; 0]);
    }
}
