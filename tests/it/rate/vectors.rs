//! Vectors of Stripe's pricing pages and of captured invoices, each by its name in `facts/stripe.md` §4.
//!
//! In: a price in Stripe's shape and a quantity. Out: the lines and the amount that Stripe put on an invoice. A vector
//! marked [D] stands in Stripe's documentation, [C] was captured, the others follow from those by hand.

use serde_json::{Value, json};

use super::{batch_of, lines_of};

/// `5@500,10@400,inf@300+flat900`: the tiers of a price.
fn tiers(mode: &str, text: &str) -> Value {
    let tier = |part: &str| {
        let (up_to, rest) = part.split_once('@').unwrap();
        let (unit, flat) = rest.split_once("+flat").map_or((rest, None), |(unit, flat)| (unit, Some(flat)));
        let up_to = up_to.parse::<u64>().map_or(Value::Null, Value::from);
        json!({"up_to": up_to, "unit_amount_decimal": unit, "flat_amount_decimal": flat})
    };
    let tiers: Vec<Value> = text.split(',').map(tier).collect();
    json!({"billing_scheme": "tiered", "tiers_mode": mode, "tiers": tiers})
}

fn per_unit(unit: &str) -> Value {
    json!({"billing_scheme": "per_unit", "unit_amount_decimal": unit})
}

fn packages(unit: u64, size: u64, round: &str) -> Value {
    json!({"unit_amount": unit, "transform_quantity": {"divide_by": size, "round": round}})
}

/// The amounts of a price in a currency for some quantities.
#[track_caller]
fn charges(price: &Value, currency: &str, expected: &[(&str, i64)]) {
    let ask = |(quantity, _): &(&str, i64)| {
        json!({"id": quantity, "currency": currency, "price": price, "quantity": quantity}).to_string()
    };
    let answers = batch_of(&expected.iter().map(ask).collect::<Vec<_>>());
    let found: Vec<_> = answers
        .iter()
        .map(|answer| {
            let sum: i64 = lines_of(answer).iter().map(|(_, amount)| amount).sum();
            assert_eq!(answer["amount_minor"], sum, "{answer}");
            (answer["id"].as_str().unwrap(), sum)
        })
        .collect();
    assert_eq!(found, expected, "{price}");
}

#[track_caller]
fn has_lines(price: &Value, currency: &str, quantity: &str, expected: &[(&str, i64)]) {
    let ask = json!({"id": 1, "currency": currency, "price": price, "quantity": quantity}).to_string();
    let lines = lines_of(&batch_of(&[ask])[0]);
    let lines: Vec<_> = lines.iter().map(|(quantity, amount)| (quantity.as_str(), *amount)).collect();
    assert_eq!(lines, expected, "{price}");
}

/// [D] decimal amounts.
#[test]
fn dec_1_a_product_of_one_and_a_half_cents_is_two_cents() {
    has_lines(&per_unit("0.05"), "usd", "30", &[("30", 2)]);
}

/// [D] the old page on tiers.
#[test]
fn pu_1_per_unit() {
    let expected = [("1", 500), ("5", 2_500), ("6", 3_000), ("20", 10_000), ("25", 12_500)];
    charges(&per_unit("500"), "usd", &expected);
}

const OLD: &str = "5@500,10@400,15@300,20@200,inf@100";
const TYPOGRAPHIC: &str = "5@700,10@650,inf@600";

/// [D] the old page on tiers.
#[test]
fn vol_old_the_last_tier_prices_all_units() {
    let expected = [("1", 500), ("5", 2_500), ("6", 2_400), ("20", 4_000), ("25", 2_500)];
    charges(&tiers("volume", OLD), "usd", &expected);
}

/// [D] for 6, derived for the others.
#[test]
fn grad_old_each_tier_prices_its_own_units() {
    let expected = [("5", 2_500), ("6", 2_900), ("20", 7_000), ("25", 7_500)];
    charges(&tiers("graduated", OLD), "usd", &expected);
}

/// [D] tiered pricing.
#[test]
fn vol_typo_the_last_tier_prices_all_units() {
    let expected = [("1", 700), ("5", 3_500), ("6", 3_900), ("20", 12_000), ("25", 15_000)];
    charges(&tiers("volume", TYPOGRAPHIC), "usd", &expected);
}

