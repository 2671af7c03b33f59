//! Simulation: every bill of a fleet at another price.
//!
//! In: a [`Fleet`], an [`Offer`], the growth above which a bill is a shock. Out: each bill as it would be, sums by currency, and
//! the shocks, worst first. All of it is checked integers: nothing is rounded but the lines, nothing added across currencies.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::domain::catalog::{CatalogFault, PlanId, UsagePrice};
use crate::domain::money::{Currency, MinorAmount, MinorSum, MoneyError};
use crate::domain::number::{NumberError, ONE, Quantity, UnitAmount};
use crate::domain::price::Price;
use crate::domain::pricing::bill::{Bill, Fleet};
use crate::domain::pricing::{Candidate, PricingError, amount, with_candidate};

/// What the bills are priced by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// What Stripe charges now.
    InForce,
    /// The price in the catalog that each window closed with.
    Catalog,
    /// Major units of whatever currency, for each unit above the quota.
    Major(UnitAmount),
    Price {
        name: String,
        price: Price,
    },
}

impl fmt::Display for Offer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce => out.write_str("in force"),
            Self::Catalog => out.write_str("catalog"),
            Self::Major(amount) => amount.fmt(out),
            Self::Price { name, .. } => out.write_str(name),
        }
    }
}

/// By how many percent a bill may grow, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shock(Quantity);

/// One bill as it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated {
    pub usage_minor: i64,
    pub bill_minor: i64,
    /// Against the bill in force.
    pub change_minor: i64,
    /// The same usage costs less on the next plan.
    pub is_better_on_next_plan: bool,
    pub is_shock: bool,
}

/// The bills of a fleet, in its order.
pub fn simulate(fleet: &Fleet<'_>, offer: &Offer, shock: Shock) -> Result<Vec<Simulated>, PricingError> {
    let prices = prices(fleet, offer)?;
    let failed = |bill: &Bill<'_>, cause| {
        let (tenant_id, at) = (bill.tenant_id.to_owned(), format!("the price `{offer}`"));
        PricingError::Bill { tenant_id, at, cause }
    };
    let simulated = fleet.bills.iter().map(|bill| {
        let usage_minor = match prices.get(bill.price) {
            Some(price) => amount(&bill.parts, bill.window, price, bill.plan.currency),
            None => Ok(bill.usage_in_force_minor),
        };
        let usage_minor = usage_minor.map_err(|cause| failed(bill, cause))?;
        let as_it_would_be = with_usage(bill, usage_minor, shock);
        as_it_would_be.ok_or_else(|| failed(bill, MoneyError::Overflow.into()))
    });
    simulated.collect()
}

/// What each price of the fleet becomes; none where nothing changes.
fn prices(fleet: &Fleet<'_>, offer: &Offer) -> Result<Vec<UsagePrice>, PricingError> {
    let of = |(plan, own): &(&PlanId, &UsagePrice)| {
        let candidate = match offer {
            Offer::InForce | Offer::Catalog => return Ok((*own).clone()),
            Offer::Major(major) => Candidate::Amount(in_minor(*major, plan.currency).map_err(|error| {
                CatalogFault::new("the candidate price", format!("{major} {}: {error}", plan.currency))
            })?),
            Offer::Price { price, .. } => Candidate::Price(price.clone()),
        };
        Ok(with_candidate(own, &candidate)?)
    };
    if *offer == Offer::InForce { Ok(Vec::new()) } else { fleet.prices.iter().map(of).collect() }
}

/// The prices from the first to the last in steps; `None` where the step leads nowhere or there are more than `most`.
pub fn range(from: UnitAmount, to: UnitAmount, step: UnitAmount, most: usize) -> Option<Vec<UnitAmount>> {
    let mut prices = vec![from];
    while let Some(next) = plus(*prices.last()?, step).filter(|next| *next <= to) {
        prices.push(next);
        if prices.len() > most || step <= UnitAmount::ZERO {
            return None;
        }
    }
    (from <= to).then_some(prices)
}

/// Major units as Stripe's API counts them: 5 of a currency with cents are 500.
pub fn in_minor(major: UnitAmount, currency: Currency) -> Result<UnitAmount, NumberError> {
    UnitAmount::parse(&format!("{major}e{}", currency.exponent()))
}

