//! Prices and meters are checked before the first push of a wake.
//!
//! In: a catalog that names a price or a meter which is not what it should be. Out: 78, words that name the place, and not
//! one change at Stripe. Then the good catalog on the same database, which pushes.

use super::{EVENT, METER, OPEN, Site, catalog, free, meter, metered, price, tenant, usage};
use crate::support::{ENGINES, Engine};

/// One tenant with 130 requests on 5 October.
fn site(engine: Engine) -> (Site, String) {
    let site = Site::new(engine);
    let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
    site.import("catalog", &site.catalog());
    site.import("tenants", &format!("{}{}", super::COLUMNS, tenant("acme", &customer, &subscription)));
    site.import("usage", &usage(&[("acme", "130")]));
    site.move_to(OPEN);
    (site, customer)
}

/// Each of these is refused, by a dry run too, in these words and without a trace at Stripe.
#[track_caller]
fn refuses(site: &Site, catalog: &str, words: &[&str]) {
    site.import("catalog", catalog);
    let before = site.journal();
    for flags in [&["--as-of", OPEN][..], &["--as-of", OPEN, "--dry-run"]] {
        let ended = site.run_with(flags).expect(78);
        for word in words {
            assert!(ended.stderr.contains(word), "`{word}` is missing in: {}", ended.stderr);
        }
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    }
    assert!(site.journal() == before, "something was sent to Stripe");
    assert_eq!(site.workspace.number("SELECT COUNT(*) FROM intents"), 0);
    assert_eq!(site.workspace.number("SELECT COUNT(*) FROM runs"), 0);
    assert!(site.workspace.report_folders("2026-10").is_empty());
}

/// The same database with a catalog that is as it should be.
#[track_caller]
fn pushes(site: &Site, catalog: &str, customer: &str, quantity: &str) {
    site.import("catalog", catalog);
    let ended = site.run(OPEN).expect(0);
    assert_eq!(super::outcome(&ended, "2026-10")["counts"]["pushed"], 1);
    assert_eq!(site.total(customer), quantity);
}

fn quoted(id: &str) -> String {
    format!("\"{id}\"")
}

#[test]
fn a_shadow_price_that_would_really_charge_is_refused() {
    for engine in ENGINES {
        let (site, customer) = site(engine);
        let overage = quoted(&site.overage);
        for form in [&[("unit_amount_decimal", "0.000000000001")][..], &free("1000000")] {
            let dear = price(&site.stripe, &metered(&site.meter, form));
            let words = ["plan `pro`", METER, &dear, "is not 0", "nothing is sent"];
            refuses(&site, &catalog(EVENT, &quoted(&dear), &overage), &words);
        }
        // Nor is the price that is to be charged later taken for the shadow.
        let words = ["plan `pro`", METER, &site.overage, "is not 0"];
        refuses(&site, &catalog(EVENT, &overage, &overage), &words);
        pushes(&site, &site.catalog(), &customer, "130");
    }
}

#[test]
fn a_quota_in_both_places_in_neither_or_of_another_size_is_refused() {
    let (site, customer) = site(Engine::Sqlite);
    let shadow = quoted(&site.shadow);
    let flat = price(&site.stripe, &metered(&site.meter, &[("unit_amount", "700")]));
    let small = price(&site.stripe, &metered(&site.meter, &free("99")));
    let overage_only = |price: &str| {
        let (head, _) = catalog(EVENT, &shadow, &quoted(price)).split_once("  price =").map(owned).unwrap();
        let head = head.replace("push = \"all\"", "push = \"overage\"");
        format!("{head}  price = {{ billing_scheme = \"per_unit\", unit_amount_decimal = \"700\" }}\n")
    };
    for billing in ["shadow", "live"] {
        let live = |text: String| text.replace("push =", &format!("billing = \"{billing}\"\n  push ="));
        let words = ["plan `pro`", METER, &site.overage, "in two places"];
        refuses(&site, &live(overage_only(&site.overage)), &words);
        let words = ["plan `pro`", METER, &flat, "in no place"];
        refuses(&site, &live(catalog(EVENT, &shadow, &quoted(&flat))), &words);
        let words = ["plan `pro`", METER, &small, "quota is 100", "gives 99 units away"];
        refuses(&site, &live(catalog(EVENT, &shadow, &quoted(&small))), &words);
    }
    // In one place, and that is ours: Stripe sees the overage only.
    pushes(&site, &overage_only(&flat), &customer, "30");
}

