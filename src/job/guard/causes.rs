//! Causes of what differs on drafts: the same evidence, the same order and the same words as those of a run, and what the next
//! run would make of each.
//!
//! In: candidates that disagree. Out: a [`Finding`] for each. It asks Stripe what a run asks, plans the pushes that the next run
//! would make, and sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::intent::PushMode;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;
use crate::domain::reconcile::{Cause, Class, Evidence, ReconciliationRow, Source, compare_total};
use crate::domain::tenant::ParkReason;
use crate::job::bounds;
use crate::job::compare::{Compared, Sides};
use crate::job::evidence::look::SecondLook;
use crate::job::guard::Case;
use crate::job::guard::draft::{Doubt, set_aside};
use crate::job::guard::finding::{Disagreement, Draft, Finding, Outcome};
use crate::job::guard::windows::{Candidate, unclosed};
use crate::job::intents::Intents;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::push::{self, PushPlan};
use crate::job::reading::{Answers, read_totals};
use crate::job::send;

pub async fn findings(differing: &[(Candidate<'_>, Doubt)], case: &Case<'_>) -> anyhow::Result<Vec<Finding>> {
    let of_usage = || differing.iter().filter(|(_, doubt)| doubt.is_of_usage);
    let mapped: Vec<Mapped> = of_usage().filter_map(|(one, _)| one.mapped.clone()).collect();
    let units = of_usage().filter(|(_, doubt)| doubt.is_of_units);
    let asked: BTreeSet<(&str, Window)> =
        units.map(|(one, _)| (one.window.tenant.id(), one.window.window)).collect();
    let mut answers = Answers::default();
    let is_asked = |one: &Mapped| asked.contains(&(one.tenant_id.as_str(), one.window));
    read_totals(&mapped, is_asked, case.wire, case.standing, &mut answers).await?;
    // Nothing is sent for who does not fit.
    let fits = of_usage().filter(|(one, _)| one.park.is_none()).filter_map(|(one, _)| one.mapped.clone());
    let fits: Vec<Mapped> = fits.filter(|one| !answers.is_without_customer(one)).collect();
    let next = NextRun::plan(&fits, &mapped, answers, case).await?;
    let compared = next.compare(&mapped, case).await?;
    let rows: BTreeMap<(&str, Window), &[ReconciliationRow]> = mapped
        .iter()
        .zip(&compared)
        .map(|(one, rows)| ((one.tenant_id.as_str(), one.window), &*rows.rows))
        .collect();
    let finding = |(one, doubt): &(Candidate<'_>, Doubt)| -> anyhow::Result<Finding> {
        let rows = rows.get(&(one.window.tenant.id(), one.window.window)).copied().unwrap_or_default();
        Ok(next.finding(one, doubt, rows, case)?)
    };
    differing.iter().map(finding).collect()
}

/// What the next run would do, as far as anybody can tell now.
struct NextRun {
    /// With what is settled by the totals.
    intents: Intents,
    /// The meters' totals as they are.
    now: Answers,
    /// The same once all has arrived that goes out or is on its way.
    after: Answers,
    parked: BTreeMap<(String, Window), ParkReason>,
    /// Pushing is switched off: no run sends anything.
    is_off: bool,
}

impl NextRun {
    async fn plan(
        fits: &[Mapped],
        mapped: &[Mapped],
        mut answers: Answers,
        case: &Case<'_>,
    ) -> anyhow::Result<Self> {
        let Case { settings, wire, store, now, .. } = *case;
        let mut intents = Intents::new(match reach(mapped) {
            Some(reach) => store.books().snapshot().await?.intents(reach).await?,
            None => Vec::new(),
        });
        let held_back = held_back(fits, case).await?;
        let mut plan = push::plan(fits, &intents, &answers, wire, held_back, now)?;
        let waiting = plan.waiting(fits);
        let rest = push::plan_rest(&plan, &waiting, &intents, &answers, wire, now)?;
        plan.add(rest.only_new());
        let PushPlan { sends, settled, unbillable, mut parked, .. } = plan;
        for one in settled.into_iter().chain(unbillable) {
            intents.put(one);
        }
        parked.append(&mut answers.without_customer);
        let is_off = wire.push == PushMode::Push && send::is_off(&settings.off_switch);
        let mut arrive = if is_off { Vec::new() } else { sends };
        if wire.push == PushMode::Push {
            let fits = || fits.iter().flat_map(|one| one.meters.iter().map(move |using| (one, using)));
            let known = fits().flat_map(|(one, using)| intents.of(one, &using.meter));
            arrive.extend(known.filter(|one| one.may_yet_show(now)));
        }
        let known = intents.assuming(&[], &arrive);
        let after = answers.assuming(fits, &known, &arrive)?;
        Ok(Self { intents, now: answers, after, parked, is_off })
    }

    /// As a run does, with a second look where the application sends.
    async fn compare(&self, mapped: &[Mapped], case: &Case<'_>) -> anyhow::Result<Vec<Compared>> {
        let Case { settings, rules, standing, wire, store, now, .. } = *case;
        let tolerances = &settings.tolerances;
        let sides = Sides { intents: &self.intents, answers: &self.now, standing, wire, tolerances, now };
        let mut compared = sides.compare(mapped)?;
        let (meters, settle_delay) = (&rules.catalog.meters, settings.settle_delay);
        let second = SecondLook { sides, meters, ledger: &store.ledger(), settle_delay };
        second.look(mapped, &mut compared).await?;
        Ok(compared)
    }

    fn finding(
        &self,
        one: &Candidate<'_>,
        doubt: &Doubt,
        rows: &[ReconciliationRow],
        case: &Case<'_>,
    ) -> Result<Finding, NumberError> {
        let currency = one.invoice.money.currency;
        let park = self.parked.get(&(one.window.tenant.id().to_owned(), one.window.window)).copied();
        let on_draft = rows.iter().filter(|row| row.source == Source::Invoice && row.is_difference());
        let mut named: Vec<Disagreement> = doubt.base_fee.iter().cloned().collect();
        for row in on_draft {
            let used = one.mapped.iter().find_map(|mapped| Some((mapped, used(mapped, row)?)));
            let outcome = match used {
                Some((mapped, using)) => self.outcome(row, mapped, using, case)?,
                None => Outcome::Wrong,
            };
            named.push(Disagreement::of(row, outcome, currency));
        }
        let outcome = named.iter().map(|row| row.outcome).min().unwrap_or(Outcome::Uncompared);
        let why = match park {
            Some(reason) => set_aside(reason),
            None if self.is_off && outcome == Outcome::Wrong => {
                "pushing is switched off: no run sends what is missing".to_owned()
            }
            None => String::new(),
        };
        Ok(Finding { draft: Draft::of(one), outcome, rows: named, why })
    }

    /// Right in the end only if nothing but units is wrong, and these come to what the ledger says.
    fn outcome(
        &self,
        row: &ReconciliationRow,
        one: &Mapped,
        using: &MeterUse,
        case: &Case<'_>,
    ) -> Result<Outcome, NumberError> {
        let of_items = [Cause::Mapping, Cause::Trial, Cause::DoubleMeter, Cause::MidCycleChange];
        let is_of_items = row.reason.is_some_and(|cause| of_items.contains(&cause));
        if is_of_items || !is_at_its_price(row, using) {
            return Ok(Outcome::Wrong);
        }
        let agrees = |answers: &Answers| -> Result<bool, NumberError> {
            let Some(total) = answers.total(one, &using.meter) else { return Ok(false) };
            let row = compare_total(&using.expected, Some(total), "", &Evidence::default())?;
            Ok(case.settings.tolerances.settle(row).class == Class::Matched)
        };
        Ok(match self.parked.get(&key(one)) {
            _ if agrees(&self.now)? => Outcome::Settles,
            // Of what others have sent, too, nobody can tell what it will come to.
            None | Some(ParkReason::OverageBound | ParkReason::PeriodBound) if agrees(&self.after)? => {
                Outcome::NeedsRun
            }
            Some(ParkReason::OverageBound | ParkReason::PeriodBound) if is_only_unsent(row) => {
                Outcome::Uncompared
            }
            _ => Outcome::Wrong,
        })
    }
}

fn key(one: &Mapped) -> (String, Window) {
    (one.tenant_id.clone(), one.window)
}

/// The meter of a row, where the row compares it.
fn used<'a>(one: &'a Mapped, row: &ReconciliationRow) -> Option<&'a MeterUse> {
    let compared = row.ledger_quantity.is_some();
    one.meters.iter().find(|using| compared && using.meter == row.meter)
}

