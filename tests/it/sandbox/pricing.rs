//! What the sandbox puts on an invoice: the captured case and the vectors that Stripe's documentation gives.

use super::{OCTOBER, Served, figures, id, pairs};

/// A new customer with that usage at that price, previewed.
fn preview(sandbox: &Served, price: &[(&str, &str)], usage: &str) -> serde_json::Value {
    let name = format!(
        "requests_{}",
        sandbox.get("/v1/billing/meters?limit=100").ok()["data"].as_array().unwrap().len()
    );
    let meter = sandbox.meter(&name, "sum");
    let (customer, price) = (sandbox.customer(), sandbox.metered_price(&meter, price));
    let subscription = id(&sandbox.subscribe(&customer, &[&price], &[]));
    sandbox.report(&name, &customer, usage, &format!("{name}-1"), OCTOBER).ok();
    sandbox.preview(&subscription)
}

fn tiers<'a>(mode: &'a str, given: &[(&'a str, &'a str)]) -> Vec<(String, String)> {
    let mut form =
        vec![("billing_scheme".to_owned(), "tiered".to_owned()), ("tiers_mode".to_owned(), mode.to_owned())];
    for (place, (up_to, unit)) in given.iter().enumerate() {
        form.push((format!("tiers[{place}][up_to]"), (*up_to).to_owned()));
        form.push((format!("tiers[{place}][unit_amount_decimal]"), (*unit).to_owned()));
    }
    form
}

