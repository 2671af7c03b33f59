//! Bills: what each tenant pays for its closed windows now, apart from a plan and meter, and with them.
//!
//! In: closed windows with the catalogs that they closed with. Out: a [`Fleet`] of bills on one plan key and meter, ready to be
//! priced again and again. Never takes a trial, a parked window or one whose layout nobody knows: they are counted.

use crate::domain::catalog::{Billing, Catalog, Plan, PlanId, UsagePrice};
use crate::domain::figures::{Disposition, WindowFigures, WindowLine, WindowStatus};
use crate::domain::money::{Currency, MoneyError};
use crate::domain::number::Quantity;
use crate::domain::period::{Interval, Period, Window};
use crate::domain::population::next_plan;
use crate::domain::pricing::{Part, PricingError, amount, parts};
use crate::domain::rating::{LineKind, RatingError};

/// A meter of the plans with one key.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    pub plan: &'a str,
    pub meter: &'a str,
    /// `None`: each.
    pub currency: Option<Currency>,
    pub interval: Option<Interval>,
}

impl Selection<'_> {
    pub fn holds(&self, id: &PlanId) -> bool {
        id.key == self.plan
            && self.currency.is_none_or(|currency| currency == id.currency)
            && self.interval.is_none_or(|interval| interval == id.interval)
    }
}

/// One closed window of one tenant. Amounts are minor units of the plan's currency.
#[derive(Clone, Debug)]
pub struct Bill<'a> {
    pub period: Period,
    pub tenant_id: &'a str,
    pub window: Window,
    pub plan: &'a PlanId,
    /// What it used of the meter on the plan.
    pub used: Quantity,
    pub(in crate::domain::pricing) parts: Vec<Part>,
    /// Which of the fleet's prices it closed with.
    pub(in crate::domain::pricing) price: usize,
    /// What Stripe charges for that usage now: nothing in shadow.
    pub usage_in_force_minor: i64,
    /// The base fee, and what Stripe charges for all other usage now.
    pub(in crate::domain::pricing) rest_minor: i64,
    /// Base fee and usage.
    pub in_force_minor: i64,
    /// What the same usage costs on the next plan; `None` where there is none, it does not sell all of it, or the window
    /// was not on one plan.
    pub next_plan_minor: Option<i64>,
}

/// Closed windows that have no place in a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub trials: u64,
    pub parked: u64,
    /// The layout or the catalog that it closed with cannot be read.
    pub unknown: u64,
}

#[derive(Debug, Default)]
pub struct Fleet<'a> {
    pub bills: Vec<Bill<'a>>,
    /// Each price that some of them closed with.
    pub(in crate::domain::pricing) prices: Vec<(&'a PlanId, &'a UsagePrice)>,
    pub left_out: LeftOut,
}

