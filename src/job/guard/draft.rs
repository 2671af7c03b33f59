//! One draft against the ledger, by the draft alone: whether it disagrees, so that something is asked about it.
//!
//! In: a candidate, the catalog, what stands at Stripe. Out: a [`Doubt`], or why nothing can be said. Pure. What cannot be compared
//! is never called right, and never called wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::reconcile::{Cause, Class, Evidence, Source, compare_lines, is_in_advance};
use crate::domain::tenant::ParkReason;
use crate::job::beside;
use crate::job::guard::Case;
use crate::job::guard::finding::{Disagreement, Draft, Finding, Outcome};
use crate::job::guard::windows::Candidate;
use crate::job::reading::Answers;
use crate::job::standing::{MeterAtStripe, Standing};

/// A draft that is not as the ledger says.
#[derive(Default)]
pub struct Doubt {
    /// Its usage differs, in units or in money.
    pub is_of_usage: bool,
    /// In units: then the meter is asked.
    pub is_of_units: bool,
    pub base_fee: Option<Disagreement>,
}

/// Whether it disagrees; or why nothing can be said.
pub fn compare(one: &Candidate<'_>, case: &Case<'_>) -> Result<Result<Option<Doubt>, String>, NumberError> {
    let (invoice, standing) = (one.invoice, case.standing);
    if !invoice.lines_complete {
        return Ok(Err("its lines could not be read to the end".to_owned()));
    }
    let mut doubt = Doubt::default();
    let mut is_double = false;
    for using in one.mapped.iter().flat_map(|mapped| &mapped.meters) {
        let Some(meter) = standing.meters.get(&using.meter) else { continue };
        let none = Evidence::default();
        let expected = &using.expected;
        let row = compare_lines(expected, Some(invoice), Source::Invoice, &meter.scope, &invoice.id, &none)?;
        let row = case.settings.tolerances.settle(row);
        if row.class == Class::Incomplete {
            return Ok(Err(format!("a line of `{}` cannot be understood", using.meter)));
        }
        is_double |= has_two_items(invoice, meter, one.window.window);
        doubt.is_of_usage |= row.is_difference();
        doubt.is_of_units |= row.is_difference() && row.stripe_quantity != row.ledger_quantity;
    }
    // What the run would set aside is compared only where the draft itself tells why it does not fit.
    if let Some(reason) = one.park.filter(|reason| !(is_double && *reason == ParkReason::DoubleMeter)) {
        return Ok(Err(set_aside(reason)));
    }
    if let Some(mapped) = &one.mapped {
        let others = beside::of_mapped(mapped, &Answers::default(), standing)?;
        doubt.is_of_usage |= others.iter().any(|row| row.class == Class::MissingInLedger);
    }
    doubt.base_fee = base_fee(one, case);
    Ok(Ok((doubt.is_of_usage || doubt.base_fee.is_some()).then_some(doubt)))
}

pub fn set_aside(reason: ParkReason) -> String {
    format!("the tenant is set aside ({}): {}", reason.as_str(), reason.next_step())
}

fn has_two_items(invoice: &Invoice, meter: &MeterAtStripe, window: Window) -> bool {
    let is_usage =
        |line: &&InvoiceLine| meter.scope.holds(line) && line.period.intersection(window).is_some();
    let items = invoice.lines.iter().filter(is_usage).map(|line| line.subscription_item_id.as_deref());
    items.collect::<BTreeSet<_>>().len() > 1
}

/// The fee of the window that begins, against the plan that holds then. Other licensed items may stand beside it.
fn base_fee(one: &Candidate<'_>, case: &Case<'_>) -> Option<Disagreement> {
    let Case { rules, standing, now, .. } = *case;
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
        reason: Some(Cause::PricingDiff),
        outcome: Outcome::Wrong,
        next_step:
            "finance: the base fee is not that of the tenant's plan; mend the item at Stripe or the catalog"
                .to_owned(),
    })
}

/// Drafts that are not understood, and may be ours.
pub fn unread(standing: &Standing, owners: &BTreeMap<&str, &str>) -> Vec<Finding> {
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