fn plus(one: UnitAmount, other: UnitAmount) -> Option<UnitAmount> {
    let ((whole, fraction), (more, rest)) = (one.floor_and_fraction(), other.floor_and_fraction());
    Some(UnitAmount::from_floor_and_fraction(whole.checked_add(more)?, fraction.checked_add(rest)?))
}

/// The same price as people read it, with all its places: 0.9 cents are 0.009.
pub fn in_major(minor: UnitAmount, currency: Currency) -> String {
    let text = minor.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = currency.exponent() as usize;
    let whole = format!("{whole:0>width$}", width = places + 1);
    let (whole, cents) = whole.split_at(whole.len() - places);
    let point = if cents.is_empty() && fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{cents}{fraction}")
}

/// `None` beyond 64 bits.
fn with_usage(bill: &Bill<'_>, usage_minor: i64, shock: Shock) -> Option<Simulated> {
    let bill_minor = bill.rest_minor.checked_add(usage_minor)?;
    let change_minor = bill_minor.checked_sub(bill.in_force_minor)?;
    Some(Simulated {
        usage_minor,
        bill_minor,
        change_minor,
        is_better_on_next_plan: bill.next_plan_minor.is_some_and(|next| next < bill_minor),
        is_shock: shock.is_exceeded(change_minor, bill.in_force_minor),
    })
}

impl Shock {
    const MOST_PERCENT: u64 = 1_000_000;

    pub fn new(percent: Quantity) -> Option<Self> {
        let most = Quantity::whole(Self::MOST_PERCENT).ok()?;
        (percent >= Quantity::ZERO && percent <= most).then_some(Self(percent))
    }

    pub fn percent(self) -> Quantity {
        self.0
    }

    /// `change / before > percent / 100`, without a division; anything more than nothing is above all percentages. Below
    /// 2⁶³ × 2⁶⁰ on either side.
    fn is_exceeded(self, change_minor: i64, before_minor: i64) -> bool {
        let hundred = 100 * ONE;
        change_minor > 0 && i128::from(change_minor) * hundred > self.0.scaled() * i128::from(before_minor)
    }
}

/// What the usage comes to, by currency.
pub fn revenue(
    fleet: &Fleet<'_>,
    simulated: &[Simulated],
) -> Result<BTreeMap<Currency, MinorSum>, MoneyError> {
    let mut sums = BTreeMap::new();
    for (bill, one) in fleet.bills.iter().zip(simulated) {
        let currency = bill.plan.currency;
        let sum = sums.entry(currency).or_insert(MinorSum::zero(currency));
        *sum = sum.checked_add(MinorAmount::new(one.usage_minor, currency))?;
    }
    Ok(sums)
}

/// The bills that are a shock, with those that grow most in proportion first, by their place in the fleet.
pub fn shocks(fleet: &Fleet<'_>, simulated: &[Simulated], currency: Currency) -> Vec<usize> {
    let mut shocks: Vec<(usize, &Bill<'_>, i64)> = (fleet.bills.iter().zip(simulated).enumerate())
        .filter(|(_, (bill, one))| one.is_shock && bill.plan.currency == currency)
        .map(|(place, (bill, one))| (place, bill, one.change_minor))
        .collect();
    shocks.sort_by(|(_, one, change), (_, other, other_change)| {
        let worse = growth(*other_change, other.in_force_minor, *change, one.in_force_minor);
        let larger = || other_change.cmp(change);
        worse.then_with(larger).then_with(|| {
            (one.tenant_id, one.window, one.plan).cmp(&(other.tenant_id, other.window, other.plan))
        })
    });
    shocks.into_iter().map(|(place, ..)| place).collect()
}

/// Compares two growths by cross-multiplication; from nothing is more than from anything.
fn growth(change: i64, before: i64, other_change: i64, other_before: i64) -> Ordering {
    match (before, other_before) {
        (0, 0) => Ordering::Equal,
        (0, _) => Ordering::Greater,
        (_, 0) => Ordering::Less,
        _ => {
            let cross = |change: i64, before: i64| i128::from(change) * i128::from(before);
            cross(change, other_before).cmp(&cross(other_change, before))
        }
    }
}
