//! The company's tenants at the two ends of a period: who pays, who left, who began to pay.
//!
//! In: the tenants' rows, the catalog, the period's bounds. Out: [`CompanyFacts`] in whole numbers. Both ends are looked at in
//! their last instant: who is there until exactly then still counts, and who begins exactly then does not yet. Base fees
//! only: never discounts, tax or overage.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::catalog::{Billing, Catalog, Plan, UsagePrice};
use crate::domain::period::{Interval, Window};
use crate::domain::tenant::Tenant;

/// Twelve months of base fees: a month's fee counts twelve times, so that a year's is a whole number too.
pub type Twelvefold = BTreeMap<String, i128>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompanyFacts {
    /// By currency.
    pub mrr_twelvefold: Twelvefold,
    pub paying_at_end: BTreeMap<String, u64>,
    pub paying_at_start: u64,
    /// Those that paid at the start and do not at the end.
    pub churned: u64,
    pub free_at_start: u64,
    /// Those that paid nothing at the start and pay at the end.
    pub converted: u64,
    /// By plan key.
    pub plans: BTreeMap<String, PlanFacts>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFacts {
    pub mrr_twelvefold: Twelvefold,
    pub paying_at_end: BTreeMap<String, u64>,
    pub paying_at_start: u64,
    /// Those on the plan at the start that pay a higher base fee at the end, in the same currency.
    pub upgraded: u64,
}

impl CompanyFacts {
    pub fn of(tenants: &[Tenant], catalog: &Catalog, period: Window) -> Self {
        let mut facts = Self::default();
        for tenant in tenants {
            let state = |instant| state(tenant, catalog, instant);
            facts.count(&state(period.start), &state(period.end));
        }
        facts
    }

    fn count(&mut self, start: &State<'_>, end: &State<'_>) {
        match start {
            State::Paying(plan) => {
                self.paying_at_start += 1;
                let of_plan = self.plans.entry(plan.id.key.clone()).or_default();
                of_plan.paying_at_start += 1;
                match end {
                    State::Paying(now) => of_plan.upgraded += u64::from(is_upgrade(plan, now)),
                    State::Free | State::Gone => self.churned += 1,
                }
            }
            State::Free => {
                self.free_at_start += 1;
                self.converted += u64::from(matches!(end, State::Paying(_)));
            }
            State::Gone => {}
        }
        if let State::Paying(plan) = end {
            let of_plan = self.plans.entry(plan.id.key.clone()).or_default();
            let sums = [&mut self.mrr_twelvefold, &mut of_plan.mrr_twelvefold];
            let counts = [&mut self.paying_at_end, &mut of_plan.paying_at_end];
            for (sum, count) in sums.into_iter().zip(counts) {
                let code = || plan.id.currency.code().to_owned();
                // 64 bits twelve times over, for as many tenants as there are, stay far below 128.
                *sum.entry(code()).or_default() += twelvefold(plan);
                *count.entry(code()).or_default() += 1;
            }
        }
    }
}

enum State<'a> {
    Paying(&'a Plan),
    /// In a trial, or on a plan that never costs anything.
    Free,
    Gone,
}

/// How a tenant stands in the last instant before this one.
fn state<'a>(tenant: &Tenant, catalog: &'a Catalog, instant: Timestamp) -> State<'a> {
    let covers = |span: Window| span.start < instant && instant <= span.end;
    let Some(row) = tenant.subscriptions().iter().find(|row| covers(row.span())) else { return State::Gone };
    let is_trial = row.trial_end.is_some_and(|end| instant <= end);
    match catalog.plans.get(&row.plan) {
        _ if is_trial => State::Free,
        Some(plan) if row.pays() && !is_free(plan) => State::Paying(plan),
        Some(plan) if row.pays() && is_free(plan) => State::Free,
        // A status in which nobody pays, or a plan of which nothing is known.
        _ => State::Gone,
    }
}

/// Neither a base fee nor any usage that Stripe charges.
fn is_free(plan: &Plan) -> bool {
    let is_charged = |usage: &UsagePrice| usage.billing == Billing::Live && !usage.price.is_zero();
    plan.amount_minor == 0 && (plan.hard_cap || !plan.usage.values().any(is_charged))
}

fn is_upgrade(from: &Plan, to: &Plan) -> bool {
    from.id.currency == to.id.currency && twelvefold(from) < twelvefold(to)
}

fn twelvefold(plan: &Plan) -> i128 {
    let times = match plan.id.interval {
        Interval::Month => 12,
        Interval::Year => 1,
    };
    i128::from(plan.amount_minor) * times
}