fn owned((head, tail): (&str, &str)) -> (String, String) {
    (head.to_owned(), tail.to_owned())
}

#[test]
fn a_plan_that_ends_at_its_quota_needs_no_quota_at_stripe_and_never_charges_below_it() {
    let (site, customer) = site(Engine::Sqlite);
    let capped = site.catalog().replace("amount = 99900", "amount = 99900\nhard_cap = true");
    let with_price = |overage: &str| capped.replace(&quoted(&site.overage), &quoted(overage));
    let from_the_first = price(&site.stripe, &metered(&site.meter, &[("unit_amount", "700")]));
    let too_few = price(&site.stripe, &metered(&site.meter, &free("50")));
    refuses(&site, &with_price(&from_the_first), &["plan `pro`", METER, "in no place", &from_the_first]);
    refuses(&site, &with_price(&too_few), &["plan `pro`", METER, "gives 50 units away"]);
    let nothing = price(&site.stripe, &metered(&site.meter, &[("unit_amount", "0")]));
    // 130 were used, and Stripe is shown what the plan sells.
    pushes(&site, &with_price(&nothing), &customer, "100");
}

#[test]
fn a_price_in_another_currency_per_another_interval_or_of_another_meter_is_refused() {
    let (site, customer) = site(Engine::Sqlite);
    let others = meter(&site.stripe, "something_else", &[]);
    let zero = [("unit_amount", "0")];
    let tiers = free("100");
    for (special, words) in [
        (("currency", "usd"), "is in usd, the plan in try"),
        (("recurring[interval]", "year"), "is per year, the plan per month"),
        (("recurring[meter]", &*others), "does not bill the meter `b2b_match_request`"),
    ] {
        let form = |form: &[(&str, &str)]| {
            let mut form: Vec<(String, String)> = metered(&site.meter, form).into_iter().map(owned).collect();
            form.retain(|(name, _)| name != special.0);
            form.push(owned(special));
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
            price(&site.stripe, &form)
        };
        let (shadow, overage) = (form(&zero), form(&tiers));
        let named = ["plan `pro`", METER, &shadow, words];
        refuses(&site, &catalog(EVENT, &quoted(&shadow), &quoted(&site.overage)), &named);
        let named = ["plan `pro`", METER, &overage, words];
        refuses(&site, &catalog(EVENT, &quoted(&site.shadow), &quoted(&overage)), &named);
    }
    // A price that is no metered one bills no meter at all.
    let named = ["plan `pro`", METER, &site.base, "does not bill the meter"];
    refuses(&site, &catalog(EVENT, &quoted(&site.shadow), &quoted(&site.base)), &named);
    pushes(&site, &site.catalog(), &customer, "130");
}

#[test]
fn a_price_that_stripe_does_not_have_is_refused_whether_named_by_id_or_by_lookup_key() {
    let (site, customer) = site(Engine::Sqlite);
    let (good, missing) = (site.catalog(), quoted("price_of_nobody"));
    let words = ["plan `pro`", METER, "Stripe has no price `price_of_nobody`"];
    for of_site in [&site.shadow, &site.overage] {
        refuses(&site, &good.replace(&quoted(of_site), &missing), &words);
    }
    let by_key = good.replace("shadow_price_id", "shadow_price_lookup_key");
    let words = ["plan `pro`", METER, "Stripe has no price with lookup key `shadow_of_nobody`"];
    refuses(&site, &by_key.replace(&quoted(&site.shadow), &quoted("shadow_of_nobody")), &words);

    let form = metered(&site.meter, &[("unit_amount", "0"), ("lookup_key", "our_shadow")]);
    let keyed = price(&site.stripe, &form);
    let (customer_of_key, subscription) = site.subscribe(&[&site.base, &keyed]);
    site.import("tenants", &format!("{}{}", super::COLUMNS, tenant("acme", &customer_of_key, &subscription)));
    let by_key = by_key.replace(&quoted(&site.shadow), &quoted("our_shadow"));
    pushes(&site, &by_key, &customer_of_key, "130");
    assert_ne!(site.total(&customer), "130");
}

