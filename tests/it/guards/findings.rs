//! What is refused is told all at once; what only may go wrong is a warning, and the run goes on.
//!
//! In: a Stripe where more than one thing is wrong, or where something is odd. Out: the words on stderr, and what was pushed
//! in spite of them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::pin::Gate;
use super::{COLUMNS, EVENT, OPEN, Site, catalog, free, meter, metered, outcome, price, tenant, usage};
use crate::support::{Ended, Engine, Workspace, signal};

/// One tenant with 130 requests, and what it is subscribed to.
fn site(prices: impl FnOnce(&Site) -> Vec<String>) -> (Site, String) {
    let site = Site::new(Engine::Sqlite);
    let prices = prices(&site);
    let prices: Vec<&str> = prices.iter().map(String::as_str).collect();
    let (customer, subscription) = site.subscribe(&prices);
    site.import("catalog", &site.catalog());
    site.import("tenants", &format!("{COLUMNS}{}", tenant("acme", &customer, &subscription)));
    site.import("usage", &usage(&[("acme", "130")]));
    (site, customer)
}

fn usual(site: &Site) -> Vec<String> {
    vec![site.base.clone(), site.shadow.clone()]
}

/// How often these words stand on stderr.
fn told(ended: &Ended, words: &str) -> usize {
    ended.stderr.matches(words).count()
}

#[test]
fn everything_that_is_refused_is_told_in_one_go() {
    let (site, _) = site(usual);
    let dear = price(&site.stripe, &metered(&site.meter, &[("unit_amount", "1")]));
    let yearly = [&free("50")[..], &[("recurring[interval]", "year")]].concat();
    let yearly = price(&site.stripe, &metered(&site.meter, &yearly));
    site.import("catalog", &catalog(EVENT, &format!("\"{dear}\""), &format!("\"{yearly}\"")));
    site.move_to(OPEN);
    let before = site.journal();
    let ended = site.run_with(&["--as-of", OPEN]).expect(78);
    for check in ["3 things at Stripe", &dear, &yearly, "[shadow_is_zero]", "[interval]", "[quota]"] {
        assert!(ended.stderr.contains(check), "`{check}` is missing in: {}", ended.stderr);
    }
    assert!(site.journal() == before && ended.stdout.is_empty());
}

#[test]
fn a_price_that_charges_something_else_than_the_catalog_says_is_refused_unless_we_only_look_on() {
    let (site, customer) = site(usual);
    let mut tiers = free("100");
    tiers[5].1 = "701";
    let other = price(&site.stripe, &metered(&site.meter, &tiers));
    let wrong = site.catalog().replace(&site.overage, &other);
    site.import("catalog", &wrong);
    site.move_to(OPEN);
    let words =
        format!("Stripe's price `{other}` charges graduated: to 100 at 0, then 701, the catalog graduated");
    let refused = site.run_with(&["--as-of", OPEN]).expect(78);
    assert_eq!(told(&refused, &words), 1, "{}", refused.stderr);
    let nothing = site.total(&customer);
    // In a report the comparison names such a difference, once it is charged.
    site.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    let looked = site.run_with(&["--as-of", OPEN]).expect(0);
    assert_eq!((told(&looked, &words), site.total(&customer)), (1, nothing));
    // A price of that kind makes all well.
    site.workspace.write("billrecon.toml", "");
    site.import("catalog", &site.catalog());
    let good = site.run(OPEN).expect(0);
    assert_eq!((told(&good, "[price_of_catalog]"), site.total(&customer)), (0, "130".to_owned()));
}

/// Once a wake, however many periods it plays: here October and November.
#[test]
fn an_archived_price_is_warned_of_and_usage_is_still_pushed() {
    let archived = |form: &[(&str, &str)], site: &Site| {
        price(&site.stripe, &metered(&site.meter, &[form, &[("active", "false")]].concat()))
    };
    let (site, customer) = site(usual);
    let candidate = archived(&free("100"), &site);
    site.import("catalog", &site.catalog().replace(&site.overage, &candidate));
    let wake = site.run("2026-11-01T00:30:00Z").expect(0);
    assert_eq!(wake.stdout.lines().count(), 2);
    assert_eq!(
        told(&wake, &format!("`{candidate}` is archived, and is to be charged later")),
        1,
        "{}",
        wake.stderr
    );
    assert_eq!(site.total(&customer), "130");
}

