//! Which quota counts: pro-rated, yearly, after a plan change, none at all.
//!
//! In: tenants whose plans change, end, or cost nothing. Out: the rows of `limit_events.csv`.

use super::{CATALOG, company, import, on_both, september, tenant_rows, wake};
use crate::support::ENGINES;

#[test]
fn a_plan_without_a_quota_a_quota_of_nothing_and_a_trial_have_nothing_to_reach() {
    for engine in ENGINES {
        let tenants =
            ["none,none,2026-09-01", "trial,pro,2026-09-05,,month,,2026-09-25", "zero,zero,2026-09-01"];
        let workspace = company(engine, &tenants);
        import(
            &workspace,
            &["none calls 500 2026-09-10", "trial calls 500 2026-09-10", "zero calls 500 2026-09-10"],
        );
        for day in ["2026-09-20", "2026-10-05"] {
            assert_eq!(september(&workspace, day).levels(), [""; 0], "{engine:?} {day}");
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM limit_events"), 0);
    }
}

#[test]
fn after_a_plan_change_each_part_is_held_by_its_own_quota_and_the_first_to_reach_a_level_has_the_row() {
    on_both(|engine| {
        // Of 60 units for 30 days, 15 days have 30.
        let tenants = ["acme,pro,2026-09-01,2026-09-16", "acme,plus,2026-09-16"];
        let workspace = company(engine, &tenants);
        import(&workspace, &["acme calls 85 2026-09-10", "acme calls 26.999999999999 2026-09-20"]);
        let first = "acme pro calls 80 100 85 0.85";
        assert_eq!(september(&workspace, "2026-09-22").levels(), [format!("{first} new")]);
        import(&workspace, &["acme calls 0.000000000001 2026-09-21"]);
        let seen = september(&workspace, "2026-09-23");
        assert_eq!(seen.levels(), ["acme plus calls 90 30 27 0.9 new", &format!("{first} known")]);
        vec![seen.files["limit_events.csv"].clone()]
    });
}

#[test]
fn a_yearly_quota_counts_for_the_year() {
    for engine in ENGINES {
        let workspace = company(engine, &["acme,pro,2025-10-01,,year,2025-10-01"]);
        import(&workspace, &["acme calls 959.5 2026-02-10", "acme calls 0.5 2026-09-02"]);
        assert_eq!(september(&workspace, "2026-09-03").levels(), ["acme pro calls 80 1200 960 0.8 new"]);
    }
}

#[test]
fn a_parked_tenant_is_warned_when_it_is_mended_and_the_others_at_once() {
    for engine in ENGINES {
        let workspace = company(engine, &["acme,legacy,2026-09-01", "beta,pro,2026-09-01"]);
        import(&workspace, &["acme calls 80 2026-09-02", "beta calls 80 2026-09-02"]);
        let beta = "beta pro calls 80 100 80 0.8";
        let seen = wake(&workspace, "2026-09-03", 3).remove("2026-09").unwrap();
        assert_eq!(seen.levels(), [format!("{beta} new")]);
        workspace.import_rules(CATALOG, &tenant_rows(&["acme,pro,2026-09-01", "beta,pro,2026-09-01"]));
        let expected = ["acme pro calls 80 100 80 0.8 new", &format!("{beta} known")];
        assert_eq!(september(&workspace, "2026-09-04").levels(), expected);
    }
}

/// Calendar months of Istanbul and an anchor at the same instants are one window with two labels.
#[test]
fn a_window_that_gets_another_label_is_not_warned_of_twice_and_stops_nobody() {
    for engine in ENGINES {
        let workspace = crate::support::Workspace::new(engine);
        let settings = format!(
            "time_zone = \"Europe/Istanbul\"\nfirst_period = \"2026-08\"\n{}",
            crate::support::OBSERVE
        );
        workspace.write("billrecon.toml", settings);
        workspace.import_rules(CATALOG, &tenant_rows(&["acme,pro,2026-08-01", "beta,pro,2026-08-01"]));
        import(&workspace, &["acme calls 80 2026-09-02", "beta calls 80 2026-09-02"]);
        let beta = "beta pro calls 80 100 80 0.8";
        let calendar = wake(&workspace, "2026-09-03", 0).remove("2026-09").unwrap();
        assert_eq!(calendar.levels(), ["acme pro calls 80 100 80 0.8 new", &format!("{beta} new")]);
        let anchored = tenant_rows(&["beta,pro,2026-08-01"]);
        let row = "acme,pro,try,cus_acme,sub_acme,2026-08-01T00:00:00Z,,month,2026-08-31T21:00:00Z,\n";
        workspace.import_rules(CATALOG, &format!("{anchored}{row}"));
        let windows = "SELECT COUNT(DISTINCT window_end) FROM limit_events";
        assert_eq!(workspace.number(windows), 1);
        import(&workspace, &["acme calls 10 2026-09-03"]);
        let seen = wake(&workspace, "2026-09-04", 0);
        assert_eq!(seen["2026-08"].levels(), ["acme pro calls 90 100 90 0.9 new"]);
        assert_eq!(workspace.number(windows), 1, "it is the same window");
    }
}
