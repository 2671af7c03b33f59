//! A quote: what one window on a plan costs for given quantities.
//!
//! In: a catalog, the name of a plan, used quantities by meter. Out: the lines that an invoice would have, and their total.
//! Every meter that the plan sells is rated, with 0 where nothing is said. Never quotes for what a plan does not sell.

use std::collections::BTreeMap;

use crate::domain::catalog::{Catalog, Plan, PlanId};
use crate::domain::money::{Currency, MinorAmount, MoneyError};
use crate::domain::number::{ExactAmount, Quantity};
use crate::domain::period::Interval;
use crate::domain::rating::{RatedLine, RatingError, Split};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    #[error("the catalog has no plan `{wanted}`{}; it has: {}", meant(hint.as_deref()), listed(known))]
    UnknownPlan { wanted: String, known: Vec<String>, hint: Option<String> },
    #[error(
        "the catalog has several plans `{wanted}`: {}; say which with --interval and --currency",
        listed(found)
    )]
    SeveralPlans { wanted: String, found: Vec<String> },
    #[error("the plan `{plan}` does not sell the meter `{meter}`{}; it sells: {}", meant(hint.as_deref()), listed(sold))]
    NotSold { plan: String, meter: String, sold: Vec<String>, hint: Option<String> },
    #[error("{meter}: {error}")]
    Rating { meter: String, error: RatingError },
    #[error("the total {0}")]
    Total(MoneyError),
}

