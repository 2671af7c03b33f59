//! Claims: customers of Stripe's that two tenants name for the same time.
//!
//! In: the rows of all tenants, the catalog. Out: the ids of those customers. Pure. It never says whose a customer is.

use std::collections::BTreeSet;

use crate::domain::catalog::Catalog;
use crate::domain::period::Window;
use crate::domain::tenant::{Subscription, Tenant};

/// The customers that two tenants with usage prices name for the same time. A meter's total is a customer's: nobody could
/// tell whose usage it holds, and of two subscriptions each would be billed for all of it.
pub fn claimed_twice(tenants: &[Tenant], catalog: &Catalog) -> BTreeSet<String> {
    let sells_usage = |one: &&Subscription| {
        let plan = catalog.plans.get(&one.plan);
        !one.stripe_customer_id.is_empty() && plan.is_some_and(|plan| !plan.usage.is_empty())
    };
    let mut claims: Vec<(&str, Window)> = tenants
        .iter()
        .flat_map(Tenant::subscriptions)
        .filter(sells_usage)
        .map(|one| (one.stripe_customer_id.as_str(), one.span()))
        .collect();
    claims.sort_unstable();
    // By start, so the one that reaches furthest is the one to fear. The rows of one tenant never overlap.
    let mut furthest: Option<(&str, Window)> = None;
    let mut twice = BTreeSet::new();
    for claim in claims {
        let before = furthest.filter(|one| one.0 == claim.0);
        if before.is_some_and(|one| claim.1.start < one.1.end) {
            twice.insert(claim.0.to_owned());
        }
        furthest = before.filter(|one| one.1.end >= claim.1.end).or(Some(claim));
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::PlanId;
    use crate::domain::money::Currency;
    use crate::domain::period::Interval;
    use crate::domain::tenant::SubscriptionStatus;

    const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"
[[plan]]
key = "pro"
currency = "usd"
amount = 0
[[plan.usage]]
meter = "calls"
price = { billing_scheme = "per_unit", unit_amount_decimal = "1" }
[[plan]]
key = "flat"
currency = "usd"
amount = 0
"#;

    fn tenant(id: &str, rows: &[(&str, &str, u8, u8)]) -> Tenant {
        let on = |day: u8| Some(format!("2026-10-{day:02}T00:00:00Z").parse().unwrap());
        let row = |(plan, customer, start, end): &(&str, &str, u8, u8)| Subscription {
            tenant_id: id.to_owned(),
            name: String::new(),
            plan: PlanId {
                key: (*plan).to_owned(),
                interval: Interval::Month,
                currency: Currency::parse("usd").unwrap(),
            },
            stripe_customer_id: (*customer).to_owned(),
            stripe_subscription_id: format!("sub_{id}"),
            status: SubscriptionStatus::Active,
            billing_anchor: None,
            trial_end: None,
            started_at: on(*start),
            ended_at: on(*end),
        };
        Tenant::new(id.to_owned(), rows.iter().map(row).collect()).unwrap()
    }

    #[test]
    fn a_customer_belongs_to_one_tenant_at_a_time() {
        let catalog = crate::ingest::catalog::read(CATALOG, "catalog.toml").unwrap();
        let long = tenant("long", &[("pro", "cus_1", 1, 30)]);
        let short =
            tenant("short", &[("pro", "cus_1", 2, 3), ("pro", "cus_2", 3, 9), ("pro", "cus_2", 9, 12)]);
        let late = tenant("late", &[("pro", "cus_1", 29, 31)]);
        let heir = tenant("heir", &[("pro", "cus_2", 12, 20)]);
        let flat = tenant("flat", &[("flat", "cus_2", 1, 30)]);
        let none = tenant("none", &[("pro", "", 1, 30)]);
        let other = tenant("other", &[("pro", "", 1, 30)]);
        let twice = |tenants: &[&Tenant]| -> Vec<String> {
            let tenants: Vec<Tenant> = tenants.iter().map(|one| (*one).clone()).collect();
            claimed_twice(&tenants, &catalog).into_iter().collect()
        };
        assert_eq!(twice(&[&long, &short]), ["cus_1"]);
        assert_eq!(twice(&[&long, &late]), ["cus_1"]);
        assert_eq!(twice(&[&short, &long, &late, &heir]), ["cus_1"]);
        assert!(twice(&[&short, &heir, &flat, &none, &other]).is_empty());
    }
}
