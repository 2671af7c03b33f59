//! `decision.csv` redone from `lines.csv` by plain sums and counts, as docs/verdict.md tells a reader with a spreadsheet.
//!
//! In: `lines.csv` of closed months. Out: the metrics, compared with those of the job. Nothing of the job's own arithmetic is
//! used: numbers are whole 10⁻¹²ths, fractions are numerator and denominator.

use std::collections::BTreeMap;

use super::{CATALOG, Row, TENANTS, USAGE, close_september, table, used};
use crate::support::{Engine, Workspace};

const ONE: i128 = 1_000_000_000_000;
const PLAN: &str = "pro";
const METER: &str = "b2b.match_request";

fn decimal(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}").parse().unwrap()
}

/// The text of a fraction as decision.csv has it: all digits where they end, else six places.
fn shown(numerator: i128, denominator: i128) -> String {
    if denominator == 0 {
        return "n/a".to_owned();
    }
    let mut rest = denominator / gcd(numerator, denominator);
    while rest % 2 == 0 {
        rest /= 2;
    }
    while rest % 5 == 0 {
        rest /= 5;
    }
    let places = if rest == 1 { 24 } else { 6 };
    let scale = 10i128.pow(places);
    let (whole, part) = (numerator / denominator, numerator % denominator);
    let digits = if rest == 1 {
        part * scale / denominator
    } else {
        (part * scale * 2 + denominator) / (denominator * 2)
    };
    let text = format!("{}.{:0width$}", whole + digits / scale, digits % scale, width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn gcd(one: i128, other: i128) -> i128 {
    if other == 0 { one.max(1) } else { gcd(other, one % other) }
}

/// The sheet `tenants` of the page: one row a tenant with a base line on the plan that is counted.
#[derive(Default)]
struct Tenant {
    used: i128,
    quota: i128,
    overage_minor: i128,
    own_bill: i128,
    next_bill: Option<i128>,
}

fn tenants(lines: &[Row]) -> Vec<Tenant> {
    let counted: Vec<&Row> = lines.iter().filter(|row| row["counted"] == "yes").collect();
    let of_plan = counted.iter().filter(|row| row["plan"] == PLAN && row["kind"] == "base");
    let quotas = counted.iter().filter(|row| row["plan"] == PLAN && row["meter"] == METER);
    let usual = quotas.map(|row| decimal(&row["free_quota"])).max().unwrap_or_default();
    let mut sheet: BTreeMap<&str, Tenant> = of_plan
        .map(|row| (row["tenant_id"].as_str(), Tenant { quota: usual, ..Tenant::default() }))
        .collect();
    for row in counted {
        let Some(tenant) = sheet.get_mut(row["tenant_id"].as_str()) else { continue };
        let minor: i128 = row["amount_minor"].parse().unwrap();
        tenant.own_bill += minor;
        if row["meter"] == METER {
            tenant.overage_minor += minor;
            tenant.quota = decimal(&row["free_quota"]);
            tenant.next_bill = row["next_plan_amount_minor"].parse().ok();
            tenant.used += if row["kind"] == "usage" { decimal(&row["quantity"]) } else { 0 };
        }
    }
    sheet.into_values().collect()
}

fn metrics(lines: &[Row]) -> BTreeMap<&'static str, String> {
    let all = tenants(lines);
    let count = all.len() as i128;
    let mut used: Vec<i128> = all.iter().map(|one| one.used).collect();
    used.sort_unstable();
    let at = |percent: i128| all.iter().filter(|one| one.used * 100 >= one.quota * percent).count() as i128;
    let linear = |percent: i128| {
        let position = (count - 1) * percent;
        let below = used[usize::try_from(position / 100).unwrap()];
        let above = used[usize::try_from((position + 99) / 100).unwrap()];
        shown(below * 100 + (above - below) * (position % 100), 100 * ONE)
    };
    let rank = |percent: i128| shown(used[usize::try_from((count * percent + 99) / 100 - 1).unwrap()], ONE);
    let exceeding: Vec<&Tenant> = all.iter().filter(|one| one.used >= one.quota).collect();
    let above: i128 = exceeding.iter().map(|one| one.used - one.quota).sum();
    let overage: i128 = all.iter().map(|one| one.overage_minor).sum();
    let candidates: Vec<i128> =
        all.iter().filter_map(|one| Some(one.own_bill - one.next_bill?)).filter(|saved| *saved > 0).collect();
    let between = |from, to| shown(at(from) - at(to), 1);
    BTreeMap::from([
        ("tenants", shown(count, 1)),
        ("tenants_at_80", shown(at(80), 1)),
        ("tenants_at_100", shown(at(100), 1)),
        ("share_at_80", shown(at(80), count)),
        ("share_at_100", shown(at(100), count)),
        ("tenants_from_0_to_20", shown(count - at(20), 1)),
        ("tenants_from_20_to_50", between(20, 50)),
        ("tenants_from_50_to_80", between(50, 80)),
        ("tenants_from_80_to_100", between(80, 100)),
        ("tenants_from_100_up", shown(at(100), 1)),
        ("mean_used_units", shown(used.iter().sum(), count * ONE)),
        ("median_used_units", linear(50)),
        ("p90_used_units_linear", linear(90)),
        ("p90_used_units_nearest_rank", rank(90)),
        ("p95_used_units_linear", linear(95)),
        ("p95_used_units_nearest_rank", rank(95)),
        ("mean_overage_units_at_100", shown(above, exceeding.len() as i128 * ONE)),
        ("enterprise_candidates", shown(candidates.len() as i128, 1)),
        ("enterprise_candidate_share", shown(candidates.len() as i128, count)),
        ("enterprise_savings_minor_try", shown(candidates.iter().sum(), 1)),
        ("would_be_overage_minor_try", shown(overage, 1)),
    ])
}

/// With trials, a month that was joined late, a plan change and a tenant that does not pay beside those that count.
fn company(seed: u64) -> Workspace {
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut tenants, mut usage) = (String::new(), String::new());
    for number in 0..dice.usize(3..40) {
        let id = format!("t{number:03}");
        let row = |plan: &str, status: &str, from: &str, to: &str, trial: &str| {
            format!("{id},{plan},try,cus_{id},sub_{id},{status},{from},{to},,{trial}\n")
        };
        tenants += &match dice.u8(0..12) {
            0 => row("pro", "active", "2026-09-12", "", ""),
            1 => row("pro", "trialing", "2026-09-01", "", "2026-10-20T00:00:00Z"),
            2 => row("pro", "unpaid", "2026-09-01", "", ""),
            3 => {
                row("pro", "active", "2026-09-01", "2026-09-05", "")
                    + &row("enterprise", "active", "2026-09-05", "", "")
            }
            4 => row("enterprise", "active", "2026-09-01", "", ""),
            _ => row("pro", "active", "2026-09-01", "", ""),
        };
        let quantity = match dice.u8(0..5) {
            0 => continue,
            1 => "100".to_owned(),
            2 => format!("{}.{:03}", dice.u32(80..130), dice.u32(0..1000)),
            _ => dice.u32(1..600).to_string(),
        };
        usage += &used(&id, &quantity, "2026-09");
    }
    // Somebody always counts.
    tenants += "tzzz,pro,try,cus_z,sub_z,active,2026-09-01,,,\n";
    usage += &used("tzzz", "140", "2026-09");
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(CATALOG, &format!("{TENANTS}{tenants}"), &format!("{USAGE}{usage}"));
    close_september(&workspace);
    workspace
}

