//! One draft against the ledger: what disagrees, what it comes to, and the likely cause.
//!
//! In: a candidate, meter totals, what is still to be pushed. Out: [`Disagreement`]s and the [`Finding`] that they make.
//! Pure. What cannot be compared is never called right, and never called wrong.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::intent::{Intent, IntentState};
use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::reconcile::{Class, Evidence, Source, compare_lines, compare_total, is_in_advance};
use crate::domain::tenant::{ParkReason, Tenant};
use crate::job::beside;
use crate::job::guard::Rules;
use crate::job::guard::finding::{Disagreement, Draft, Fault, Finding, Outcome};
use crate::job::guard::windows::Candidate;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::{Answers, owners};
use crate::job::standing::{MeterAtStripe, Standing};

/// What disagrees by the draft alone; or why nothing can be said.
pub fn compare(
    one: &Candidate<'_>,
    rules: &Rules,
    standing: &Standing,
    now: Timestamp,
) -> Result<Result<Vec<Disagreement>, String>, NumberError> {
    let invoice = one.invoice;
    if !invoice.lines_complete {
        return Ok(Err("its lines could not be read to the end".to_owned()));
    }
    let mut rows = Vec::new();
    let mut is_double = false;
    for (using, meter) in one.mapped.iter().flat_map(|mapped| used(mapped, standing)) {
        let row = compare_lines(
            &using.expected,
            Some(invoice),
            Source::Invoice,
            &meter.scope,
            &invoice.id,
            &Evidence::default(),
        )?;
        is_double |= has_two_items(invoice, meter, one.window.window);
        if row.class == Class::Incomplete {
            return Ok(Err(format!("a line of `{}` cannot be understood", using.meter)));
        }
        if row.is_difference() {
            rows.push(Disagreement::of(&row, Fault::Unknown, invoice.money.currency));
        }
    }
    // What the run would set aside is compared only where the draft itself tells why it does not fit.
    if let Some(reason) = one.park.filter(|reason| !(is_double && *reason == ParkReason::DoubleMeter)) {
        return Ok(Err(format!("the tenant is set aside ({}): {}", reason.as_str(), reason.next_step())));
    }
    if let Some(mapped) = &one.mapped {
        let others = beside::of_mapped(mapped, &Answers::default(), standing)?;
        let strays = others.iter().filter(|row| row.class == Class::MissingInLedger);
        rows.extend(strays.map(|row| Disagreement::of(row, Fault::NotSold, invoice.money.currency)));
    }
    rows.extend(base_fee(one, rules, standing, now));
    Ok(Ok(rows))
}

/// What of the rows is wrong, what a run still mends, and what settles by itself.
pub fn finding(
    one: &Candidate<'_>,
    rows: &[Disagreement],
    answers: &Answers,
    standing: &Standing,
    sending: impl Fn(&str) -> Sending,
) -> Result<Finding, NumberError> {
    let mut named = Vec::new();
    for row in rows {
        let of_meter = |(using, _): &(&MeterUse, _)| Some(&using.meter) == row.meter.as_ref();
        let used = one.mapped.iter().flat_map(|mapped| used(mapped, standing)).find(of_meter);
        let fault = match (row.fault, used, &one.mapped) {
            (Fault::Unknown, Some((using, meter)), Some(mapped)) => {
                let case = Case { one, mapped, using, meter, standing };
                case.fault(row, answers, &sending(&using.meter))?
            }
            (fault, ..) => fault,
        };
        named.push(Disagreement { fault, ..row.clone() });
    }
    let outcome = named.iter().map(|row| row.fault.outcome()).min().unwrap_or(Outcome::Uncompared);
    Ok(Finding { draft: Draft::of(one), outcome, rows: named, why: String::new() })
}

/// What we ourselves have sent of a meter, and whether more of the tenant is to be sent.
pub struct Sending {
    pub is_planned: bool,
    pub intents: Vec<Intent>,
}

struct Case<'a> {
    one: &'a Candidate<'a>,
    mapped: &'a Mapped,
    using: &'a MeterUse,
    meter: &'a MeterAtStripe,
    standing: &'a Standing,
}

