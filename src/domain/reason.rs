//! The sentences under a verdict.
//!
//! In: a rule with its value, and whom it is about. Out: one sentence with both numbers. Never a rounded number that
//! would read as the threshold itself: it says `just below` or `just above` instead.

use std::cmp::Ordering;

use crate::domain::metric::Metric;
use crate::domain::policy::{Operator, Policy, Rule};
use crate::domain::ratio::Ratio;

/// The plan, the meter and how many tenants a sentence is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct About<'a> {
    pub plan: &'a str,
    pub meter: &'a str,
    pub tenants: u64,
    pub left_out: u64,
}

/// Why a required rule decided, or that it was met.
pub(in crate::domain) fn of_required(rule: &Rule, value: Option<Ratio>, about: About<'_>) -> String {
    let asked = asked(rule, value);
    if rule.metric == Metric::FullCycle && value == Some(Ratio::whole(0)) {
        return format!(
            "the period is not a full cycle: it was not pushed or observed from its start to its end, so nothing can be \
             said about it {asked}"
        );
    }
    // What to do first is for whoever has something to do.
    let failed = value.is_none_or(|value| !rule.operator.holds(value, rule.threshold));
    let advice =
        rule.advice.iter().filter(|_| failed).map(|advice| format!(": {advice}")).collect::<String>();
    format!("{}; the policy asks for {}{advice} {asked}", fact(rule, value, about), wanted(rule))
}

/// What a failed advisory rule says; it decides nothing.
pub(in crate::domain) fn of_advice(rule: &Rule, value: Option<Ratio>, about: About<'_>) -> String {
    let (fact, asked) = (fact(rule, value, about), asked(rule, value));
    format!("advice only: {fact}; the policy would like {} {asked}", wanted(rule))
}

/// That the policy's plan has nothing to judge.
pub(in crate::domain) fn of_no_pair(policy: &Policy) -> String {
    let plans = policy.plans.join("`, `");
    let plans = match policy.plans.len() {
        1 => format!("the plan `{plans}`"),
        _ => format!("the plans `{plans}`"),
    };
    let of_meter = policy.meter.as_ref().map(|meter| format!(" of {meter}")).unwrap_or_default();
    format!("no price of {plans} has a free quota{of_meter} above 0, so there is nothing to judge")
}

/// A reason without its row, for a message that shows the metrics beside it.
pub fn sentence(reason: &str) -> &str {
    match reason.rsplit_once(" (") {
        Some((sentence, row)) if row.contains(", asked ") => sentence,
        _ => reason,
    }
}

/// The row of `decision.csv`: metric, value, operator, threshold.
fn asked(rule: &Rule, value: Option<Ratio>) -> String {
    let value = value.map_or("n/a".to_owned(), |value| value.to_string());
    format!("({} {value}, asked {} {})", rule.metric_name(), rule.operator.as_str(), rule.threshold)
}

fn fact(rule: &Rule, value: Option<Ratio>, about: About<'_>) -> String {
    let About { plan, meter, tenants, left_out } = about;
    let Some(value) = value else {
        return format!("{} of `{plan}` tenants and {meter} is n/a", rule.metric_name());
    };
    let number = beside(value, rule.threshold, rule.metric.is_share());
    let counted = |one: &str, many: &str| format!("{number} {}", if number == "1" { one } else { many });
    match rule.metric {
        Metric::FullCycle => format!("full_cycle is {number}"),
        Metric::Tenants => format!(
            "{} on `{plan}` for a whole window of {meter} ({left_out} left out: trial, partial or mixed windows)",
            counted("tenant was", "tenants were")
        ),
        Metric::TenantsWithoutQuota => {
            format!("{number} of {tenants} `{plan}` tenants have no quota of {meter}, or a quota of 0")
        }
        Metric::Incomplete => {
            format!("{} without a whole answer from Stripe", counted("comparison is", "comparisons are"))
        }
        Metric::PendingAfter => format!("after the run {} pending", counted("push is", "pushes are")),
        Metric::Differences => {
            format!(
                "{} between the ledger and Stripe without a harmless cause",
                counted("row differs", "rows differ")
            )
        }
        Metric::PushErrorRate => {
            format!("{number} of the usage records that were due did not reach Stripe")
        }
        Metric::ShareAt80 => {
            format!("{number} of {tenants} `{plan}` tenants used at least 80 % of their quota of {meter}")
        }
        Metric::ShareAt100 => {
            format!("{number} of {tenants} `{plan}` tenants used their whole quota of {meter}")
        }
        Metric::MeanUsed => format!("{tenants} `{plan}` tenants used {number} units of {meter} on average"),
        Metric::P95Linear => {
            format!("the 95th percentile of {tenants} `{plan}` tenants is {number} units of {meter}")
        }
        Metric::EnterpriseCandidates => {
            format!("{number} of {tenants} `{plan}` tenants would pay less for {meter} on the next plan")
        }
        Metric::CleanCycles => {
            format!(
                "{} up to this period in a row",
                counted("full cycle was clean", "full cycles were clean")
            )
        }
        Metric::Accuracy => {
            format!("Stripe confirms {number} of the units of {meter} that were due on `{plan}`")
        }
        Metric::ShareAtAQuota => format!("{number} of the `{plan}` tenants used up a quota of any meter"),
        other if other.is_in_currency() => {
            format!("{} of `{plan}` and {meter} is {number}", rule.metric_name())
        }
        other => format!("{} of `{plan}` and {meter} is {number}", other.as_str()),
    }
}

fn wanted(rule: &Rule) -> String {
    let threshold = text(rule.threshold, rule.metric.is_share());
    let words = match rule.operator {
        Operator::Equal => return threshold,
        Operator::AtLeast => "at least",
        Operator::Above => "more than",
        Operator::AtMost => "at most",
        Operator::Below => "less than",
    };
    format!("{words} {threshold}")
}

/// The value as it reads beside its threshold.
fn beside(value: Ratio, threshold: Ratio, is_share: bool) -> String {
    let (number, limit) = (text(value, is_share), text(threshold, is_share));
    match value.cmp(&threshold) {
        Ordering::Less if number == limit => format!("just below {number}"),
        Ordering::Greater if number == limit => format!("just above {number}"),
        _ => number,
    }
}

fn text(value: Ratio, is_share: bool) -> String {
    if is_share { value.as_percent().to_string() } else { value.to_string() }
}
