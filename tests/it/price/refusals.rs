//! What the price commands refuse, with the exit code and a word on what to do.
//!
//! In: questions that cannot be answered. Out: codes and sentences; nothing is written.

use super::{CATALOG, USED, asked, closed};
use crate::support::{Engine, Workspace};

#[test]
fn names_and_periods_that_are_not_there_are_refused_with_a_hint() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let simulate = |more: &[&str]| asked(&workspace, "simulate", &[&["--prices", "5"], more].concat());
    let suggest = |more: &[&str]| asked(&workspace, "suggest", more);
    for (ended, told) in [
        (suggest(&["--period", "2026-11"]), "2026-11 is not closed: `billrecon status` shows the periods"),
        (suggest(&["--plan", "por"]), "no such plan `por`: did you mean `pro`?"),
        (suggest(&["--meter", "cals"]), "does not sell the meter `cals`: did you mean `calls`?"),
        (suggest(&["--plan", "starter"]), "say which meter of the plan `starter`"),
        (suggest(&["--currency", "usd"]), "say which plan of the catalog with --plan"),
        (suggest(&["--target-share", "20"]), "write a percentage such as 20%"),
        (suggest(&["--step", "0"]), "must be above 0"),
        (simulate(&["--periods", "2026-09..2026-10"]), "2026-09 is not closed"),
        (simulate(&["--periods", "2026-10..2026-09"]), "comes after"),
        (simulate(&["--shock=-1%"]), "must not be negative"),
        (asked(&workspace, "simulate", &[]), "--prices"),
        (asked(&workspace, "simulate", &["--prices=-5"]), "must not be negative"),
        (asked(&workspace, "simulate", &["--from", "1"]), "--to"),
        (asked(&workspace, "simulate", &["--from", "9", "--to", "1", "--step", "1"]), "is no range"),
        (asked(&workspace, "simulate", &["--from", "0", "--to", "1001", "--step", "1"]), "up to 1000 prices"),
    ] {
        let ended = ended.expect(2);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_database_without_a_catalog_or_a_closed_period_says_so() {
    let workspace = Workspace::new(Engine::Sqlite);
    assert!(asked(&workspace, "suggest", &[]).expect(78).stderr.contains("billrecon import catalog FILE"));
    workspace.write("catalog.toml", CATALOG);
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    assert!(asked(&workspace, "suggest", &[]).expect(2).stderr.contains("no period is closed yet"));
    let ended = asked(&Workspace::fresh(Engine::Sqlite), "simulate", &["--prices", "5"]).expect(78);
    assert!(ended.stderr.contains("billrecon.db"), "{}", ended.stderr);
}

#[test]
fn a_price_of_stripe_that_applies_the_quota_twice_or_loses_it_is_refused() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let tiers = |up_to: u32| {
        format!(
            "{{\"billing_scheme\":\"tiered\",\"tiers_mode\":\"graduated\",\"tiers\":[\
             {{\"up_to\":{up_to},\"unit_amount\":0}},{{\"up_to\":null,\"unit_amount\":700}}]}}"
        )
    };
    let of = |text: &str| {
        workspace.write("price.json", text);
        asked(&workspace, "simulate", &["--stripe-price", "price.json"])
    };
    for (text, told) in [
        (tiers(50), "is 100, but the leading zero tier of the price ends at 50"),
        ("{\"tiers_mode\":\"volume\"".to_owned(), "price.json: is no JSON object"),
        ("{\"unit_amount\":7,\"unit_amunt\":7}".to_owned(), "did you mean `unit_amount`"),
        ("{\"unit_amount_decimal\":0.1e-20}".to_owned(), "more than 12 decimal places"),
        ("[]".to_owned(), "price"),
    ] {
        let ended = of(&text).expect(65);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    of(&tiers(100)).expect(0);
    let missing = asked(&workspace, "simulate", &["--stripe-price", "nowhere.json"]).expect(74);
    assert!(missing.stderr.contains("nowhere.json"));
}

#[test]
fn a_price_that_makes_a_bill_too_large_names_the_tenant_and_the_price() {
    let workspace = closed(Engine::Sqlite, CATALOG, &[("acme", "pro", "try", "999999999999")]);
    let ended = asked(&workspace, "simulate", &["--prices", "9999999999999"]).expect(65);
    assert!(
        ended.stderr.contains("the bill of the tenant `acme` at the price `9999999999999`"),
        "{}",
        ended.stderr
    );
    let beyond = asked(&workspace, "simulate", &["--prices", "999999999999999"]).expect(65);
    assert!(beyond.stderr.contains("is too large"), "{}", beyond.stderr);
}

#[test]
fn a_file_that_is_there_is_never_written_over() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    workspace.write("bills.csv", "mine");
    let ended = asked(&workspace, "simulate", &["--prices", "5", "--out", "bills.csv"]).expect(73);
    assert!(ended.stderr.contains("bills.csv"));
    assert_eq!(std::fs::read_to_string(workspace.path("bills.csv")).unwrap(), "mine");
}
