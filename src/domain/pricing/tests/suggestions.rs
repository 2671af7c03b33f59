//! The suggestion against witnesses that try everything: each quantity for the break-even, each price for the target.
//!
//! In: random plans, tenants and targets. Out: the same answers.

use super::*;

fn tariff(base_minor: i64, price: &UsagePrice) -> Tariff<'_> {
    Tariff { base_minor, price, currency: lira() }
}

#[test]
fn enterprise_is_cheaper_from_315_requests_on() {
    let (pro, enterprise) = (per_unit(Some("100"), "700"), per_unit(Some("1000"), "500"));
    let (own, next) = (tariff(99_900, &pro), tariff(249_900, &enterprise));
    assert_eq!(cheaper_from(&own, &next), Some(315));
    assert_eq!((own.bill(units("250")), next.bill(units("250"))), (Ok(204_900), Ok(249_900)));
    // Whoever pays less for more is never overtaken; at the same price in the end it takes the whole difference before.
    assert_eq!(cheaper_from(&own, &tariff(9_000_000, &per_unit(Some("1000"), "700"))), None);
    assert_eq!(cheaper_from(&tariff(99_900, &per_unit(Some("100"), "0")), &next), None);
    assert_eq!(
        cheaper_from(&tariff(99_900, &per_unit(None, "0.000001")), &tariff(100_000, &per_unit(None, "0"))),
        Some(100_500_000)
    );
    let capped = per_unit(Some("100"), "700").with_hard_cap("usage").unwrap();
    assert_eq!(cheaper_from(&tariff(99_900, &capped), &next), None);
    assert_eq!(cheaper_from(&tariff(300_000, &pro), &next), Some(0));
}

fn question<'a>(catalog: &'a Catalog, target: &str, step: &str) -> Question<'a> {
    let plan = &catalog.plans[&plan_id("pro")];
    let (target, step) = (units(target), minor(step));
    let price = &plan.usage["calls"];
    Question { plan, meter: "calls", price, catalog, target, step, range: [None, None], at: Vec::new() }
}

fn members<'a>(used: &[u32], price: &'a UsagePrice, fee_minor: i64) -> Vec<Member<'a>> {
    let member = |used: &u32| Member { tenant_id: "t", used: units(&used.to_string()), price, fee_minor };
    used.iter().map(member).collect()
}

fn found(question: &Question<'_>, members: &[Member<'_>]) -> Suggested {
    suggest(question, members).unwrap().outcome.unwrap()
}

#[test]
fn a_fifth_of_999_with_30_above_the_quota_is_7() {
    let catalog = catalog(&[("pro", 99_900, per_unit(Some("100"), "700"))]);
    let question = question(&catalog, "20", "100");
    let suggested = found(&question, &members(&[120, 140, 3, 0], question.price, 99_900));
    assert_eq!(
        (suggested.exact.to_string().as_str(), suggested.anchored.unit_amount),
        ("6.66", minor("700"))
    );
}

#[test]
fn a_half_of_a_step_goes_up_and_a_tenant_at_the_quota_exceeds_by_nothing() {
    // 1.00 x 25 % / 10 is two and a half minor units; with one more tenant at the quota the mean halves.
    let catalog = catalog(&[("pro", 100, per_unit(Some("10"), "1"))]);
    let question = question(&catalog, "25", "1");
    let price = |used: &[u32]| found(&question, &members(used, question.price, 100)).anchored.unit_amount;
    assert_eq!((price(&[20]), price(&[20, 10]), price(&[20, 9])), (minor("3"), minor("5"), minor("3")));
}

#[test]
fn a_year_is_twelve_months_and_packages_are_what_is_charged() {
    let transform = Some(Transform { divide_by: 10, round: Round::Up });
    let by_ten = Price::PerUnit { unit_amount: minor("4000"), transform };
    let catalog = catalog(&[("pro", 120_000, usage(PushScope::Overage, Some("5"), by_ten))]);
    let question = question(&catalog, "10", "1");
    // 6 and 21 above: 1 and 3 packages.
    let suggestion = suggest(&question, &members(&[11, 26, 2], question.price, 120_000)).unwrap();
    assert_eq!((suggestion.overage.to_string().as_str(), suggestion.exceeding), ("4", 2));
    assert_eq!(suggestion.outcome.unwrap().exact.to_string(), "60");
    assert_eq!(suggestion.monthly_fees.unwrap().to_string(), "360000");
    let mut yearly = question.plan.clone();
    yearly.id.interval = Interval::Year;
    let yearly = Question { plan: &yearly, ..question.clone() };
    let suggestion = suggest(&yearly, &members(&[11], question.price, 100)).unwrap();
    assert_eq!(suggestion.monthly_fees.unwrap().to_string(), "8.333333");
}

fn any_tariff() -> impl Strategy<Value = (i64, UsagePrice)> {
    (0i64..3_000, 0u32..200, 0u32..9, any::<bool>()).prop_map(|(base, quota, amount, tiers)| {
        let (quota, amount) = (quota.to_string(), amount.to_string());
        let price = if tiers && quota != "0" {
            usage(PushScope::All, Some(&quota), graduated(&quota, &amount))
        } else {
            per_unit(Some(&quota), &amount)
        };
        (base, price)
    })
}

proptest! {
    #[test]
    fn the_break_even_is_the_first_quantity_of_all_that_are_tried(own in any_tariff(), next in any_tariff()) {
        let (own, next) = (tariff(own.0, &own.1), tariff(next.0, &next.1));
        let is_cheaper = |used: u64| {
            let used = Quantity::whole(used).unwrap();
            next.bill(used).unwrap() < own.bill(used).unwrap()
        };
        // What is to be caught up is less than 3,000 of base fees and 200 units at 8, by 1 a unit at least and from 200 on.
        prop_assert_eq!(cheaper_from(&own, &next), (0..4_900).find(|used| is_cheaper(*used)));
    }

    #[test]
    fn the_reaching_price_is_the_first_of_all_steps_that_reaches_the_target(
        used in prop::collection::vec(0u32..300, 1..12), quota in 1u32..200, target in 1u32..60, step in 1u32..40,
    ) {
        let catalog = catalog(&[("pro", 2_000, per_unit(Some(&quota.to_string()), "7"))]);
        let question = question(&catalog, &target.to_string(), &step.to_string());
        let members = members(&used, question.price, 2_000);
        let suggestion = suggest(&question, &members).unwrap();
        let over: u64 = used.iter().map(|one| u64::from(one.saturating_sub(quota))).sum();
        let Ok(suggested) = suggestion.outcome else {
            prop_assert_eq!(over, 0);
            return Ok(());
        };
        let fees = 2_000 * used.len() as u64;
        let steps = (1u64..1_000_000).find(|steps| over * steps * u64::from(step) * 100 >= fees * u64::from(target)).unwrap();
        let reaching = suggested.reaching.unwrap();
        prop_assert_eq!(reaching.unit_amount, minor(&(steps * u64::from(step)).to_string()));
        prop_assert!(reaching.share >= Some(Ratio::percent(target)));
        prop_assert_eq!(reaching.revenue.minor, i128::from(over * steps * u64::from(step)));
        // Base x target / mean overage of those at or above the quota, rounded to the step.
        let exceeding = used.iter().filter(|one| **one >= quota).count() as u64;
        let (above, below) = (2_000 * u64::from(target) * exceeding, 100 * over * u64::from(step));
        let nearest = ((2 * above + below) / (2 * below)).max(1);
        prop_assert_eq!(suggested.anchored.unit_amount, minor(&(nearest * u64::from(step)).to_string()));
    }
}
