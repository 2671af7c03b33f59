//! The suggestion: the plan's own numbers, what really brings the share, the checks, and where there is nothing to suggest.
//!
//! In: closed months. Out: prices and checks with their numbers.

use serde_json::{Value, json};

use super::{CATALOG, USED, asked, closed, suggested};
use crate::support::{ENGINES, Engine};

fn only(suggested: &Value) -> &Value {
    let all = suggested["suggestions"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    &all[0]
}

fn check<'a>(suggestion: &'a Value, name: &str) -> &'a Value {
    let checks = suggestion["checks"].as_array().unwrap();
    checks.iter().find(|one| one["check"] == name).unwrap()
}

#[test]
fn the_numbers_of_the_plan_come_out_on_both_databases() {
    for engine in ENGINES {
        let workspace = closed(engine, CATALOG, USED);
        let found = suggested(&workspace, &[]);
        assert_eq!((&found["mode"], &found["period"]), (&"SANDBOX".into(), &"2026-10".into()));
        assert_eq!((&found["plan"], &found["meter"]), (&"pro".into(), &"calls".into()));
        let one = only(&found);
        assert_eq!((&one["tenants"], &one["exceeding"]), (&4.into(), &2.into()));
        assert_eq!((&one["mean_overage"], &one["exact"]), (&"30".into(), &"6.66".into()));
        // 60 units at 7.00 of 4 x 999.00; for 20 % it takes 799.20, which is 13.32 for each.
        let revenue = json!({
            "unit_amount_decimal": "700", "price": "7.00", "revenue_minor": 42_000, "revenue": "420.00",
            "share": "0.105105", "share_percent": "10.5105 %",
        });
        assert_eq!(one["suggested"], revenue);
        assert_eq!(
            (&one["reaching"]["price"], &one["reaching"]["revenue_minor"]),
            (&"14.00".into(), &84_000.into())
        );
        let even = check(one, "break_even");
        assert_eq!(
            (&even["units"], &even["next_plan"], &even["ok"]),
            (&315.into(), &"enterprise".into(), &true.into())
        );
        let bills = check(one, "bills");
        assert_eq!((&bills["units"], &bills["bill_minor"]), (&"250".into(), &204_900.into()));
        assert_eq!((&bills["next_plan_bill_minor"], &bills["ok"]), (&249_900.into(), &true.into()));
        assert_eq!((&check(one, "range")["ok"], &check(one, "top_plan")["ok"]), (&Value::Null, &true.into()));
    }
}

