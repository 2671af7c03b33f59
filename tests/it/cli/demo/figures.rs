//! The demo's figures, computed again from its own export with plain integers and the price list as a person reads it.
//!
//! In: the usage files that the demo wrote. Out: what its reports and its words must say. Never the program's arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::played;
use crate::support::csv_rows;

#[test]
fn each_planted_difference_is_told_and_stands_in_its_file_with_its_money() {
    let exceptions = played().rows("2026-09", "exceptions.csv");
    let found: BTreeSet<(&str, &str, &str, &str)> = exceptions
        .iter()
        .map(|row| (&*row["tenant_id"], &*row["kind"], &*row["reason"], &*row["amount"]))
        .collect();
    let expected = [
        ("t007", "excluded", "no_access", ""),
        ("t050", "quarantined", "negative", ""),
        ("t120", "parked", "no_stripe_mapping", ""),
        ("t140", "parked", "unknown_plan", ""),
        ("t225", "parked", "foreign_usage", ""),
        ("t230", "unbillable", "the invoice is final", "200.00"),
    ];
    assert_eq!(found, BTreeSet::from(expected));
    for (tenant, _, reason, _) in expected {
        let told =
            played().stdout().lines().filter(|line| line.contains(tenant) && line.contains(reason)).count();
        assert_eq!(told, 1, "{tenant} {reason}: {}", played().stdout());
    }
    assert_eq!(played().rows("2026-10", "exceptions.csv"), []);
}

#[test]
fn the_differences_with_stripe_are_those_that_were_planted() {
    let used = used("2026-09");
    let sent_before = |until: &str| -> i64 {
        used["t225"].iter().filter(|(at, _)| at.as_str() < until).map(|(_, quantity)| quantity).sum()
    };
    // The application's 900 come on top of what the job had sent until it saw them.
    let (ledger, stripe) = (total(&used, "t225"), sent_before("2026-09-16T06:05:00Z") + 900);
    let late = total(&used, "t230");
    let expected: BTreeMap<&str, (i64, i64, &str)> =
        [("t225", (ledger, stripe, "")), ("t230", (late, late - 40, "late_usage"))].into();
    let rows = played().rows("2026-09", "reconciliation.csv");
    let differing: Vec<_> =
        rows.iter().filter(|row| !["matched", "out_of_scope"].contains(&&*row["class"])).collect();
    assert_eq!(differing.len(), 4, "{differing:?}");
    for row in differing {
        let (ledger, stripe, reason) = expected[&*row["tenant_id"]];
        assert_eq!((&*row["class"], &*row["reason"]), ("quantity_mismatch", reason));
        assert_eq!(
            (row["ledger_quantity"].parse(), row["stripe_quantity"].parse()),
            (Ok(ledger), Ok(stripe))
        );
        if row["source"] == "invoice" {
            let [ledger, stripe] = [ledger, stripe].map(|units| overage(230, units));
            let money = ["ledger_amount_minor", "stripe_amount_minor", "difference_amount_minor"];
            assert_eq!(money.map(|name| row[name].parse()), [Ok(ledger), Ok(stripe), Ok(stripe - ledger)]);
            let money = lira((stripe - ledger).abs());
            let told = format!("{} ledger {}, Stripe's invoice", row["tenant_id"], row["ledger_quantity"]);
            let line = played().stdout().lines().find(|line| line.contains(&told)).unwrap();
            assert!(line.contains(&money), "{line}");
        }
    }
    let october = played().rows("2026-10", "reconciliation.csv");
    let matched = october.iter().filter(|row| row["class"] == "matched").count();
    assert_eq!(matched, 400, "meter and invoice of 200 tenants");
    // Each tenant's fee of the next month, and the first one of t120, which came to Stripe in October.
    assert_eq!(october.len() - matched, 241, "base fees");
}

