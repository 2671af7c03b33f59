//! Closed windows priced again: at their own price they come to their own lines, whatever the layout.
//!
//! In: random prices and usage in whole, partial, mixed and trial windows. Out: the closed amounts, and sums that tie.

use super::*;

fn october() -> Period {
    Period::parse("2026-10").unwrap()
}

/// On a plan from a day of October on.
fn row(plan: &str, from: u8, to: Option<u8>, trial_end: Option<u8>) -> Subscription {
    let at = |day: u8| format!("2026-10-{day:02}T00:00:00Z").parse().unwrap();
    Subscription {
        tenant_id: "acme".into(),
        name: "Acme".into(),
        plan: plan_id(plan),
        stripe_customer_id: String::new(),
        stripe_subscription_id: String::new(),
        status: if to.is_some() { SubscriptionStatus::Canceled } else { SubscriptionStatus::Active },
        billing_anchor: None,
        trial_end: trial_end.map(at),
        started_at: Some(at(from)),
        ended_at: to.map(at),
    }
}

fn layout(kind: u8) -> Tenant {
    let rows = match kind {
        0 => vec![row("pro", 1, None, None)],
        1 => vec![row("pro", 11, None, None)],
        2 => vec![row("pro", 1, Some(12), None), row("top", 12, None, None)],
        3 => vec![row("pro", 1, None, Some(15))],
        _ => vec![row("top", 1, Some(9), None), row("pro", 9, Some(20), None)],
    };
    Tenant::new("acme".into(), rows).unwrap()
}

/// Each stretch of each window uses the same.
fn closed(tenant: &Tenant, catalog: &Catalog, used: Quantity) -> Vec<WindowFigures> {
    let total = UsageTotal { records: 1, quantity: QuantitySum::from(used) };
    let by_meter =
        || BTreeMap::from([("calls".to_owned(), MeterUsage { billable: total, ..MeterUsage::default() })]);
    let windows = tenant.windows(october(), &TimeZone::UTC);
    let ranges =
        windows.iter().flat_map(|one| one.segments.iter().map(|part| part.range).chain(one.gaps.clone()));
    let totals: LedgerTotals =
        ranges.map(|range| (range, BTreeMap::from([("acme".to_owned(), by_meter())]))).collect();
    let with_plan = windows.iter().filter(|one| !one.segments.is_empty());
    with_plan.map(|one| WindowFigures::new(one, (catalog, "v1"), &totals, WindowStatus::Closed)).collect()
}

fn lines_of(figures: &WindowFigures, plan: &PlanId) -> i64 {
    let of_plan = figures.lines.iter().filter(|line| line.plan == *plan && line.meter == "calls");
    of_plan.map(|line| line.line.amount.minor).sum()
}

fn any_price() -> impl Strategy<Value = UsagePrice> {
    let amount = (0u32..90_000).prop_map(|tenths| minor(&format!("{}.{}", tenths / 10, tenths % 10)));
    (0u8..6, amount, 1u32..300).prop_map(|(kind, unit_amount, quota)| {
        let quota = quota.to_string();
        let per_unit = Price::per_unit(unit_amount);
        let transform = Some(Transform { divide_by: 10, round: Round::Up });
        let fee = Tier { flat_amount: Some(minor("99")), ..Tier::new(Some(units(&quota)), unit_amount) };
        let tiers = vec![fee, Tier::new(None, minor("0.4"))];
        match kind {
            0 => usage(PushScope::All, Some(&quota), per_unit),
            1 => usage(PushScope::Overage, Some(&quota), per_unit).with_prorated_quota("usage").unwrap(),
            2 => usage(PushScope::Overage, Some(&quota), Price::PerUnit { unit_amount, transform }),
            3 => usage(PushScope::All, None, Price::tiered(TiersMode::Volume, tiers).unwrap()),
            4 => usage(PushScope::All, None, Price::tiered(TiersMode::Graduated, tiers).unwrap()),
            _ => usage(PushScope::All, Some(&quota), per_unit).with_hard_cap("usage").unwrap(),
        }
    })
}

const SELECTION: Selection<'_> = Selection { plan: "pro", meter: "calls", currency: None, interval: None };