#[test]
fn a_person_reads_the_same_figures() {
    let text = asked(&closed(Engine::Sqlite, CATALOG, USED), "suggest", &["--min", "5", "--max", "6.5"])
        .expect(0)
        .stdout;
    for part in [
        "SANDBOX: a price for calls on pro, by the usage of 2026-10",
        "999.00 x 20 % / 30 = 6.66 -> 7.00 TRY, in steps of 1.00 TRY",
        "14.00 TRY is the first that brings 20 %",
        "ok: enterprise is cheaper from 315 units on",
        "ok: 250 units cost 2049.00 < 2499.00 TRY on enterprise",
        "NOT OK: from 5.00 to 6.50 TRY",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn step_target_and_quantities_are_what_was_asked_for() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let found = suggested(
        &workspace,
        &["--step", "0.5", "--target-share", "10%", "--at", "314", "315", "--max", "3"],
    );
    let one = only(&found);
    // 3.33 lies nearer to 3.50; 60 x 6.66 is 399.60, so 7.00 is the first multiple of 0.50 that brings 10 %.
    assert_eq!((&one["exact"], &one["suggested"]["price"]), (&"3.33".into(), &"3.50".into()));
    assert_eq!(one["reaching"]["price"], "7.00");
    assert_eq!(check(one, "range")["ok"], false);
    let at: Vec<&Value> = one["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["check"] == "bills")
        .map(|one| &one["units"])
        .collect();
    assert_eq!(at, ["314", "315"]);
    // A share that calls for next to nothing still gets a step.
    let least = suggested(&workspace, &["--target-share", "0.01%"]);
    assert_eq!(only(&least)["suggested"]["price"], "1.00");
}

#[test]
fn each_currency_and_interval_has_a_suggestion_of_its_own() {
    let others = r#"
[[plan]]
key = "pro"
currency = "usd"
amount = 3000
  [[plan.usage]]
  meter = "calls"
  free_quota = 10
  price = { unit_amount = 20 }
[[plan]]
key = "pro"
currency = "jpy"
interval = "year"
amount = 120000
  [[plan.usage]]
  meter = "calls"
  free_quota = 10
  price = { unit_amount = 20 }
"#;
    let used = [USED, &[("gale", "pro", "usd", "20")]].concat();
    let workspace = closed(Engine::Sqlite, &format!("{CATALOG}{others}"), &used);
    let found = suggested(&workspace, &["--step", "0.01"]);
    let told: Vec<[String; 3]> = found["suggestions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| [&one["currency"], &one["suggested"]["price"], &one["reason"]].map(ToString::to_string))
        .collect();
    let nobody = "\"no paying tenant was on the plan for a whole window\"";
    // 30.00 x 20 % / 10 = 0.60.
    assert_eq!(
        told,
        [["\"try\"", "\"6.66\"", "null"], ["\"usd\"", "\"0.60\"", "null"], ["\"jpy\"", "null", nobody]]
    );
    let dollars = suggested(&workspace, &["--currency", "usd", "--step", "0.01"]);
    assert_eq!(only(&dollars)["reaching"]["price"], "0.60");
    assert_eq!(check(only(&dollars), "break_even")["finding"], "there is no next plan that sells the meter");
}

/// Where there is no price the answer says why, and ends well.
#[test]
fn a_plan_that_no_overage_price_can_serve_is_told_so() {
    let alone = |amount: &str, usage: &str| {
        format!(
            "[[meter]]\nkey = \"calls\"\naggregation = \"sum\"\n[[plan]]\nkey = \"pro\"\ncurrency = \"try\"\n{amount}\n\
             [[plan.usage]]\nmeter = \"calls\"\n{usage}\n"
        )
    };
    let tenants = |used| [("acme", "pro", "try", used)];
    for (catalog, used, reason) in [
        (alone("amount = 99900", "price = { unit_amount = 700 }"), "120", "the plan has no free quota"),
        (
            alone("amount = 99900", "free_quota = 0\nprice = { unit_amount = 700 }"),
            "120",
            "the plan has no free quota",
        ),
        (
            alone("amount = 99900\nhard_cap = true", "free_quota = 100"),
            "120",
            "nothing above the quota is billed",
        ),
        (alone("", "free_quota = 100\nprice = { unit_amount = 700 }"), "120", "the plan has no base fee"),
        (
            alone("amount = 99900", "free_quota = 100\nprice = { unit_amount = 700 }"),
            "100",
            "nobody used more",
        ),
    ] {
        let workspace = closed(Engine::Sqlite, &catalog, &tenants(used));
        let found = suggested(&workspace, &[]);
        let one = only(&found);
        assert!(one["reason"].as_str().unwrap().starts_with(reason), "{one}");
        assert_eq!((&one["suggested"], &one["exact"]), (&Value::Null, &Value::Null));
        assert!(asked(&workspace, "suggest", &[]).expect(0).stdout.contains("n/a: "));
    }
}

#[test]
fn a_graduated_price_with_the_quota_in_its_tiers_is_the_same_question() {
    let tiers = "price = { billing_scheme = \"tiered\", tiers_mode = \"graduated\", tiers = [\
                 { up_to = 100, unit_amount = 0 }, { up_to = 150, unit_amount = 900 }, { up_to = \"inf\", unit_amount = 100 } ] }";
    let catalog = CATALOG.replacen("price = { unit_amount = 700 }", tiers, 1);
    let workspace = closed(Engine::Sqlite, &catalog, USED);
    let found = suggested(&workspace, &[]);
    let one = only(&found);
    assert_eq!(
        (&one["suggested"]["price"], &one["suggested"]["revenue_minor"]),
        (&"7.00".into(), &42_000.into())
    );
    assert_eq!(check(one, "break_even")["units"], 315);
}

#[test]
fn a_top_plan_that_gives_its_overage_away_is_named() {
    let free = CATALOG.replacen("price = { unit_amount = 500 }", "price = { unit_amount = 0 }", 1);
    let workspace = closed(Engine::Sqlite, &free, USED);
    let found = suggested(&workspace, &[]);
    let top = check(only(&found), "top_plan");
    assert_eq!(
        (&top["ok"], &top["finding"]),
        (&false.into(), &"enterprise charges 0 per unit (minor units)".into())
    );
    // Its own suggestion is never 0.
    let own = suggested(&workspace, &["--plan", "enterprise"]);
    assert_eq!(check(only(&own), "top_plan")["ok"], true);
}

/// 999.00 x 10 % / 30 = 3.33, so 3.50 in steps of a half; the policy wants at least 5.00.
#[test]
fn the_policy_says_what_nobody_has_said_on_the_command_line() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let rule = "[[rule]]\nmetric = \"tenants\"\noperator = \">\"\nthreshold = 0\nverdict = \"NO_GO\"\n";
    let price = "[price]\ntarget_share = \"0.1\"\nstep = \"0.50\"\nminimum = 5\n";
    workspace.write("policy.toml", format!("plan = \"pro\"\n{rule}{price}"));
    workspace.write("billrecon.toml", "policy = \"policy.toml\"\n");
    let found = suggested(&workspace, &[]);
    let one = only(&found);
    assert_eq!((&one["exact"], &one["suggested"]["price"]), (&"3.33".into(), &"3.50".into()));
    assert_eq!(check(one, "range")["ok"], false);
    let found = suggested(&workspace, &["--target-share", "20%", "--step", "1", "--min", "4"]);
    let one = only(&found);
    assert_eq!((&one["suggested"]["price"], &check(one, "range")["ok"]), (&"7.00".into(), &true.into()));
    for (wrong, says) in [
        ("target_share = \"-1 %\"", "from 0 %"),
        ("step = 0", "above 0"),
        ("setp = 1", "did you mean `step`?"),
    ] {
        workspace.write("policy.toml", format!("plan = \"pro\"\n{rule}[price]\n{wrong}\n"));
        let ended = asked(&workspace, "suggest", &[]).expect(78);
        assert!(
            ended.stderr.contains("policy.toml: line 8") && ended.stderr.contains(says),
            "{}",
            ended.stderr
        );
    }
}