/// [D] tiered pricing for 5, derived for the others.
#[test]
fn grad_typo_each_tier_prices_its_own_units() {
    let price = tiers("graduated", TYPOGRAPHIC);
    charges(&price, "usd", &[("5", 3_500), ("6", 4_150), ("20", 12_750), ("25", 15_750)]);
    has_lines(&price, "usd", "6", &[("5", 3_500), ("1", 650)]);
}

/// [D] quantity transformation.
#[test]
fn pkg_1_a_package_is_charged_as_it_is_begun() {
    let expected = [("1", 1_000), ("3", 1_000), ("5", 1_000), ("6", 2_000), ("7", 2_000)];
    charges(&packages(1_000, 5, "up"), "usd", &expected);
    charges(&packages(1_000, 5, "down"), "usd", &[("4.999999999999", 0), ("5", 1_000), ("9", 1_000)]);
}

/// [D] transform quantities.
#[test]
fn pkg_2_a_hundred_and_fifty_minutes_are_three_hours() {
    charges(&packages(1_000, 60, "up"), "usd", &[("150", 3_000)]);
}

/// [C] the line shows the raw quantity.
#[test]
fn pkg_3_a_line_has_the_units_and_not_the_packages() {
    has_lines(&packages(2, 3, "up"), "usd", "100", &[("100", 68)]);
}

/// [C] a fee of 0 has a line of its own.
#[test]
fn cap_gitpod_fees_and_a_rounded_tier() {
    let price = tiers("graduated", "1000@0+flat900,inf@3.6+flat0");
    has_lines(&price, "usd", "1031", &[("1000", 0), ("0", 900), ("31", 112), ("0", 0)]);
    charges(&price, "usd", &[("1031", 1_012)]);
}

/// [C] the tax of the captured invoice is none of ours.
#[test]
fn cap_playpost_a_first_fee_is_charged_for_nothing_used() {
    let price = tiers("graduated", "100000@0+flat999,inf@0.02");
    has_lines(&price, "eur", "0", &[("0", 0), ("0", 999)]);
}

/// [C] in a trial the one line is free; what it would cost is its candidate price.
#[test]
fn live_trial_one_unit_of_an_open_tier() {
    has_lines(&tiers("graduated", "inf@1"), "usd", "1", &[("1", 1)]);
}

/// [C] the metered item of a cancelled subscription; the proration of the other item is none of ours.
#[test]
fn live_cancel_a_fee_beside_units_that_cost_nothing() {
    has_lines(&tiers("graduated", "inf@0+flat1000"), "usd", "99", &[("99", 0), ("0", 1_000)]);
}

/// Derived from DEC-1: each line rounds on its own.
#[test]
fn tier_round_two_halves_are_four_and_not_three() {
    let price = tiers("graduated", "30@0.05,inf@0.05");
    has_lines(&price, "usd", "60", &[("30", 2), ("30", 2)]);
    charges(&price, "usd", &[("60", 4)]);
}

/// The overage plan, derived.
#[test]
fn plan_pro_a_hundred_free_and_then_seven_lira() {
    let price = tiers("graduated", "100@0,inf@700");
    let expected = [("0", 0), ("100", 0), ("101", 700), ("130", 21_000), ("250", 105_000)];
    charges(&price, "try", &expected);
    has_lines(&price, "try", "130", &[("100", 0), ("30", 21_000)]);
}

/// The roadmap of the minutes, derived.
#[test]
fn plan_starter_fractions_of_a_cent() {
    let expected = [("1501", 1), ("1525", 30), ("1542", 50), ("1667", 200)];
    charges(&tiers("graduated", "1500@0,inf@1.2"), "usd", &expected);
}

/// The guide of the fleet.
#[test]
fn plan_pkg_three_packages_of_ten() {
    charges(&packages(4_000, 10, "up"), "usd", &[("23", 12_000)]);
}

/// A fraction between two bounds belongs to the next tier, and so does it for the tier that prices all.
#[test]
fn a_fraction_above_a_bound_is_in_the_next_tier() {
    let graduated = tiers("graduated", "5@700,inf@600");
    has_lines(&graduated, "usd", "5.5", &[("5", 3_500), ("0.5", 300)]);
    has_lines(&tiers("volume", "5@700,inf@600"), "usd", "5.5", &[("5.5", 3_300)]);
}

#[test]
fn a_negative_quantity_is_billed_as_nothing() {
    has_lines(&per_unit("500"), "usd", "-7.5", &[("0", 0)]);
}