impl<'a> Fleet<'a> {
    /// Adds the bills of a window on the plans of a selection; `catalog` is the version that it closed with.
    pub fn add(
        &mut self,
        selection: &Selection<'_>,
        (period, figures): (Period, &'a WindowFigures),
        catalog: Option<&'a Catalog>,
    ) -> Result<(), PricingError> {
        let of_stretches = figures.stretches.iter().filter_map(|stretch| stretch.plan.as_ref());
        let of_lines = figures.lines.iter().map(|line| &line.plan);
        let mut ids: Vec<&PlanId> = of_stretches.chain(of_lines).filter(|id| selection.holds(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(catalog) = catalog.filter(|_| !figures.stretches.is_empty()) else {
                self.left_out.unknown += 1;
                continue;
            };
            let Some((plan, price)) = sold(catalog, id, selection.meter) else { continue };
            match figures.status {
                WindowStatus::Closed if !figures.trial => {
                    let at = || "the price in force".to_owned();
                    let failed =
                        |cause| PricingError::Bill { tenant_id: figures.tenant_id.clone(), at: at(), cause };
                    let window = Closed { period, figures, plan, meter: selection.meter, catalog };
                    let bill = window.bill(self.index_of(&plan.id, price)).map_err(failed)?;
                    self.bills.extend(bill);
                }
                WindowStatus::Closed => self.left_out.trials += 1,
                WindowStatus::Open | WindowStatus::Parked => self.left_out.parked += 1,
            }
        }
        Ok(())
    }

    fn index_of(&mut self, plan: &'a PlanId, price: &'a UsagePrice) -> usize {
        let known = self.prices.iter().position(|one| *one == (plan, price));
        known.unwrap_or_else(|| {
            self.prices.push((plan, price));
            self.prices.len() - 1
        })
    }
}

fn sold<'a>(catalog: &'a Catalog, id: &PlanId, meter: &str) -> Option<(&'a Plan, &'a UsagePrice)> {
    let plan = catalog.plans.get(id)?;
    Some((plan, plan.usage.get(meter)?))
}

/// A closed window, looked at on one of its plans.
struct Closed<'a, 's> {
    period: Period,
    figures: &'a WindowFigures,
    plan: &'a Plan,
    meter: &'s str,
    catalog: &'a Catalog,
}

impl<'a> Closed<'a, '_> {
    /// `None` where the plan was never invoiced in it.
    fn bill(&self, price: usize) -> Result<Option<Bill<'a>>, RatingError> {
        let (figures, plan) = (self.figures, self.plan);
        let parts = parts(figures, &plan.id, self.meter)?;
        if parts.is_empty() {
            return Ok(None);
        }
        let used = parts.iter().try_fold(Quantity::ZERO, |sum, part| sum.checked_add(part.used))?;
        let (mut usage_in_force_minor, mut rest_minor) = (0i64, 0i64);
        for line in figures.lines.iter().filter(|line| line.plan.currency == plan.id.currency) {
            let is_of_meter = line.meter == self.meter && line.plan == plan.id;
            let sum = if is_of_meter { &mut usage_in_force_minor } else { &mut rest_minor };
            *sum = sum.checked_add(self.charged_minor(line)).ok_or(MoneyError::Overflow)?;
        }
        Ok(Some(Bill {
            period: self.period,
            tenant_id: &figures.tenant_id,
            window: figures.window,
            plan: &plan.id,
            used,
            next_plan_minor: self.on_next_plan(&parts)?,
            parts,
            price,
            usage_in_force_minor,
            rest_minor,
            in_force_minor: usage_in_force_minor.checked_add(rest_minor).ok_or(MoneyError::Overflow)?,
        }))
    }

    /// A usage line is charged where its plan bills live.
    fn charged_minor(&self, line: &WindowLine) -> i64 {
        let is_live = sold(self.catalog, &line.plan, &line.meter)
            .is_some_and(|(_, price)| price.billing == Billing::Live);
        if line.line.kind == LineKind::Base || is_live { line.line.amount.minor } else { 0 }
    }

    /// This meter at the next plan's catalog price, the others as Stripe would charge for them there now.
    fn on_next_plan(&self, parts: &[Part]) -> Result<Option<i64>, RatingError> {
        let invoiced = self.figures.stretches.iter().filter(|stretch| stretch.invoiced).count();
        let ([Part { range, .. }], 1) = (parts, invoiced) else { return Ok(None) };
        let Some(next) = next_plan(self.plan, self.meter, self.catalog) else { return Ok(None) };
        let mut billable =
            self.figures.usage.iter().filter(|usage| usage.disposition == Disposition::Billable);
        if !billable.all(|usage| next.usage.contains_key(&usage.meter)) {
            return Ok(None);
        }
        let mut bill = next.amount_minor;
        for (meter, price) in &next.usage {
            if meter != self.meter && price.billing == Billing::Shadow {
                continue;
            }
            let used = self.figures.billable(*range, meter).map(|usage| usage.used().to_quantity());
            let part = Part { range: *range, used: used.transpose()?.unwrap_or_default() };
            let minor = amount(&[part], self.figures.window, price, next.id.currency)?;
            bill = bill.checked_add(minor).ok_or(MoneyError::Overflow)?;
        }
        Ok(Some(bill))
    }
}
