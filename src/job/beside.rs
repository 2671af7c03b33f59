//! Beside: what stands on invoices and is no usage that is compared.
//!
//! In: mapped windows and Stripe's answers; the windows that are not mapped, with the invoices that belong to them. Out: rows
//! for all kinds of an invoice. Pure. No invoice of a subscription of ours is lost: each belongs to one window, by the
//! usage that it bills, else by the time at which it was made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::invoice::{Invoice, InvoiceLine, InvoiceStatus};
use crate::domain::number::NumberError;
use crate::domain::reconcile::{MeterLines, OneInvoice, ReconciliationRow, Source, Told, beside};
use crate::domain::tenant::TenantWindow;
use crate::job::compare::{Compared, invoice};
use crate::job::due::PeriodWindows;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::{Answers, Preview};
use crate::job::stage::{MADE_WITHIN, Stage, served};
use crate::job::standing::{MeterAtStripe, Standing};

/// How long before a window's end an invoice of it is looked for: a month, and of a year its last one.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(32 * 24);

/// The oldest instant at which an invoice that is of interest to a window can have been made.
pub fn since(window: &TenantWindow<'_>, now: Timestamp) -> Timestamp {
    let end = served(window).end;
    // Until it has ended none of its invoices is asked for.
    if now < end {
        return end;
    }
    end.checked_sub(LOOK_BACK).map_or(window.window.start, |earliest| earliest.max(window.window.start))
}

/// Base fee, tax and whatever else stands on the invoice of a mapped window, or on its preview.
pub fn of_mapped(
    one: &Mapped,
    answers: &Answers,
    standing: &Standing,
) -> Result<Vec<ReconciliationRow>, NumberError> {
    let (invoice, source) = match one.stage {
        Stage::Open => match answers.preview(one) {
            Preview::Next(invoice) => (Some(&**invoice), Source::Preview),
            Preview::Nothing | Preview::Unreadable => (None, Source::Preview),
        },
        Stage::Ended | Stage::Final => (invoice(one, standing), Source::Invoice),
    };
    let Some(invoice) = invoice else { return Ok(Vec::new()) };
    let is_mapped = |meter: &str| one.meters.iter().any(|using| using.meter == meter);
    let told = |meter: &str| if is_mapped(meter) { Told::Compared } else { Told::Nowhere };
    let bill = OneInvoice {
        tenant_id: &one.tenant_id,
        plan: one.meters.first().map_or("", |using: &MeterUse| using.expected.plan.key.as_str()),
        window: one.window,
        invoice,
        source,
        id: if source == Source::Preview { &one.subscription_id } else { &invoice.id },
    };
    beside(&bill, &meters(standing, told))
}

/// The invoices of windows that are set aside, inactive or without usage prices, and those that a mapped window has beside
/// its own. `parked` holds tenant and start of the windows that are set aside.
pub fn of_others(
    windows: &PeriodWindows<'_>,
    mapped: &[Mapped],
    parked: &BTreeSet<(String, Timestamp)>,
    standing: &Standing,
    stage: impl Fn(&TenantWindow<'_>) -> Stage,
) -> Result<Vec<Compared>, NumberError> {
    let matched: BTreeSet<&str> = mapped.iter().filter_map(|one| one.invoice_id.as_deref()).collect();
    let mut all = Vec::new();
    for window in windows.due.iter().chain(&windows.open).chain(&windows.without_plan) {
        if stage(window) == Stage::Open {
            continue;
        }
        let key = (window.tenant.id().to_owned(), window.window.start);
        let told = if parked.contains(&key) { Told::SetAside } else { Told::Nowhere };
        let mut rows = Vec::new();
        for invoice in invoices_of(window, standing).filter(|one| !matched.contains(one.id.as_str())) {
            let bill = OneInvoice {
                tenant_id: window.tenant.id(),
                plan: window.segments.last().map_or("", |one| one.subscription.plan.key.as_str()),
                window: window.window,
                invoice,
                source: Source::Invoice,
                id: &invoice.id,
            };
            rows.extend(beside(&bill, &meters(standing, |_| told))?);
        }
        if !rows.is_empty() {
            all.push(Compared { tenant_id: key.0, window_start: key.1, rows });
        }
    }
    Ok(all)
}

fn meters<'a>(standing: &'a Standing, told: impl Fn(&str) -> Told) -> Vec<MeterLines<'a>> {
    let lines = |(meter, at): (&'a String, &'a MeterAtStripe)| MeterLines {
        meter,
        scope: &at.scope,
        told: told(meter),
    };
    standing.meters.iter().map(lines).collect()
}

/// All invoices of the tenant's subscriptions that belong to this window. A void one bills nothing.
fn invoices_of<'a>(window: &TenantWindow<'_>, standing: &'a Standing) -> impl Iterator<Item = &'a Invoice> {
    let rows = window.tenant.subscriptions().iter();
    let ids: BTreeSet<&str> = rows.map(|row| row.stripe_subscription_id.as_str()).collect();
    let (window, earliest) = (window.window, served(window).end.checked_sub(LOOK_BACK));
    let belongs = move |one: &&Invoice| {
        let is_in_reach = earliest.as_ref().is_ok_and(|earliest| *earliest <= one.created);
        one.status != InvoiceStatus::Void && is_in_reach && window.contains(instant(one, standing))
    };
    let found: BTreeMap<&str, &Vec<Invoice>> =
        ids.into_iter().filter_map(|id| Some((id, standing.invoices.get(id)?))).collect();
    found.into_values().flatten().filter(belongs)
}

/// An instant of the window that the invoice belongs to: in the usage that it bills, in the window that it renews, or that
/// of its making.
fn instant(invoice: &Invoice, standing: &Standing) -> Timestamp {
    let is_usage = |line: &&InvoiceLine| standing.meters.values().any(|meter| meter.scope.holds(line));
    let begins = invoice.billing_reason == "subscription_create";
    let ends = invoice.lines.iter().filter(is_usage).map(|line| line.period.end).max();
    let within = match ends.filter(|_| !begins) {
        Some(end) => end.checked_sub(SignedDuration::from_nanos(1)),
        None if invoice.billing_reason == "subscription_cycle" => invoice.created.checked_sub(MADE_WITHIN),
        None => Ok(invoice.created),
    };
    within.unwrap_or(invoice.created)
}