fn borrowed(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const GITPOD: [(&str, &str); 8] = [
    ("billing_scheme", "tiered"),
    ("tiers_mode", "graduated"),
    ("tiers[0][up_to]", "1000"),
    ("tiers[0][unit_amount]", "0"),
    ("tiers[0][flat_amount]", "900"),
    ("tiers[1][up_to]", "inf"),
    ("tiers[1][unit_amount_decimal]", "3.6"),
    ("tiers[1][flat_amount]", "0"),
];

#[test]
fn the_captured_invoice_has_a_line_per_tier_and_one_per_flat_fee() {
    let sandbox = Served::new();
    let invoice = preview(&sandbox, &GITPOD, "1031");
    assert_eq!(figures(&invoice), pairs(&[("1000", 0), ("0", 900), ("31", 112), ("0", 0)]));
    assert_eq!(invoice["subtotal"], 1012);
    assert_eq!(invoice["lines"]["data"][2]["quantity"], 31);
    // A tier that ends exactly at the usage is not left.
    let invoice = preview(&sandbox, &GITPOD, "1000");
    assert_eq!(figures(&invoice), pairs(&[("1000", 0), ("0", 900)]));
}

#[test]
fn no_usage_still_has_a_line_and_the_first_tiers_flat_fee() {
    let sandbox = Served::new();
    let price = [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("tiers[0][up_to]", "100000"),
        ("tiers[0][flat_amount]", "999"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount_decimal]", "0.02"),
    ];
    let invoice = preview(&sandbox, &price, "0");
    assert_eq!(figures(&invoice), pairs(&[("0", 0), ("0", 999)]));
    // A correction below zero counts as nothing.
    assert_eq!(figures(&preview(&sandbox, &price, "-5")), pairs(&[("0", 0), ("0", 999)]));
}

#[test]
fn a_line_is_rounded_after_it_is_multiplied_and_before_it_is_added() {
    let sandbox = Served::new();
    let cent_fraction = [("unit_amount_decimal", "0.05")];
    assert_eq!(figures(&preview(&sandbox, &cent_fraction, "30")), pairs(&[("30", 2)]));
    // A half is rounded up, whether its neighbour is even or odd.
    for (usage, amount) in [("10", 1), ("30", 2), ("50", 3), ("9", 0)] {
        assert_eq!(figures(&preview(&sandbox, &cent_fraction, usage)), pairs(&[(usage, amount)]));
    }
    let two_tiers = tiers("graduated", &[("30", "0.05"), ("inf", "0.05")]);
    let invoice = preview(&sandbox, &borrowed(&two_tiers), "60");
    assert_eq!(figures(&invoice), pairs(&[("30", 2), ("30", 2)]));
    assert_eq!(invoice["subtotal"], 4);
}

#[test]
fn a_per_unit_price_gives_one_line() {
    let sandbox = Served::new();
    for (usage, amount) in [("1", 500), ("5", 2500), ("6", 3000), ("20", 10_000), ("25", 12_500)] {
        let invoice = preview(&sandbox, &[("unit_amount", "500")], usage);
        assert_eq!(figures(&invoice), pairs(&[(usage, amount)]));
    }
    let fraction = preview(&sandbox, &[("unit_amount", "500")], "2.5");
    assert_eq!(figures(&fraction), pairs(&[("2.5", 1250)]));
    assert_eq!(fraction["lines"]["data"][0]["quantity"], 2);
}

/// Mode, tiers, and what each usage costs.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, i64)]);

#[test]
fn graduated_and_volume_tiers_give_what_the_documentation_says() {
    let sandbox = Served::new();
    let old = [("5", "500"), ("10", "400"), ("15", "300"), ("20", "200"), ("inf", "100")];
    let new = [("5", "700"), ("10", "650"), ("inf", "600")];
    let plan_pro = [("100", "0"), ("inf", "700")];
    let starter = [("1500", "0"), ("inf", "1.2")];
    let cases: [Case; 6] = [
        ("volume", &old, &[("1", 500), ("5", 2500), ("6", 2400), ("20", 4000), ("25", 2500)]),
        ("graduated", &old, &[("5", 2500), ("6", 2900), ("20", 7000), ("25", 7500)]),
        ("volume", &new, &[("1", 700), ("5", 3500), ("6", 3900), ("20", 12_000), ("25", 15_000)]),
        ("graduated", &new, &[("5", 3500), ("6", 4150), ("20", 12_750), ("25", 15_750)]),
        ("graduated", &plan_pro, &[("0", 0), ("100", 0), ("101", 700), ("130", 21_000), ("250", 105_000)]),
        ("graduated", &starter, &[("1501", 1), ("1525", 30), ("1542", 50), ("1667", 200)]),
    ];
    for (mode, given, expected) in cases {
        let form = tiers(mode, given);
        for (usage, subtotal) in expected {
            let invoice = preview(&sandbox, &borrowed(&form), usage);
            assert_eq!(invoice["subtotal"], *subtotal, "{mode} {usage}");
            let used: i64 =
                figures(&invoice).iter().map(|(quantity, _)| quantity.parse::<i64>().unwrap()).sum();
            assert_eq!(used.to_string(), *usage, "the lines add up to the usage");
        }
    }
}

#[test]
fn packages_keep_the_raw_quantity_on_the_line() {
    let sandbox = Served::new();
    let packages = |unit: &'static str, size: &'static str, round: &'static str| {
        [("unit_amount", unit), ("transform_quantity[divide_by]", size), ("transform_quantity[round]", round)]
    };
    for (usage, amount) in [("1", 1000), ("3", 1000), ("5", 1000), ("6", 2000), ("7", 2000)] {
        let invoice = preview(&sandbox, &packages("1000", "5", "up"), usage);
        assert_eq!(figures(&invoice), pairs(&[(usage, amount)]));
    }
    let cases =
        [("1000", "60", "up", "150", 3000), ("2", "3", "up", "100", 68), ("2", "3", "down", "100", 66)];
    for (unit, size, round, usage, amount) in cases {
        assert_eq!(
            figures(&preview(&sandbox, &packages(unit, size, round), usage)),
            pairs(&[(usage, amount)])
        );
    }
}

#[test]
fn two_previews_never_share_an_id_and_every_line_can_be_paged() {
    let sandbox = Served::new();
    let many: Vec<(String, String)> = (1..=12)
        .map(|end| (if end == 12 { "inf".to_owned() } else { end.to_string() }, "1".to_owned()))
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(end, unit)| (end.as_str(), unit.as_str())).collect();
    let first = preview(&sandbox, &borrowed(&tiers("graduated", &many)), "12");
    let subscription = first["parent"]["subscription_details"]["subscription"].as_str().unwrap();
    let second = sandbox.preview(subscription);
    assert!(id(&first).starts_with("upcoming_in_") && id(&second).starts_with("upcoming_in_"));
    assert_ne!(id(&first), id(&second));
    assert_eq!(figures(&second).len(), 10);
    assert_eq!(second["lines"]["has_more"], true);
    let last_shown = id(&second["lines"]["data"][9]);
    assert!(last_shown.starts_with("il_tmp_"), "{last_shown}");
    let url = second["lines"]["url"].as_str().unwrap();
    let rest = sandbox.get(&format!("{url}?limit=100&starting_after={last_shown}")).ok();
    assert_eq!(rest["data"].as_array().unwrap().len(), 2);
    assert_eq!(rest["has_more"], false);
}