/// The catalog's meter with another aggregation.
fn aggregated(catalog: &str, aggregation: &str) -> String {
    catalog.replace("aggregation = \"sum\"", &format!("aggregation = \"{aggregation}\""))
}

#[test]
fn a_meter_whose_formula_would_lose_or_mistake_what_is_pushed_is_refused_unless_we_only_look_on() {
    let (site, _) = site(Engine::Sqlite);
    let formula = |word| ("default_aggregation[formula]", word);
    let mut last_catalog = String::new();
    for (event_name, special, aggregations, word) in [
        ("counted", formula("count"), &["sum", "count"][..], "sum"),
        ("counted_levels", formula("count"), &["max", "last"], "last"),
        ("the_last", formula("last"), &["sum", "count"], "sum"),
        ("added_up", formula("sum"), &["max", "last"], "last"),
        ("by_the_hour", ("event_time_window", "hour"), &["sum", "count"], "sum"),
        ("by_the_day", ("event_time_window", "day"), &["max", "last"], "last"),
    ] {
        let bad = meter(&site.stripe, event_name, &[special]);
        let shadow = price(&site.stripe, &metered(&bad, &[("unit_amount", "0")]));
        let overage = price(&site.stripe, &metered(&bad, &free("100")));
        for aggregation in aggregations {
            let catalog = aggregated(&catalog(event_name, &quoted(&shadow), &quoted(&overage)), aggregation);
            let needed = format!("the formula {word} and no event_time_window");
            let words = ["plan `pro`", METER, event_name, aggregation, &needed, "make another one"];
            refuses(&site, &catalog, &words);
            last_catalog = catalog;
        }
    }
    // Whoever only looks on pushes nothing that could be lost. The tenant's subscription has another price, and is parked.
    site.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    site.import("catalog", &last_catalog);
    site.run(OPEN).expect(3);
}

#[test]
fn a_gauge_is_pushed_to_a_meter_that_shows_the_last() {
    for aggregation in ["max", "last"] {
        let site = Site::new(Engine::Sqlite);
        let last = meter(&site.stripe, "levels", &[("default_aggregation[formula]", "last")]);
        let shadow = price(&site.stripe, &metered(&last, &[("unit_amount", "0")]));
        let overage = price(&site.stripe, &metered(&last, &free("100")));
        let (customer, subscription) = site.subscribe(&[&site.base, &shadow]);
        let levels = aggregated(&catalog("levels", &quoted(&shadow), &quoted(&overage)), aggregation);
        site.import("catalog", &levels);
        site.import("tenants", &format!("{}{}", super::COLUMNS, tenant("acme", &customer, &subscription)));
        site.import("usage", &usage(&[("acme", "130"), ("acme", "7")]));
        let outcome = super::outcome(&site.run(OPEN).expect(0), "2026-10");
        assert_eq!(
            (&outcome["counts"]["pushed"], &outcome["counts"]["pending_after"]),
            (&1.into(), &0.into())
        );
    }
}

#[test]
fn a_meter_that_is_inactive_or_missing_is_refused() {
    let (site, customer) = site(Engine::Sqlite);
    let words = ["plan `pro`", METER, "never_made", "does not exist"];
    refuses(&site, &site.catalog().replace(EVENT, "never_made"), &words);
    let switch = |word: &str| {
        site.stripe.post(&format!("/v1/billing/meters/{}/{word}", site.meter), &[]).ok();
    };
    switch("deactivate");
    refuses(&site, &site.catalog(), &["plan `pro`", METER, EVENT, "is not active"]);
    switch("reactivate");
    pushes(&site, &site.catalog(), &customer, "130");
}
