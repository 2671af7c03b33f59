//! Forecasts of open windows, from the first instant to the last.
//!
//! In: usage, and wakes at instants of September. Out: the rows of `forecast.csv`.

use super::{ACME, Seen, company, import, on_both, september, wake};
use crate::support::ENGINES;

const COLUMNS: [&str; 8] = [
    "tenant_id",
    "meter",
    "elapsed_share",
    "used",
    "forecast_quantity",
    "forecast_share",
    "forecast_amount_minor",
    "forecast_amount",
];

fn forecast(seen: &Seen) -> Vec<String> {
    seen.rows("forecast.csv", &COLUMNS)
}

#[test]
fn an_open_window_is_forecast_from_what_was_used_and_what_has_passed() {
    on_both(|engine| {
        let workspace = company(engine, &[ACME, "beta,none,2026-09-01"]);
        let first = september(&workspace, "2026-09-01");
        // Nothing has passed: a gauge stands where it stands, and of a sum nothing can be said.
        assert_eq!(forecast(&first), ["acme calls 0 0 n/a n/a n/a n/a", "acme seats 0 0 0 0 0 0.00"]);
        import(
            &workspace,
            &["acme calls 60.5 2026-09-02", "acme seats 12 2026-09-02", "beta calls 10 2026-09-03"],
        );
        let half = september(&workspace, "2026-09-16");
        let expected = [
            "acme calls 0.5 60.5 121 1.21 14700 147.00",
            // 2 x 50.5
            "acme seats 0.5 12 12 1.2 101 1.01",
            "beta calls 0.5 10 20  14000 140.00",
        ];
        assert_eq!(forecast(&half), expected);
        let last = september(&workspace, "2026-09-30");
        // 60.5 x 30 / 29, and 10 x 30 / 29 = 10.344827586207 x 700 = 7241.37…
        let expected = [
            "acme calls 0.966667 60.5 62.586207 0.625862 0 0.00",
            "acme seats 0.966667 12 12 1.2 101 1.01",
            "beta calls 0.966667 10 10.344828  7241 72.41",
        ];
        assert_eq!(forecast(&last), expected);
        let closed = september(&workspace, "2026-10-05");
        assert_eq!(forecast(&closed), [""; 0], "what is closed is no forecast");
        [first, half, last].map(|seen| seen.files["forecast.csv"].clone()).to_vec()
    });
}

#[test]
fn only_the_part_of_the_window_on_the_plan_of_now_is_forecast() {
    for engine in ENGINES {
        let tenants = [
            // 20 days of 30, and the second half.
            "acme,pro,2026-09-11",
            "beta,pro,2026-09-01,2026-09-16",
            "beta,plus,2026-09-16",
            // Its window begins on the 20th; and it ends on the 10th.
            "later,pro,2026-09-20,,month,2026-09-20",
            "over,pro,2026-09-01,2026-09-10",
            "trial,pro,2026-09-05,,month,,2026-09-25",
        ];
        let workspace = company(engine, &tenants);
        import(
            &workspace,
            &[
                "acme calls 30 2026-09-12",
                "beta calls 100 2026-09-10",
                "beta calls 9 2026-09-17",
                "over calls 9 2026-09-05",
                "trial calls 9 2026-09-17",
            ],
        );
        let seen = september(&workspace, "2026-09-19");
        let columns = [
            "tenant_id",
            "plan",
            "quota",
            "used",
            "elapsed_share",
            "forecast_quantity",
            "segment_start",
            "segment_end",
        ];
        let rows = seen.rows("forecast.csv", &columns);
        let calls: Vec<&String> = rows.iter().filter(|row| !row.contains(" 10 0 ")).collect();
        let expected =
            ["acme pro 100 30 0.4 75 2026-09-11 2026-10-01", "beta plus 30 9 0.2 45 2026-09-16 2026-10-01"];
        assert_eq!(calls, expected);
    }
}

#[test]
fn a_run_that_closes_a_window_shows_no_forecast_of_the_others_and_the_next_one_does() {
    for engine in ENGINES {
        // Two windows of September: one ends on the 10th of October, the other on the 20th.
        let tenants = ["acme,pro,2026-09-10,,month,2026-09-10", "beta,pro,2026-09-20,,month,2026-09-20"];
        let workspace = company(engine, &tenants);
        import(&workspace, &["acme calls 90 2026-09-12", "beta calls 80 2026-09-22"]);
        let closing = wake(&workspace, "2026-10-15", 0).remove("2026-09").unwrap();
        assert_eq!(closing.json["status"], "closing");
        assert_eq!(forecast(&closing), [""; 0]);
        // The events of the open window are there all the same.
        let expected = [
            "acme pro calls 80 100 90 0.9 new",
            "acme pro calls 90 100 90 0.9 new",
            "beta pro calls 80 100 80 0.8 new",
        ];
        assert_eq!(closing.levels(), expected);
        workspace.run(&["verify", closing.json["run_id"].as_str().unwrap()]).expect(0);
        let look = wake(&workspace, "2026-10-16", 0).remove("2026-09").unwrap();
        let rows = forecast(&look);
        assert!(rows.iter().all(|row| row.starts_with("beta ")) && rows.len() == 2, "{rows:?}");
        assert_eq!(look.levels(), expected.map(|row| row.replace("new", "known")));
    }
}
