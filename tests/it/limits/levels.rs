//! Levels at their edges, once for a window, whatever comes and goes.
//!
//! In: usage that grows from wake to wake. Out: the rows of `limit_events.csv`, and those of the table.

use super::{ACME, company, import, on_both, september, wake};
use crate::support::ENGINES;

const EVENTS: &str = "SELECT COUNT(*) FROM limit_events";

#[test]
fn each_level_is_told_once_at_the_wake_after_it_was_reached_exactly() {
    on_both(|engine| {
        let workspace = company(engine, &[ACME]);
        let mut files = Vec::new();
        let mut step = |more: &[&str], day: &str, expected: &[&str]| {
            import(&workspace, more);
            let seen = september(&workspace, day);
            assert_eq!(seen.levels(), expected, "{engine:?} {day}");
            files.push(seen.files["limit_events.csv"].clone());
        };
        step(&["acme calls 79.999999999999 2026-09-02"], "2026-09-03", &[]);
        let eighty = "acme pro calls 80 100 80 0.8";
        step(&["acme calls 0.000000000001 2026-09-03"], "2026-09-04", &[&format!("{eighty} new")]);
        step(&["acme calls 9.999999999999 2026-09-04"], "2026-09-05", &[&format!("{eighty} known")]);
        let ninety = "acme pro calls 90 100 90 0.9";
        let known = format!("{eighty} known");
        step(&["acme calls 0.000000000001 2026-09-05"], "2026-09-06", &[&known, &format!("{ninety} new")]);
        let both = [known, format!("{ninety} known")];
        let [eighty, ninety] = [&*both[0], &*both[1]];
        let beyond = ["95", "100"].map(|level| format!("acme pro calls {level} 100 120.5 1.205"));
        let new = beyond.clone().map(|row| format!("{row} new"));
        // 100 sorts after 95: levels are numbers.
        step(&["acme calls 30.5 2026-09-06"], "2026-09-07", &[eighty, ninety, &new[0], &new[1]]);
        let old = beyond.map(|row| format!("{row} known"));
        step(&["acme calls 1000 2026-09-07"], "2026-09-08", &[eighty, ninety, &old[0], &old[1]]);
        // The close finds nothing new.
        step(&["acme calls 1 2026-09-08"], "2026-10-05", &[eighty, ninety, &old[0], &old[1]]);
        assert_eq!(workspace.number(EVENTS), 4);
        files
    });
}

#[test]
fn a_first_look_at_120_percent_writes_all_four_also_when_it_closes() {
    on_both(|engine| {
        let workspace = company(engine, &[ACME, "beta,pro,2026-09-01"]);
        import(&workspace, &["acme calls 120 2026-09-10", "beta calls 99.999999 2026-09-10"]);
        let seen = september(&workspace, "2026-10-05");
        assert_eq!(seen.json["status"], "closed");
        let acme = ["80", "90", "95", "100"].map(|level| format!("acme pro calls {level} 100 120 1.2 new"));
        let beta =
            ["80", "90", "95"].map(|level| format!("beta pro calls {level} 100 99.999999 0.99999999 new"));
        assert_eq!(seen.levels(), [&acme[..], &beta[..]].concat());
        let run = seen.json["run_id"].as_str().unwrap();
        assert_eq!(workspace.number(&format!("{EVENTS} WHERE run_id = '{run}'")), 7);
        vec![seen.files["limit_events.csv"].clone()]
    });
}

#[test]
fn what_corrections_take_back_takes_no_event_back_and_the_level_is_not_told_again() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 95 2026-09-02"]);
        let of = |level: &str, change: &str| format!("acme pro calls {level} 100 95 0.95 {change}");
        let levels = ["80", "90", "95"];
        assert_eq!(september(&workspace, "2026-09-03").levels(), levels.map(|level| of(level, "new")));
        import(&workspace, &["acme calls -45 2026-09-03 calls/95/2026-09-02"]);
        let known = levels.map(|level| of(level, "known"));
        assert_eq!(september(&workspace, "2026-09-04").levels(), known);
        import(&workspace, &["acme calls 46 2026-09-04"]);
        assert_eq!(september(&workspace, "2026-09-05").levels(), known);
        assert_eq!(workspace.number(EVENTS), 3);
    }
}

#[test]
fn a_gauge_is_held_by_what_it_stands_at_and_each_meter_by_itself() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(
            &workspace,
            &["acme seats 9 2026-09-02", "acme seats 3 2026-09-03", "acme calls 80 2026-09-02"],
        );
        let expected = [
            "acme pro calls 80 100 80 0.8 new",
            "acme pro seats 80 10 9 0.9 new",
            "acme pro seats 90 10 9 0.9 new",
        ];
        assert_eq!(september(&workspace, "2026-09-04").levels(), expected);
    }
}

#[test]
fn a_new_window_begins_anew_and_usage_that_comes_late_tells_nothing() {
    on_both(|engine| {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 80 2026-09-10", "acme calls 81 2026-10-02"]);
        september(&workspace, "2026-09-20");
        let mut seen = wake(&workspace, "2026-10-05", 0);
        assert_eq!(seen["2026-09"].levels(), ["acme pro calls 80 100 80 0.8 known"]);
        let october = seen.remove("2026-10").unwrap();
        assert_eq!(october.levels(), ["acme pro calls 80 100 81 0.81 new"]);
        import(&workspace, &["acme calls 50 2026-09-11"]);
        let seen = wake(&workspace, "2026-10-06", 3);
        assert_eq!(seen["2026-09"].levels(), ["acme pro calls 80 100 80 0.8 known"]);
        vec![october.files["limit_events.csv"].clone()]
    });
}
