//! The checks of a suggested price, each with its numbers.
//!
//! In: the question and the price. Out: what was looked at, what was found, and whether that is right. Never hides a check that
//! could not be made: it says why.

use std::cmp::Ordering;
use std::fmt;

use crate::domain::catalog::{Catalog, Plan, UsagePrice};
use crate::domain::money::MinorAmount;
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::population::next_plan;
use crate::domain::price::Price;
use crate::domain::pricing::even::{Tariff, cheaper_from};
use crate::domain::pricing::suggest::Question;
use crate::domain::pricing::{Candidate, PricingError, with_candidate};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub subject: Subject,
    /// `None`: it could not be made.
    pub ok: Option<bool>,
    pub finding: Finding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// From some quantity on the next plan is cheaper, and that is above the quota.
    BreakEven,
    /// At a quantity the plan is not dearer than the next one.
    Bills,
    /// The price lies in the range that was given.
    Range,
    /// The plan above all others charges for overage, too.
    TopPlan,
}

impl Subject {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakEven => "break_even",
            Self::Bills => "bills",
            Self::Range => "range",
            Self::TopPlan => "top_plan",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    NoNextPlan,
    /// `None`: never.
    CheaperFrom {
        next: String,
        units: Option<u64>,
    },
    Bills {
        used: Quantity,
        own: MinorAmount,
        next: MinorAmount,
        next_plan: String,
    },
    /// In minor units.
    Range([Option<UnitAmount>; 2]),
    TopPlan {
        plan: String,
        price: String,
    },
    /// An amount is beyond 64 bits.
    TooLarge,
}

/// For a person, with amounts in minor units where they are prices.
impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNextPlan => out.write_str("there is no next plan that sells the meter"),
            Self::CheaperFrom { next, units: Some(units) } => {
                write!(out, "{next} is cheaper from {units} units on")
            }
            Self::CheaperFrom { next, units: None } => write!(out, "{next} is never cheaper"),
            Self::Bills { used, own, next, next_plan } => {
                let code = own.currency.code().to_uppercase();
                let sign = match own.minor.cmp(&next.minor) {
                    Ordering::Less => '<',
                    Ordering::Equal => '=',
                    Ordering::Greater => '>',
                };
                write!(out, "{used} units cost {own} {sign} {next} {code} on {next_plan}")
            }
            Self::Range([None, None]) => out.write_str("no range was given"),
            Self::Range([min, max]) => {
                let shown = |bound: &Option<UnitAmount>| {
                    bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string())
                };
                write!(out, "at least {}, at most {} (minor units)", shown(min), shown(max))
            }
            Self::TopPlan { plan, price } => write!(out, "{plan} charges {price} (minor units)"),
            Self::TooLarge => out.write_str("an amount does not fit 64 bits of minor units"),
        }
    }
}

pub fn checks(question: &Question<'_>, unit_amount: UnitAmount) -> Result<Vec<Check>, PricingError> {
    let Question { plan, meter, catalog, .. } = question;
    let price = with_candidate(question.price, &Candidate::Amount(unit_amount))?;
    let own = Tariff { base_minor: plan.amount_minor, price: &price, currency: plan.id.currency };
    let next = next_plan(plan, meter, catalog).and_then(|next| Some((next, next.usage.get(*meter)?)));
    let mut checks = match next {
        None => vec![Check { subject: Subject::BreakEven, ok: None, finding: Finding::NoNextPlan }],
        Some((next, price)) => {
            let tariff = Tariff { base_minor: next.amount_minor, price, ..own };
            let units = cheaper_from(&own, &tariff);
            let quota = question.price.free_quota.unwrap_or_default();
            let is_above = |units: u64| Quantity::whole(units).is_ok_and(|units| units > quota);
            let finding = Finding::CheaperFrom { next: next.id.key.clone(), units };
            let even = Check { subject: Subject::BreakEven, ok: Some(units.is_some_and(is_above)), finding };
            let bills = question.at.iter().map(|used| bills(*used, &own, &tariff, &next.id.key));
            std::iter::once(even).chain(bills).collect()
        }
    };
    checks.push(range(question.range, unit_amount));
    checks.push(top_plan(question, &price, catalog));
    Ok(checks)
}

fn bills(used: Quantity, own: &Tariff<'_>, next: &Tariff<'_>, next_plan: &str) -> Check {
    let (Ok(own_minor), Ok(next_minor)) = (own.bill(used), next.bill(used)) else {
        return Check { subject: Subject::Bills, ok: None, finding: Finding::TooLarge };
    };
    let finding = Finding::Bills {
        used,
        own: MinorAmount::new(own_minor, own.currency),
        next: MinorAmount::new(next_minor, own.currency),
        next_plan: next_plan.to_owned(),
    };
    Check { subject: Subject::Bills, ok: Some(own_minor <= next_minor), finding }
}

fn range([min, max]: [Option<UnitAmount>; 2], price: UnitAmount) -> Check {
    let is_inside = min.is_none_or(|min| min <= price) && max.is_none_or(|max| price <= max);
    let is_given = min.is_some() || max.is_some();
    Check { subject: Subject::Range, ok: is_given.then_some(is_inside), finding: Finding::Range([min, max]) }
}

/// Whoever is on the top plan has nowhere to go, so nothing but its own price limits what is used for nothing.
fn top_plan(question: &Question<'_>, suggested: &UsagePrice, catalog: &Catalog) -> Check {
    let mut top: &Plan = question.plan;
    while let Some(next) = next_plan(top, question.meter, catalog) {
        top = next;
    }
    let own = if top.id == question.plan.id { Some(suggested) } else { top.usage.get(question.meter) };
    let price = own.map_or_else(|| "nothing".to_owned(), |own| own.price.to_string());
    Check {
        subject: Subject::TopPlan,
        // A hard cap gives nothing away either.
        ok: Some(own.is_some_and(|own| own.hard_cap || charges_on(&own.price))),
        finding: Finding::TopPlan { plan: top.id.key.clone(), price },
    }
}

/// Whether each unit costs something, however many there are.
fn charges_on(price: &Price) -> bool {
    match price {
        Price::PerUnit { unit_amount, .. } => !unit_amount.is_zero(),
        Price::Graduated(tiers) | Price::Volume(tiers) => {
            tiers.last().is_some_and(|tier| !tier.unit_amount.is_zero())
        }
    }
}