/// Whether the money differs by what the units come to at the price in force, and by nothing else.
fn is_at_its_price(row: &ReconciliationRow, using: &MeterUse) -> bool {
    let Some((units, amount)) = row.difference_quantity().zip(row.difference_amount()) else { return false };
    using.rates.as_ref().map_or(amount == 0, |rates| {
        [false, true].into_iter().any(|is_of_first| rates.effect(units, is_of_first) == Some(amount))
    })
}

fn is_only_unsent(row: &ReconciliationRow) -> bool {
    row.reason == Some(Cause::NotPushed) && row.unexplained_quantity().is_some_and(Quantity::is_zero)
}

/// The windows for which the bounds keep the next run from sending. A cap of the period counts all that is in it.
async fn held_back(
    fits: &[Mapped],
    case: &Case<'_>,
) -> anyhow::Result<BTreeMap<(String, Window), ParkReason>> {
    let Case { settings, rules, wire, store, .. } = *case;
    let bounds = &settings.bounds;
    let mut parked = BTreeMap::new();
    if wire.push == PushMode::Observe || bounds.are_off() {
        return Ok(parked);
    }
    let has_period_cap = bounds.caps.values().any(|caps| caps.period.is_some());
    for period in fits.iter().map(|one| one.period).collect::<BTreeSet<_>>() {
        let windows = if has_period_cap {
            unclosed(period, case).await?
        } else {
            fits.iter().filter(|one| one.period == period).cloned().collect()
        };
        let (charges, books) = (bounds::charges(&windows, &rules.catalog)?, store.books());
        parked.extend(bounds::exceeded(bounds, &charges, period, &rules.parking, wire.push, &books).await?);
    }
    Ok(parked)
}

fn reach(mapped: &[Mapped]) -> Option<Window> {
    let start = mapped.iter().map(|one| one.window.start).min()?;
    let end = mapped.iter().map(|one| one.window.end).max()?;
    Some(Window { start, end })
}
