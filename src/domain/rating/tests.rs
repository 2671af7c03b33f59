//! What the rating is held to: every vector of `facts/stripe.md` §4 by its id, and the rules that hold for all prices.
//!
//! In: prices and quantities. Out: failing tests. Amounts are minor units.

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::{Billing, PushScope};
use crate::domain::number::Round;
use crate::domain::price::TiersMode;

fn units(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

fn amount(text: &str) -> UnitAmount {
    UnitAmount::parse(text).unwrap()
}

fn usd() -> Currency {
    Currency::parse("usd").unwrap()
}

/// `bound@unit_amount` or `bound@unit_amount+flat_amount`, separated by blanks.
fn tiered(mode: TiersMode, text: &str) -> Price {
    let tiers = text.split_whitespace().map(|tier| {
        let (bound, amounts) = tier.split_once('@').unwrap();
        let (unit, flat) = amounts.split_once('+').map_or((amounts, None), |(unit, flat)| (unit, Some(flat)));
        let up_to = (bound != "inf").then(|| units(bound));
        Tier { up_to, unit_amount: amount(unit), flat_amount: flat.map(amount) }
    });
    Price::tiered(mode, tiers.collect()).unwrap()
}

fn graduated_price(text: &str) -> Price {
    tiered(TiersMode::Graduated, text)
}

fn volume_price(text: &str) -> Price {
    tiered(TiersMode::Volume, text)
}

fn packages(unit_amount: &str, divide_by: u64, round: Round) -> Price {
    Price::PerUnit { unit_amount: amount(unit_amount), transform: Some(Transform { divide_by, round }) }
}

fn lines(price: &Price, used: &str) -> Vec<(String, i64)> {
    let lines = price.rate(units(used), usd()).unwrap();
    lines.iter().map(|line| (line.quantity.to_string(), line.amount.minor)).collect()
}

fn subtotal(price: &Price, used: &str) -> i64 {
    lines(price, used).iter().map(|(_, minor)| minor).sum()
}

#[track_caller]
fn assert_lines(price: &Price, used: &str, expected: &[(&str, i64)]) {
    let expected: Vec<(String, i64)> =
        expected.iter().map(|(units, minor)| ((*units).to_owned(), *minor)).collect();
    assert_eq!(lines(price, used), expected);
}

#[track_caller]
fn assert_subtotals(price: &Price, cases: &[(&str, i64)]) {
    for (used, minor) in cases {
        assert_eq!(subtotal(price, used), *minor, "{used}");
    }
}

/// DEC-1: docs.stripe.com, decimal amounts.
#[test]
fn dec_1_thirty_units_of_a_twentieth_of_a_cent_cost_two_cents() {
    assert_lines(&Price::per_unit(amount("0.05")), "30", &[("30", 2)]);
}

/// PU-1: docs.stripe.com, old tiers page.
#[test]
fn pu_1_a_per_unit_price_multiplies() {
    let cases = [("1", 500), ("5", 2500), ("6", 3000), ("20", 10_000), ("25", 12_500)];
    assert_subtotals(&Price::per_unit(amount("500")), &cases);
}

const OLD: &str = "5@500 10@400 15@300 20@200 inf@100";

/// VOL-OLD: docs.stripe.com, old tiers page.
#[test]
fn vol_old_the_tier_of_the_total_prices_all_units() {
    assert_subtotals(&volume_price(OLD), &[("1", 500), ("5", 2500), ("6", 2400), ("20", 4000), ("25", 2500)]);
}

/// GRAD-OLD: 6 from docs.stripe.com, the others derived.
#[test]
fn grad_old_each_tier_prices_the_units_in_it() {
    assert_subtotals(&graduated_price(OLD), &[("5", 2500), ("6", 2900), ("20", 7000), ("25", 7500)]);
}

const TYPOGRAPHIC: &str = "5@700 10@650 inf@600";

/// VOL-TYPO: docs.stripe.com, tiered pricing.
#[test]
fn vol_typo_volume_as_on_the_tiered_pricing_page() {
    let cases = [("1", 700), ("5", 3500), ("6", 3900), ("20", 12_000), ("25", 15_000)];
    assert_subtotals(&volume_price(TYPOGRAPHIC), &cases);
}

/// GRAD-TYPO: 5 and the lines of 6 from docs.stripe.com, the others derived.
#[test]
fn grad_typo_graduated_as_on_the_tiered_pricing_page() {
    let price = graduated_price(TYPOGRAPHIC);
    assert_lines(&price, "6", &[("5", 3500), ("1", 650)]);
    assert_subtotals(&price, &[("5", 3500), ("6", 4150), ("20", 12_750), ("25", 15_750)]);
}

/// PKG-1: docs.stripe.com, quantity transformation.
#[test]
fn pkg_1_a_package_that_is_begun_is_charged() {
    let cases = [("1", 1000), ("3", 1000), ("5", 1000), ("6", 2000), ("7", 2000)];
    assert_subtotals(&packages("1000", 5, Round::Up), &cases);
}

/// PKG-2: docs.stripe.com, transform quantities.
#[test]
fn pkg_2_an_hour_that_is_begun_is_charged() {
    assert_subtotals(&packages("1000", 60, Round::Up), &[("150", 3000)]);
}

/// PKG-3: captured by tierrun; the line shows the raw quantity.
#[test]
fn pkg_3_a_line_of_packages_shows_the_units_that_were_used() {
    assert_lines(&packages("2", 3, Round::Up), "100", &[("100", 68)]);
    assert_lines(&packages("2", 3, Round::Down), "100", &[("100", 66)]);
}

/// CAP-GITPOD: captured. A fee of 0 has a line; 31 x 3.6 = 111.6 is 112.
#[test]
fn cap_gitpod_each_tier_has_a_usage_line_and_a_fee_line() {
    let price = graduated_price("1000@0+900 inf@3.6+0");
    assert_lines(&price, "1031", &[("1000", 0), ("0", 900), ("31", 112), ("0", 0)]);
}

/// CAP-PLAYPOST: captured, tax left out.
#[test]
fn cap_playpost_the_first_tiers_fee_is_charged_for_nothing_used() {
    let price = graduated_price("100000@0+999 inf@0.02");
    assert_lines(&price, "0", &[("0", 0), ("0", 999)]);
    assert_lines(&volume_price("100000@0+999 inf@0.02"), "0", &[("0", 0), ("0", 999)]);
}

/// TIER-ROUND: derived; 2 + 2, not round(3).
#[test]
fn tier_round_each_tier_is_rounded_on_its_own() {
    assert_lines(&graduated_price("30@0.05 inf@0.05"), "60", &[("30", 2), ("30", 2)]);
}

/// PLAN-PRO: the overage plan, derived.
#[test]
fn plan_pro_a_hundred_requests_are_free_and_each_further_one_costs_seven_lira() {
    let pro = graduated_price("100@0 inf@700");
    assert_lines(&pro, "0", &[("0", 0)]);
    assert_lines(&pro, "100", &[("100", 0)]);
    assert_lines(&pro, "101", &[("100", 0), ("1", 700)]);
    assert_lines(&pro, "130", &[("100", 0), ("30", 21_000)]);
    assert_lines(&pro, "250", &[("100", 0), ("150", 105_000)]);
}

/// PLAN-STARTER: the minutes roadmap, derived.
#[test]
fn plan_starter_sub_cent_prices_are_rounded_per_line() {
    let cases = [("1501", 1), ("1525", 30), ("1542", 50), ("1667", 200)];
    assert_subtotals(&graduated_price("1500@0 inf@1.2"), &cases);
}

/// PLAN-PKG: the guide for fleets of devices.
#[test]
fn plan_pkg_twenty_three_devices_are_three_packages_of_ten() {
    assert_subtotals(&packages("4000", 10, Round::Up), &[("23", 12_000)]);
}

#[test]
fn a_fraction_between_two_tier_bounds_belongs_to_the_next_tier() {
    assert_lines(&graduated_price("1@100 inf@200"), "1.5", &[("1", 100), ("0.5", 100)]);
    assert_lines(&volume_price("10@100 inf@200"), "10", &[("10", 1000)]);
    assert_lines(&volume_price("10@100 inf@200"), "10.000000000001", &[("10.000000000001", 2000)]);
}

#[test]
fn a_negative_total_is_billed_as_nothing() {
    for price in [Price::per_unit(amount("5")), graduated_price("10@1+3 inf@2"), packages("7", 10, Round::Up)]
    {
        assert_eq!(lines(&price, "-12.5"), lines(&price, "0"));
    }
}

#[test]
fn an_amount_beyond_64_bits_is_an_error() {
    let absurd = Price::per_unit(amount("999999999999999"));
    assert!(absurd.rate(units("999999999999999"), usd()).is_err());
}

fn with_quota(push: PushScope, quota: Option<&str>, price: Price) -> UsagePrice {
    UsagePrice::new(Billing::Shadow, push, quota.map(units), price, "usage").unwrap()
}

#[test]
fn packages_begin_where_the_quota_ends() {
    let price = with_quota(PushScope::Overage, Some("5"), packages("400", 10, Round::Up));
    let rated = |used: &str| -> Vec<(String, String, i64)> {
        let lines = price.rate(units(used), usd()).unwrap();
        let text = |line: &RatedLine| {
            (line.quantity.to_string(), line.priced_quantity.to_string(), line.amount.minor)
        };
        lines.iter().map(text).collect()
    };
    assert_eq!(rated("5"), [("5".into(), "5".into(), 0)]);
    assert_eq!(rated("16"), [("5".into(), "5".into(), 0), ("11".into(), "2".into(), 800)]);
}

#[test]
fn a_hard_cap_bills_nothing_above_the_quota_and_says_how_much_that_was() {
    let capped =
        with_quota(PushScope::All, Some("200"), Price::per_unit(amount("5"))).with_hard_cap("usage").unwrap();
    let lines = capped.rate(units("250"), usd()).unwrap();
    assert_eq!(lines.iter().map(|line| line.quantity.to_string()).collect::<Vec<_>>(), ["200"]);
    assert_eq!(lines.iter().map(|line| line.amount.minor).sum::<i64>(), 0);
    let split = capped.split(units("250")).unwrap();
    assert_eq!((split.free, split.billed, split.capped), (units("200"), Quantity::ZERO, units("50")));
}

/// Ascending whole bounds with unit amounts and fees, as they are written in the catalog.
fn any_tiers() -> impl Strategy<Value = Vec<Tier>> {
    let amounts = (0u64..3_000_000_000, prop::option::of(0u64..200_000_000));
    (prop::collection::btree_set(1u64..5_000, 0..6), prop::collection::vec(amounts, 7)).prop_map(
        |(bounds, amounts)| {
            let bounds = bounds.into_iter().map(|bound| Some(Quantity::whole(bound).unwrap())).chain([None]);
            // Millionths of a minor unit.
            let millionths =
                |number: u64| amount(&format!("{}.{:06}", number / 1_000_000, number % 1_000_000));
            let tier = |(up_to, (unit, flat)): (Option<Quantity>, (u64, Option<u64>))| Tier {
                up_to,
                unit_amount: millionths(unit),
                flat_amount: flat.map(millionths),
            };
            bounds.zip(amounts).map(tier).collect()
        },
    )
}

fn any_quantity() -> impl Strategy<Value = Quantity> {
    (0u64..8_000, 0u64..1_000_000).prop_map(|(whole, millionths)| units(&format!("{whole}.{millionths:06}")))
}

fn exact(price: &Price, used: Quantity) -> ExactAmount {
    let lines = price.rate(used, usd()).unwrap();
    lines.iter().try_fold(ExactAmount::ZERO, |sum, line| sum.checked_add(line.exact)).unwrap()
}

fn minor(price: &Price, used: Quantity) -> i64 {
    price.rate(used, usd()).unwrap().iter().map(|line| line.amount.minor).sum()
}

proptest! {
    #[test]
    fn no_unit_is_lost_between_the_tiers(tiers in any_tiers(), used in any_quantity()) {
        for mode in [TiersMode::Graduated, TiersMode::Volume] {
            let lines = Price::tiered(mode, tiers.clone()).unwrap().rate(used, usd()).unwrap();
            let sum = lines.iter().try_fold(Quantity::ZERO, |sum, line| sum.checked_add(line.quantity)).unwrap();
            prop_assert_eq!(sum, used);
        }
    }

    #[test]
    fn graduated_amounts_never_fall_as_usage_grows(tiers in any_tiers(), used in any_quantity(), more in any_quantity()) {
        let price = Price::Graduated(tiers);
        let greater = used.checked_add(more).unwrap();
        prop_assert!(exact(&price, used) <= exact(&price, greater));
        prop_assert!(minor(&price, used) <= minor(&price, greater));
    }

    #[test]
    fn a_tiers_edge_is_no_jump_but_for_the_fee_of_the_next_tier(tiers in any_tiers()) {
        let price = Price::Graduated(tiers.clone());
        let step = units("0.000000000001");
        for (tier, next) in tiers.iter().zip(&tiers[1..]) {
            let edge = tier.up_to.unwrap();
            let fee = next.flat_amount.map_or(ExactAmount::ZERO, |fee| Quantity::whole(1).unwrap().times(fee));
            let jump = exact(&price, edge).checked_add(step.times(next.unit_amount)).and_then(|one| one.checked_add(fee)).unwrap();
            prop_assert_eq!(exact(&price, edge.checked_add(step).unwrap()), jump);
        }
    }

    #[test]
    fn whole_units_priced_one_by_one_come_to_the_same(tiers in any_tiers(), used in 0u64..6_000) {
        let price = Price::Graduated(tiers.clone());
        let mut one_by_one = ExactAmount::ZERO;
        let mut add = |quantity: Quantity, at: UnitAmount| one_by_one = one_by_one.checked_add(quantity.times(at)).unwrap();
        let one = Quantity::whole(1).unwrap();
        let mut fees = 0;
        for number in 1..=used {
            let unit = Quantity::whole(number).unwrap();
            let index = tiers.iter().position(|tier| tier.up_to.is_none_or(|up_to| unit <= up_to)).unwrap();
            add(one, tiers[index].unit_amount);
            fees = fees.max(index);
        }
        for tier in &tiers[..=fees] {
            add(one, tier.flat_amount.unwrap_or_default());
        }
        prop_assert_eq!(exact(&price, Quantity::whole(used).unwrap()), one_by_one);
    }

    #[test]
    fn the_short_form_of_a_quota_is_the_graduated_price(quota in 1u64..5_000, used in any_quantity(), hundredths in 0u64..100_000) {
        let unit_amount = amount(&format!("{}.{:02}", hundredths / 100, hundredths % 100));
        let quota = Quantity::whole(quota).unwrap();
        let short = UsagePrice::new(Billing::Shadow, PushScope::All, Some(quota), Price::per_unit(unit_amount), "usage").unwrap();
        let tiers = vec![Tier::new(Some(quota), UnitAmount::ZERO), Tier::new(None, unit_amount)];
        let long = UsagePrice::new(Billing::Shadow, PushScope::All, Some(quota), Price::Graduated(tiers), "usage");
        // A price of 0 after the quota is no tier of its own to the eye, but it is one on the invoice.
        prop_assert_eq!(short.rate(used, usd()).unwrap(), long.unwrap().rate(used, usd()).unwrap());
        prop_assert_eq!(short.at_stripe().rate(used, usd()).unwrap(), short.rate(used, usd()).unwrap());
    }

    #[test]
    fn free_billed_and_capped_units_add_up_to_what_was_used(quota in 0u64..5_000, used in any_quantity(), cap: bool) {
        let quota = Quantity::whole(quota).unwrap();
        let price = UsagePrice::new(Billing::Shadow, PushScope::All, Some(quota), Price::per_unit(amount("3.6")), "usage").unwrap();
        let price = UsagePrice { hard_cap: cap, ..price };
        let split = price.split(used).unwrap();
        let sum = split.free.checked_add(split.billed).and_then(|sum| sum.checked_add(split.capped)).unwrap();
        prop_assert_eq!(sum, used);
        prop_assert!(split.free <= quota && (!cap || split.billed.is_zero()));
        let lines = price.rate(used, usd()).unwrap();
        let on_lines = lines.iter().try_fold(Quantity::ZERO, |sum, line| sum.checked_add(line.quantity)).unwrap();
        prop_assert_eq!(on_lines, split.free.checked_add(split.billed).unwrap());
    }
}