#[test]
fn every_metric_of_the_tenants_can_be_redone_from_the_lines_alone() {
    for seed in 0..12 {
        let workspace = company(seed);
        let decision = table(&workspace, "2026-09", "decision");
        let redone = metrics(&table(&workspace, "2026-09", "lines"));
        assert_eq!(redone.len(), 21);
        for (metric, value) in redone {
            assert_eq!(super::value(&decision, metric), value, "seed {seed}: {metric}");
        }
    }
}

/// What does not stand in lines.csv stands in the other files: rows that differ, and units that Stripe confirms.
#[test]
fn what_is_about_stripe_can_be_redone_from_the_comparison() {
    let workspace = company(3);
    let decision = table(&workspace, "2026-09", "decision");
    let rows = table(&workspace, "2026-09", "reconciliation");
    let differing =
        rows.iter().filter(|row| !["matched", "out_of_scope"].contains(&row["class"].as_str())).count();
    let totals = || rows.iter().filter(|row| row["source"] == "meter_total" && row["plan"] == PLAN);
    let due: i128 = totals().map(|row| decimal(&row["ledger_quantity"])).sum();
    let off: i128 = totals().map(|row| decimal(row["difference_quantity"].trim_start_matches('-'))).sum();
    assert!(due > 0);
    assert_eq!(super::value(&decision, "differences"), differing.to_string());
    assert_eq!(super::value(&decision, "units_due"), shown(due, ONE));
    assert_eq!(super::value(&decision, "accuracy"), shown(due - off, due));
}

#[test]
fn the_page_has_every_metric_with_its_formula() {
    use billrecon::domain::metric::Metric;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verdict.md")).unwrap();
    for metric in Metric::ALL {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", metric.as_str())));
        assert!(row.is_some_and(|row| row.contains(metric.formula())), "{}", metric.as_str());
    }
}