#[test]
fn every_line_is_the_export_times_the_price() {
    for (month, left_out) in [("2026-09", &["t120", "t140", "t225"][..]), ("2026-10", &[])] {
        let used = used(month);
        let mut expected: BTreeMap<String, i64> = (1..=240)
            .map(|tenant| (format!("t{tenant:03}"), overage(tenant, total(&used, &format!("t{tenant:03}")))))
            .collect();
        expected.retain(|tenant, _| !left_out.contains(&tenant.as_str()));
        let (mut billed, mut fees) = (BTreeMap::new(), BTreeMap::new());
        for row in played().rows(month, "lines.csv") {
            let of_kind = if row["kind"] == "base" { &mut fees } else { &mut billed };
            *of_kind.entry(row["tenant_id"].clone()).or_insert(0) +=
                row["amount_minor"].parse::<i64>().unwrap();
        }
        for (tenant, amount) in &expected {
            assert_eq!(billed.remove(tenant).unwrap_or(0), *amount, "{month} {tenant}");
            let fee = match tenant[1..].parse::<u32>().unwrap() {
                1..=40 => 49_900,
                41..=220 => 99_900,
                _ => 249_900,
            };
            assert_eq!(fees.remove(tenant), Some(fee), "{month} {tenant}");
        }
        assert!(billed.is_empty() && fees.is_empty(), "{billed:?} {fees:?}");
        let of_pro =
            |(tenant, _): &(&String, &i64)| (41..=220).contains(&tenant[1..].parse::<u32>().unwrap());
        let would_be: i64 = expected.iter().filter(of_pro).map(|(_, amount)| amount).sum();
        let charged: i64 = expected.values().sum::<i64>() - would_be;
        let told = played().stdout().replace("\n      ", " ");
        let line = format!(
            "Enterprise overage {}; would-be overage revenue from Pro {}",
            lira(charged),
            lira(would_be)
        );
        assert!(told.contains(&line), "`{line}` is missing in: {told}");
    }
}

#[test]
fn october_is_go_by_the_numbers_of_its_export() {
    let used = used("2026-10");
    let pro: Vec<i64> = (41..=220).map(|tenant| total(&used, &format!("t{tenant:03}"))).collect();
    let at_quota = pro.iter().filter(|units| **units >= 100).count();
    assert!((18..54).contains(&at_quota), "10 to 30 % of 180, not {at_quota}");
    assert!(pro.iter().sum::<i64>() > 50 * 180);
    let decision = played().rows("2026-10", "decision.csv");
    let row = decision.iter().find(|row| row["metric"] == "tenants_at_100").unwrap();
    assert_eq!((row["value"].parse(), &*row["population"]), (Ok(at_quota), "180"));
    assert!(decision.iter().all(|row| row["passed"] != "false"), "{decision:?}");
}

/// Units by tenant in an export, in plain integers, without lines below zero; and the time of each.
fn used(month: &str) -> BTreeMap<String, Vec<(String, i64)>> {
    let export = fs::read(played().demo().join(format!("usage-{month}.csv"))).unwrap();
    let mut used: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
    for row in csv_rows(&export) {
        let quantity: i64 = row["quantity"].parse().unwrap();
        if quantity > 0 {
            used.entry(row["tenant_id"].clone()).or_default().push((row["occurred_at"].clone(), quantity));
        }
    }
    used
}

fn total(used: &BTreeMap<String, Vec<(String, i64)>>, tenant_id: &str) -> i64 {
    used.get(tenant_id).map_or(0, |records| records.iter().map(|(_, quantity)| quantity).sum())
}

/// Overage in kuruş, as the price list says.
fn overage(tenant: u32, units: i64) -> i64 {
    match tenant {
        41..=220 => (units - 100).max(0) * 700,
        221..=240 => (units - 1_000).max(0) * 500,
        _ => 0,
    }
}

fn lira(minor: i64) -> String {
    format!("{}.{:02} TRY", minor / 100, minor % 100)
}
