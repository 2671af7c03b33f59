//! How the metrics move from one closed period to the next, and whether going live has brought what it was to bring.
//!
//! In: the rows of `decision.csv` of a period and of those before it. Out: [`TrendRow`]s. Values are compared as they were
//! printed, so that a reader who subtracts two of them finds the same. Never looks at usage again.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::decide::DecisionRow;
use crate::domain::metric::Metric;
use crate::domain::number::{NumberError, PLACES, QuantitySum};
use crate::domain::period::Period;
use crate::domain::ratio::Ratio;

/// What runs have said of an earlier period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidBefore {
    pub period: Period,
    pub rows: Vec<DecisionRow>,
}

/// A metric in one period, beside the period before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrendRow {
    pub plan: String,
    pub meter: String,
    pub metric: String,
    pub period: Period,
    pub value: String,
    /// Of the closed period before; `None` where there is none, or it is n/a.
    pub previous: Option<String>,
    /// Value less previous.
    pub change: Option<String>,
    /// Change / previous.
    pub change_share: Option<Ratio>,
    /// In the last period in which Stripe did not charge; only where Stripe charges now.
    pub baseline: Option<String>,
    pub target: Option<Target>,
    /// `None` where the target needs a number that is not known.
    pub met: Option<bool>,
}

/// What a metric is to be once Stripe charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of the plan's base fees.
    OverageFrom15To25Percent,
    TenthAboveBaseline,
    NotAboveBaseline,
    BelowOneInThousand,
}

impl Target {
    fn of(metric: Metric) -> Option<Self> {
        match metric {
            Metric::OverageShareOfPlanMrr => Some(Self::OverageFrom15To25Percent),
            Metric::UpgradeRate => Some(Self::TenthAboveBaseline),
            Metric::ChurnRate => Some(Self::NotAboveBaseline),
            Metric::PushErrorRate => Some(Self::BelowOneInThousand),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::OverageFrom15To25Percent => "0.15 to 0.25",
            Self::TenthAboveBaseline => ">= 1.1 x baseline",
            Self::NotAboveBaseline => "<= baseline",
            Self::BelowOneInThousand => "< 0.001",
        }
    }

    fn is_met(self, value: QuantitySum, baseline: Option<QuantitySum>) -> Option<bool> {
        let value = value.scaled();
        let baseline = baseline.map(QuantitySum::scaled);
        let thousandfold = value.checked_mul(1_000)?;
        let one = 10i128.pow(PLACES);
        Some(match self {
            Self::OverageFrom15To25Percent => (150 * one..=250 * one).contains(&thousandfold),
            Self::TenthAboveBaseline => value.checked_mul(10)? >= baseline?.checked_mul(11)?,
            Self::NotAboveBaseline => value <= baseline?,
            Self::BelowOneInThousand => thousandfold < one,
        })
    }
}

/// A row for each metric and period, from the oldest to the one that the report is about. `earlier` has the newest first.
pub fn trend(period: Period, rows: &[DecisionRow], earlier: &[SaidBefore]) -> Vec<TrendRow> {
    let mut said: Vec<(Period, Values<'_>)> =
        earlier.iter().rev().map(|one| (one.period, values(&one.rows))).collect();
    said.push((period, values(rows)));
    let keys: BTreeSet<Key<'_>> = values(rows).into_keys().collect();
    let mut trend = Vec::new();
    for key in keys {
        let mut previous = None;
        for (index, (period, values)) in said.iter().enumerate() {
            let Some(value) = values.get(&key).copied() else { continue };
            let before = said.get(..index).unwrap_or_default();
            trend.push(row(key, *period, value, previous, before, values));
            previous = Some(value);
        }
    }
    trend
}

/// Plan, meter, metric.
type Key<'a> = (&'a str, &'a str, &'a str);
type Values<'a> = BTreeMap<Key<'a>, &'a str>;

/// A metric that several rules name has one value.
fn values(rows: &[DecisionRow]) -> Values<'_> {
    rows.iter()
        .map(|row| ((row.plan.as_str(), row.meter.as_str(), row.metric.as_str()), row.value.as_str()))
        .collect()
}

fn row(
    key @ (plan, meter, metric): Key<'_>,
    period: Period,
    value: &str,
    previous: Option<&str>,
    before: &[(Period, Values<'_>)],
    now: &Values<'_>,
) -> TrendRow {
    let previous = previous.filter(|text| number(text).is_some());
    let change = number(value).zip(previous.and_then(number));
    let change = change.and_then(|(value, previous)| Some((value.checked_sub(previous).ok()?, previous)));
    let is_live = |values: &Values<'_>| {
        values.get(&(plan, meter, Metric::BillingLive.as_str())).is_some_and(|live| *live == "1")
    };
    let target = Metric::of_row(metric).and_then(|(metric, _)| Target::of(metric)).filter(|_| is_live(now));
    let silent = before.iter().rev().find(|(_, values)| !is_live(values));
    let baseline = target.and(silent).and_then(|(_, values)| values.get(&key).copied());
    TrendRow {
        plan: plan.to_owned(),
        meter: meter.to_owned(),
        metric: metric.to_owned(),
        period,
        value: value.to_owned(),
        previous: previous.map(str::to_owned),
        change: change.map(|(change, _)| change.to_string()),
        change_share: change.and_then(|(change, previous)| share(change, previous)),
        baseline: baseline.map(str::to_owned),
        target,
        met: target.and_then(|target| target.is_met(number(value)?, baseline.and_then(number))),
    }
}

/// Only of what is above 0: a share of a debt says nothing.
fn share(change: QuantitySum, previous: QuantitySum) -> Option<Ratio> {
    Ratio::new(change.scaled(), u128::try_from(previous.scaled()).ok()?)
}

/// To 12 places: an exact fraction may have more.
fn number(text: &str) -> Option<QuantitySum> {
    let places = usize::try_from(PLACES).ok()?;
    let end = text.find('.').map_or(text.len(), |point| text.len().min(point + 1 + places));
    let parsed: Result<QuantitySum, NumberError> = QuantitySum::parse(text.get(..end)?);
    parsed.ok()
}
