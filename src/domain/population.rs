//! Who is counted: the tenants that paid for a whole window on one plan.
//!
//! In: the figures of a period's windows, and the catalog that each was closed with. Out: a [`Population`] for a plan and
//! meter, and for each window why it is left out. The figures alone decide, so a closed period can be judged again whatever
//! the tenants' rows say by then. Never counts a window that is not closed.

use crate::domain::catalog::{Catalog, Plan};
use crate::domain::figures::{Disposition, Stretch, WindowFigures, WindowStatus};
use crate::domain::metrics::{Member, Population};
use crate::domain::money::MinorAmount;
use crate::domain::number::Quantity;
use crate::domain::rating::LineKind;

/// Whether a window counts, or why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counting {
    Counted,
    /// Its usage is not final.
    Open,
    Parked,
    Trial,
    /// Several plans, or several subscriptions, in one window.
    Mixed,
    /// The tenant had the plan for a part of the window only.
    Partial,
    /// The subscription has a status in which nobody pays.
    NotPaying,
}

impl Counting {
    pub fn of(figures: &WindowFigures) -> Self {
        match (figures.status, &figures.stretches[..]) {
            (WindowStatus::Open, _) => Self::Open,
            (WindowStatus::Parked, _) => Self::Parked,
            _ if figures.trial => Self::Trial,
            (WindowStatus::Closed, [Stretch { range, plan: Some(_), .. }]) if *range == figures.window => {
                if figures.paying {
                    Self::Counted
                } else {
                    Self::NotPaying
                }
            }
            (WindowStatus::Closed, stretches) => {
                let plans = stretches.iter().filter(|one| one.plan.is_some()).count();
                if plans > 1 { Self::Mixed } else { Self::Partial }
            }
        }
    }

    /// The word in `lines.csv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "yes",
            Self::Open => "open",
            Self::Parked => "parked",
            Self::Trial => "trial",
            Self::Mixed => "mixed",
            Self::Partial => "partial",
            Self::NotPaying => "not_paying",
        }
    }
}

/// The members of a plan and meter. `catalog_of` gives the version that a window was closed with; a window whose version
/// cannot be read is left out, as is one whose plan does not sell the meter.
pub fn population<'a, 'c>(
    (plan, meter): (&'a str, &'a str),
    figures: &'a [WindowFigures],
    catalog_of: impl Fn(&WindowFigures) -> Option<&'c Catalog>,
) -> Population<'a> {
    let mut population = Population { plan, meter, members: Vec::new(), left_out: 0 };
    let begun = figures.iter().filter(|one| one.status != WindowStatus::Open);
    let is_on = |one: &Stretch| one.plan.as_ref().is_some_and(|id| id.key == plan);
    for figures in begun.filter(|one| one.stretches.iter().any(is_on)) {
        match catalog_of(figures).and_then(|catalog| member(figures, meter, catalog)) {
            Some(member) => population.members.push(member),
            None => population.left_out += 1,
        }
    }
    population
}

fn member<'a>(figures: &'a WindowFigures, meter: &str, catalog: &Catalog) -> Option<Member<'a>> {
    let ([stretch], Counting::Counted) = (&figures.stretches[..], Counting::of(figures)) else { return None };
    let plan = catalog.plans.get(stretch.plan.as_ref()?)?;
    let price = plan.usage.get(meter)?;
    let used = figures.billable(stretch.range, meter);
    let used = used.map_or(Some(Quantity::ZERO), |usage| usage.used().to_quantity().ok())?;
    let mut of_meter =
        figures.lines.iter().filter(|line| line.line.kind != LineKind::Base && line.meter == meter);
    let overage = of_meter.try_fold(0i64, |sum, line| sum.checked_add(line.line.amount.minor))?;
    Some(Member {
        tenant_id: &figures.tenant_id,
        quota: price.free_quota,
        used,
        overage_amount: MinorAmount::new(overage, plan.id.currency),
        own_bill: figures.lines.iter().map(|line| i128::from(line.line.amount.minor)).sum(),
        next_plan_bill: next_plan(plan, meter, catalog).and_then(|next| bill_on(next, figures)),
    })
}

/// The plan one step up: same currency and interval, the next higher base fee, and it sells the meter.
pub fn next_plan<'a>(plan: &Plan, meter: &str, catalog: &'a Catalog) -> Option<&'a Plan> {
    let above = |other: &&Plan| {
        other.id.currency == plan.id.currency
            && other.id.interval == plan.id.interval
            && other.amount_minor > plan.amount_minor
            && other.usage.contains_key(meter)
    };
    catalog.plans.values().filter(above).min_by_key(|other| other.amount_minor)
}

/// What the same usage would cost on another plan; `None` where that plan does not sell all of it.
pub fn bill_on(plan: &Plan, figures: &WindowFigures) -> Option<i128> {
    let mut bill = i128::from(plan.amount_minor);
    for usage in figures.usage.iter().filter(|usage| usage.disposition == Disposition::Billable) {
        let used = usage.used().to_quantity().ok()?;
        let lines = plan.usage.get(&usage.meter)?.rate(used, plan.id.currency).ok()?;
        bill += lines.iter().map(|line| i128::from(line.amount.minor)).sum::<i128>();
    }
    Some(bill)
}