proptest! {
    #[test]
    fn at_its_own_price_a_window_comes_to_its_closed_lines(
        price in any_price(), kind in 0u8..5, tenths in 0u32..9_000, live in any::<bool>(),
    ) {
        let billing = if live { Billing::Live } else { Billing::Shadow };
        let own = UsagePrice { billing, ..price };
        let catalog = catalog(&[("pro", 99_900, own.clone()), ("top", 250_000, per_unit(Some("50"), "3"))]);
        let tenant = layout(kind);
        let windows = closed(&tenant, &catalog, units(&format!("{}.{}", tenths / 10, tenths % 10)));
        let pro = plan_id("pro");
        let mut fleet = Fleet::default();
        for figures in &windows {
            prop_assert_eq!(figures.status, WindowStatus::Closed);
            prop_assert_eq!(usage_amount(figures, (&pro, "calls"), &own).unwrap().minor, lines_of(figures, &pro));
            fleet.add(&SELECTION, (october(), figures), Some(&catalog)).unwrap();
        }
        let shock = Shock::new(units("25")).unwrap();
        let lines: i64 = windows.iter().map(|one| lines_of(one, &pro)).sum();
        for (offer, expected) in [(Offer::Catalog, lines), (Offer::InForce, if live { lines } else { 0 })] {
            let simulated = simulate(&fleet, &offer, shock).unwrap();
            prop_assert_eq!(revenue(&fleet, &simulated).unwrap()[&lira()].minor, i128::from(expected));
            for (bill, one) in fleet.bills.iter().zip(&simulated) {
                prop_assert_eq!(one.bill_minor - bill.in_force_minor, one.change_minor);
                prop_assert_eq!(one.change_minor, one.usage_minor - bill.usage_in_force_minor);
            }
        }
        prop_assert_eq!(fleet.left_out.trials, u64::from(kind == 3));
    }
}

#[test]
fn only_a_window_on_one_plan_is_held_against_the_next() {
    let catalog =
        catalog(&[("pro", 99_900, per_unit(Some("100"), "700")), ("top", 250_000, per_unit(None, "1"))]);
    let next = |kind: u8| {
        let tenant = layout(kind);
        let windows = closed(&tenant, &catalog, units("130"));
        let mut fleet = Fleet::default();
        for figures in &windows {
            fleet.add(&SELECTION, (october(), figures), Some(&catalog)).unwrap();
        }
        fleet.bills.iter().map(|bill| bill.next_plan_minor).collect::<Vec<_>>()
    };
    assert_eq!((next(0), next(1)), (vec![Some(250_130)], vec![Some(250_130)]));
    assert_eq!((next(2), next(4)), (vec![None], vec![None]));
}

#[test]
fn what_cannot_be_priced_is_counted() {
    let catalog = catalog(&[("pro", 99_900, per_unit(Some("100"), "700"))]);
    let (paid, trial) = (layout(0), layout(3));
    let mut windows = closed(&paid, &catalog, units("130"));
    windows.extend(closed(&trial, &catalog, units("130")).into_iter().filter(|one| one.trial));
    let mut parked = windows[0].clone();
    parked.set_aside(crate::domain::tenant::ParkReason::Overflow);
    let without_layout = WindowFigures { stretches: Vec::new(), ..windows[0].clone() };
    let mut fleet = Fleet::default();
    for figures in windows.iter().chain([&parked, &without_layout]) {
        fleet.add(&SELECTION, (october(), figures), Some(&catalog)).unwrap();
    }
    fleet.add(&SELECTION, (october(), &windows[0]), None).unwrap();
    let others = Selection { plan: "other", ..SELECTION };
    fleet.add(&others, (october(), &windows[0]), Some(&catalog)).unwrap();
    assert_eq!((fleet.bills.len(), fleet.left_out), (1, LeftOut { trials: 1, parked: 1, unknown: 2 }));
}

proptest! {
    #[test]
    fn a_shock_is_a_growth_above_the_percentage_exactly(
        hundreds in 0i64..8, used in 0u32..40, quarters in 0u32..12,
    ) {
        // So round that many grow by the percentage itself.
        let (before, percent) = (100 * hundreds, 25 * quarters);
        let catalog = catalog(&[("pro", before, per_unit(None, "25"))]);
        let tenant = layout(0);
        let windows = closed(&tenant, &catalog, units(&used.to_string()));
        let mut fleet = Fleet::default();
        fleet.add(&SELECTION, (october(), &windows[0]), Some(&catalog)).unwrap();
        let shock = Shock::new(units(&percent.to_string())).unwrap();
        let simulated: Vec<Simulated> = simulate(&fleet, &Offer::Catalog, shock).unwrap();
        let change = i64::from(used) * 25;
        let growth = Ratio::new(change.into(), u128::try_from(before).unwrap());
        let is_shock = growth.map_or(change > 0, |growth| growth > Ratio::percent(percent));
        prop_assert_eq!(simulated[0].is_shock, is_shock);
        prop_assert_eq!(shocks(&fleet, &simulated, lira()), if is_shock { vec![0] } else { vec![] });
    }
}
