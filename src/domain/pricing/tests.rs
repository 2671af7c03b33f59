//! What pricing is held to: shapes of candidates, the closed lines, the bills of both plans, the target and the shocks.
//!
//! In: small catalogs and random usage. Out: failing tests. Slow witnesses try every quantity and every price.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::bill::{Fleet, LeftOut, Selection};
use super::even::{Tariff, cheaper_from};
use super::simulate::{Offer, Shock, Simulated, in_major, in_minor, range, revenue, shocks, simulate};
use super::suggest::{Member, Question, Suggested, suggest};
use super::*;
use crate::domain::aggregation::MeterUsage;
use crate::domain::catalog::{Aggregation, Billing, Catalog, Meter, Plan, PushScope};
use crate::domain::figures::{LedgerTotals, WindowStatus};
use crate::domain::number::{QuantitySum, Round};
use crate::domain::period::{Interval, Period};
use crate::domain::price::{TiersMode, Transform};
use crate::domain::ratio::Ratio;
use crate::domain::rule::Rule;
use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant};
use crate::domain::usage::UsageTotal;

fn units(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

fn minor(text: &str) -> UnitAmount {
    UnitAmount::parse(text).unwrap()
}

fn lira() -> Currency {
    Currency::parse("try").unwrap()
}

fn graduated(quota: &str, amount: &str) -> Price {
    let free = Tier::new(Some(units(quota)), UnitAmount::ZERO);
    Price::tiered(TiersMode::Graduated, vec![free, Tier::new(None, minor(amount))]).unwrap()
}

fn usage(push: PushScope, quota: Option<&str>, price: Price) -> UsagePrice {
    UsagePrice::new(Billing::Shadow, push, quota.map(units), price, "usage").unwrap()
}

fn per_unit(quota: Option<&str>, amount: &str) -> UsagePrice {
    usage(PushScope::All, quota, Price::per_unit(minor(amount)))
}

fn plan_id(key: &str) -> PlanId {
    PlanId { key: key.into(), interval: Interval::Month, currency: lira() }
}

fn catalog(plans: &[(&str, i64, UsagePrice)]) -> Catalog {
    let mut catalog = Catalog::default();
    let meter = Meter {
        key: "calls".into(),
        aggregation: Aggregation::Sum,
        per_source: false,
        rule: Rule::default(),
        event_name: "calls".into(),
    };
    catalog.add_meter(meter, "meter").unwrap();
    for (key, amount_minor, price) in plans {
        let usage = [("calls".to_owned(), price.clone())].into();
        let plan = Plan { id: plan_id(key), amount_minor: *amount_minor, hard_cap: price.hard_cap, usage };
        catalog.add_plan(plan, "plan").unwrap();
    }
    catalog
}

mod bills;
mod candidates;
mod suggestions;