#[test]
fn a_meter_with_payload_keys_of_its_own_gets_them() {
    let keys =
        [("customer_mapping[event_payload_key]", "who"), ("value_settings[event_payload_key]", "how_many")];
    let keys = [&[("customer_mapping[type]", "by_id")][..], &keys].concat();
    let site = Site::new(Engine::Sqlite);
    let odd = meter(&site.stripe, "odd", &keys);
    let shadow = price(&site.stripe, &metered(&odd, &[("unit_amount", "0")]));
    let overage = price(&site.stripe, &metered(&odd, &free("100")));
    let (customer, subscription) = site.subscribe(&[&site.base, &shadow]);
    site.import("catalog", &catalog("odd", &format!("\"{shadow}\""), &format!("\"{overage}\"")));
    site.import("tenants", &format!("{COLUMNS}{}", tenant("acme", &customer, &subscription)));
    site.import("usage", &usage(&[("acme", "130")]));
    let october = outcome(&site.run(OPEN).expect(0), "2026-10");
    assert_eq!((&october["counts"]["pushed"], &october["counts"]["pending_after"]), (&1.into(), &0.into()));
    let site = Site { meter: odd, ..site };
    assert_eq!(site.total(&customer), "130");
}

#[test]
fn two_items_on_one_meter_are_warned_of_and_their_tenant_is_parked() {
    let (site, customer) = site(|site| vec![site.base.clone(), site.shadow.clone(), site.overage.clone()]);
    let ended = site.run(OPEN).expect(3);
    assert_eq!(told(&ended, "has 2 items on the meter `b2b.match_request`"), 1, "{}", ended.stderr);
    assert_eq!(outcome(&ended, "2026-10")["counts"]["parked"], 1);
    assert_ne!(site.total(&customer), "130");
}

#[test]
fn a_full_key_of_a_real_account_is_warned_of_and_never_shown() {
    let gate = Gate::new(Engine::Sqlite);
    let run = |key: &str| {
        let ended =
            Ended::of(gate.command(&["--dry-run"]).env("BILLRECON_STRIPE_API_KEY", key).output().unwrap());
        assert!(!ended.stderr.contains("c4n4ry"), "{}", ended.stderr);
        told(&ended.expect(0), "[key_kind]")
    };
    assert_eq!(["sk_test_c4n4ry0f0ur0wn", "rk_test_c4n4ry0f0ur0wn"].map(run), [1, 0]);
    // Nobody is to make a key for the sandbox.
    assert_eq!(told(&gate.site.run_with(&["--dry-run"]), "[key_kind]"), 0);
}

/// The sandbox holds its drafts for an hour. Only `serve` knows how often it is woken.
#[test]
fn a_schedule_that_may_miss_the_draft_hour_is_warned_of() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let serve = |schedule: &str| {
        let mut command = workspace.command(&["serve", "--schedule", schedule]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            said += &format!("{line}\n");
            if line.contains("the next wake is at") {
                signal(&child, "TERM");
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
        said
    };
    let said = serve("0 9-17 * * *");
    assert!(said.contains("can be 16h apart") && said.contains("for 1h only"), "{said}");
    assert!(!serve("5 * * * *").contains("[grace_period]"));
    assert!(!workspace.run(&["run"]).stderr.contains("[grace_period]"));
}

/// The catalog, with the shadow price by its lookup key.
fn keyed(site: &Site) -> String {
    let by_id = format!("shadow_price_id = \"{}\"", site.shadow);
    let keyed = site.catalog().replace(&by_id, "shadow_price_lookup_key = \"pro_shadow\"");
    assert!(!keyed.contains(&by_id));
    keyed
}

fn price_with_key(site: &Site, more: (&str, &str)) -> String {
    let form = [("unit_amount", "0"), ("lookup_key", "pro_shadow"), more];
    price(&site.stripe, &metered(&site.meter, &form))
}

#[test]
fn a_lookup_key_of_an_archived_price_is_told_as_that() {
    let (site, _) = site(usual);
    let archived = price_with_key(&site, ("active", "false"));
    site.import("catalog", &keyed(&site));
    let ended = site.run(OPEN).expect(78);
    assert_eq!(told(&ended, &format!("is archived (`{archived}`)")), 1, "{}", ended.stderr);
}

#[test]
fn a_lookup_key_that_was_moved_is_named_with_who_still_has_the_old_price() {
    let (site, _) = site(|site| vec![site.base.clone(), price_with_key(site, ("active", "true"))]);
    site.import("catalog", &keyed(&site));
    let ended = site.run(OPEN).expect(0);
    assert_eq!(told(&ended, "lookup key"), 0, "{}", ended.stderr);
    let moved = price_with_key(&site, ("transfer_lookup_key", "true"));
    let ended = site.run("2026-10-20T11:00:00Z").expect(3);
    let words =
        format!("the lookup key `pro_shadow` names `{moved}` now, and 1 subscriptions (the first: sub_");
    assert_eq!(told(&ended, &words), 1, "{}", ended.stderr);
}