fn meant(hint: Option<&str>) -> String {
    hint.map(|hint| format!(": did you mean `{hint}`?")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

pub struct Quote {
    pub plan: PlanId,
    /// `None` where the plan has none.
    pub base: Option<RatedLine>,
    pub meters: Vec<MeterQuote>,
    pub total: MinorAmount,
}

pub struct MeterQuote {
    pub meter: String,
    pub used: Quantity,
    pub split: Split,
    pub lines: Vec<RatedLine>,
}

impl Catalog {
    /// The plan of a name: the exact key, else the only one that is the same but for the case of its letters and for what
    /// stands between its words. Interval and currency choose among plans of one key.
    pub fn plan_named(
        &self,
        wanted: &str,
        interval: Option<Interval>,
        currency: Option<Currency>,
    ) -> Result<&Plan, QuoteError> {
        let mut plans: Vec<&Plan> = self.plans.values().filter(|plan| plan.id.key == wanted).collect();
        if plans.is_empty() {
            let alike = |plan: &&Plan| simplified(&plan.id.key) == simplified(wanted);
            plans = self.plans.values().filter(alike).collect();
        }
        plans.retain(|plan| {
            interval.is_none_or(|interval| plan.id.interval == interval)
                && currency.is_none_or(|currency| plan.id.currency == currency)
        });
        let shown = |plan: &&Plan| {
            let PlanId { key, interval, currency } = &plan.id;
            format!("{key} ({}, {currency})", interval.as_str())
        };
        match plans[..] {
            [plan] => Ok(plan),
            [] => Err(QuoteError::UnknownPlan {
                wanted: wanted.to_owned(),
                known: self.plans.values().map(|plan| shown(&plan)).collect(),
                hint: None,
            }),
            _ => Err(QuoteError::SeveralPlans {
                wanted: wanted.to_owned(),
                found: plans.iter().map(shown).collect(),
            }),
        }
    }
}

fn simplified(key: &str) -> String {
    key.chars().filter(|one| !matches!(one, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

impl Quote {
    pub fn of(plan: &Plan, used: &BTreeMap<String, Quantity>) -> Result<Self, QuoteError> {
        if let Some(meter) = used.keys().find(|meter| !plan.usage.contains_key(*meter)) {
            return Err(QuoteError::NotSold {
                plan: plan.id.key.clone(),
                meter: meter.clone(),
                sold: plan.usage.keys().cloned().collect(),
                hint: None,
            });
        }
        let currency = plan.id.currency;
        let base = (plan.amount_minor != 0)
            .then(|| RatedLine::base(MinorAmount::new(plan.amount_minor, currency)))
            .transpose()
            .map_err(|error| QuoteError::Rating { meter: "the base fee".to_owned(), error })?;
        let mut meters = Vec::new();
        for (meter, price) in &plan.usage {
            let used = used.get(meter).copied().unwrap_or_default();
            let failed = |error| QuoteError::Rating { meter: meter.clone(), error };
            meters.push(MeterQuote {
                meter: meter.clone(),
                used,
                split: price.split(used).map_err(failed)?,
                lines: price.rate(used, currency).map_err(failed)?,
            });
        }
        let lines = base.iter().chain(meters.iter().flat_map(|meter| &meter.lines));
        let total = amount_of(lines, currency).map_err(QuoteError::Total)?;
        Ok(Self { plan: plan.id.clone(), base, meters, total })
    }
}

/// The sum of the rounded lines; beyond 64 bits it is no amount.
pub fn amount_of<'a>(
    lines: impl IntoIterator<Item = &'a RatedLine>,
    currency: Currency,
) -> Result<MinorAmount, MoneyError> {
    let mut minor: i64 = 0;
    for line in lines {
        minor = minor.checked_add(line.amount.minor).ok_or(MoneyError::Overflow)?;
    }
    Ok(MinorAmount::new(minor, currency))
}

/// The same before rounding.
pub fn exact_of<'a>(lines: impl IntoIterator<Item = &'a RatedLine>) -> Result<ExactAmount, RatingError> {
    let mut sum = ExactAmount::ZERO;
    for line in lines {
        sum = sum.checked_add(line.exact)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(plans: &[(&str, Interval, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (key, interval, currency) in plans {
            let currency = Currency::parse(currency).unwrap();
            let id = PlanId { key: (*key).to_owned(), interval: *interval, currency };
            let plan = Plan { id, amount_minor: 100, hard_cap: false, usage: BTreeMap::new() };
            catalog.add_plan(plan, "plan").unwrap();
        }
        catalog
    }

    #[test]
    fn a_plan_is_found_by_its_key_and_else_by_what_looks_like_it() {
        use Interval::{Month, Year};
        let all = catalog(&[
            ("pay as you go", Month, "usd"),
            ("Pro", Month, "usd"),
            ("pro", Month, "usd"),
            ("pro", Year, "usd"),
            ("a-b", Month, "usd"),
            ("a_b", Month, "usd"),
        ]);
        let named = |wanted, interval| {
            all.plan_named(wanted, interval, None).map(|plan| (plan.id.key.as_str(), plan.id.interval))
        };
        assert_eq!(named("Pay-As-You_Go", None), Ok(("pay as you go", Month)));
        assert_eq!(named("Pro", None), Ok(("Pro", Month)));
        assert_eq!(named("pro", Some(Year)), Ok(("pro", Year)));
        assert!(
            matches!(named("pro", None), Err(QuoteError::SeveralPlans { found, .. }) if found.len() == 2)
        );
        assert!(matches!(named("A B", None), Err(QuoteError::SeveralPlans { .. })));
        assert!(
            matches!(named("gold", None), Err(QuoteError::UnknownPlan { known, .. }) if known.len() == 6)
        );
        assert!(named("Pro", Some(Year)).is_err());
    }

    #[test]
    fn a_total_beyond_64_bits_is_an_error() {
        let usd = Currency::parse("usd").unwrap();
        let most = RatedLine::base(MinorAmount::new(i64::MAX, usd)).unwrap();
        let one = RatedLine::base(MinorAmount::new(1, usd)).unwrap();
        assert_eq!(amount_of([&most], usd).unwrap().minor, i64::MAX);
        assert_eq!(amount_of([&most, &one], usd), Err(MoneyError::Overflow));
    }
}