impl Case<'_> {
    fn fault(&self, row: &Disagreement, answers: &Answers, sending: &Sending) -> Result<Fault, NumberError> {
        let lines = self.lines();
        if has_two_items(self.one.invoice, self.meter, self.one.window.window) {
            return Ok(Fault::DoubleItem);
        }
        if lines.is_empty() {
            return Ok(Fault::NoLine);
        }
        if lines.iter().any(|line| !self.is_in_force(line)) {
            return Ok(Fault::OtherPrice);
        }
        if !row.is_of_quantity() {
            return Ok(Fault::Price);
        }
        let Some(total) = answers.total(self.mapped, &self.using.meter) else { return Ok(Fault::Unknown) };
        let at_meter =
            compare_total(&self.using.expected, Some(total), &self.meter.id, &Evidence::default())?;
        let lacks = at_meter.stripe_quantity < at_meter.ledger_quantity;
        let is_sent = sending.intents.iter().any(|one| one.state == IntentState::Sent);
        Ok(match at_meter.class {
            Class::Matched => Fault::Stale,
            _ if sending.is_planned => Fault::ToPush,
            _ if lacks && is_sent => Fault::NotShown,
            _ if lacks => Fault::NotSent,
            _ => Fault::TooMuch,
        })
    }

    fn lines(&self) -> Vec<&InvoiceLine> {
        usage_lines(self.one.invoice, self.meter, self.one.window.window).collect()
    }

    /// By the price that one of the window's plans has in force.
    fn is_in_force(&self, line: &InvoiceLine) -> bool {
        let plans = self.one.window.invoiced().map(|segment| &segment.subscription.plan);
        let mut in_force =
            plans.filter_map(|plan| self.standing.in_force.get(&(plan.clone(), self.using.meter.clone())));
        in_force.any(|price| line.price_id.as_ref() == Some(price))
    }
}

fn used<'a>(
    mapped: &'a Mapped,
    standing: &'a Standing,
) -> impl Iterator<Item = (&'a MeterUse, &'a MeterAtStripe)> {
    mapped.meters.iter().filter_map(|using| Some((using, standing.meters.get(&using.meter)?)))
}

fn usage_lines<'a>(
    invoice: &'a Invoice,
    meter: &MeterAtStripe,
    window: Window,
) -> impl Iterator<Item = &'a InvoiceLine> {
    invoice
        .lines
        .iter()
        .filter(move |line| meter.scope.holds(line) && line.period.intersection(window).is_some())
}

fn has_two_items(invoice: &Invoice, meter: &MeterAtStripe, window: Window) -> bool {
    let items: BTreeSet<_> =
        usage_lines(invoice, meter, window).map(|line| line.subscription_item_id.as_deref()).collect();
    items.len() > 1
}

/// The fee of the window that begins, against the plan that holds then. Other licensed items may stand beside it.
fn base_fee(one: &Candidate<'_>, rules: &Rules, standing: &Standing, now: Timestamp) -> Option<Disagreement> {
    let begins = one.window.window.end;
    let row = one.window.tenant.subscriptions().iter().find(|row| row.span().contains(begins));
    let row = row.filter(|row| row.status.is_invoiced());
    // A trial costs nothing, and of a plan that is not there nothing is known.
    if row.is_some_and(|row| row.trial_end.is_some_and(|end| begins < end)) || begins > now {
        return None;
    }
    let plan = match row {
        Some(row) => Some(rules.catalog.plans.get(&row.plan)?),
        None => None,
    };
    let amount = plan.map_or(0, |plan| plan.amount_minor);
    let is_usage = |line: &InvoiceLine| standing.meters.values().any(|meter| meter.scope.holds(line));
    let mut by_price: BTreeMap<Option<&str>, i128> = BTreeMap::new();
    for line in one.invoice.lines.iter().filter(|line| is_in_advance(one.invoice, line) && !is_usage(line)) {
        *by_price.entry(line.price_id.as_deref()).or_default() += i128::from(line.amount_minor);
    }
    let sum: i128 = by_price.values().sum();
    let fits = if amount == 0 {
        plan.is_some() || sum == 0
    } else {
        by_price.values().any(|fee| *fee == i128::from(amount))
    };
    (!fits).then(|| Disagreement {
        meter: None,
        ledger_quantity: None,
        draft_quantity: None,
        ledger_amount: i128::from(amount),
        draft_amount: sum,
        currency: one.invoice.money.currency,
        fault: Fault::BaseFee,
    })
}

/// Drafts that are not understood, and may be ours.
pub fn unread(standing: &Standing, tenants: &[Tenant]) -> Vec<Finding> {
    let owners = owners(tenants);
    let found = standing.unread_invoices.iter().filter_map(|one| {
        let subscription_id = one.subscription_id.clone().unwrap_or_default();
        let tenant_id = owners.get(subscription_id.as_str()).copied();
        if tenant_id.is_none() && one.subscription_id.is_some() {
            return None;
        }
        let draft = Draft {
            tenant_id: tenant_id.unwrap_or_default().to_owned(),
            invoice_id: one.id.clone().unwrap_or_default(),
            subscription_id,
            customer_id: String::new(),
            window: None,
            finalizes_at: None,
        };
        Some(Finding::uncompared(draft, format!("Stripe's answer is not understood: {}", one.what)))
    });
    found.collect()
}
