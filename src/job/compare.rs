//! Compare: one row for each thing that the ledger and Stripe can disagree about.
//!
//! In: mapped windows, their intents, Stripe's answers. Out: reconciliation rows in the order of the file. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::intent::{self, Intent, IntentState, PushMode};
use crate::domain::invoice::{Invoice, StripeSubscription, SubscriptionItem, Unread};
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::reconcile::{
    Cause, Class, Expected, ReconciliationRow, Scope, Source, Tolerances, compare_lines, compare_nothing,
    compare_total, orphan, out_of_scope, unread_subscription,
};
use crate::domain::tenant::Tenant;
use crate::job::connection::Wire;
use crate::job::intents::Intents;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::{Answers, Preview, owners};
use crate::job::stage::Stage;
use crate::job::standing::{MeterAtStripe, Standing};

/// The rows of one window; `open` ones show what Stripe would bill now.
pub struct Compared {
    pub tenant_id: String,
    pub window_start: Timestamp,
    pub rows: Vec<ReconciliationRow>,
}

impl Compared {
    /// Whether an answer is missing: then nothing can be said of the window.
    pub fn is_incomplete(&self) -> bool {
        self.rows.iter().any(|row| row.class == Class::Incomplete)
    }
}

pub fn compare(
    mapped: &[Mapped],
    intents: &Intents,
    answers: &Answers,
    standing: &Standing,
    wire: &Wire,
    tolerances: &Tolerances,
    now: Timestamp,
) -> Result<Vec<Compared>, NumberError> {
    let window = |one: &Mapped| {
        let mut rows = Vec::new();
        for using in &one.meters {
            let Some(meter) = standing.meters.get(&using.meter) else { continue };
            let known = intents.of(one, &using.meter);
            let may_be_above =
                using.aggregation.is_gauge() || known.iter().any(|one| one.quantity.is_negative());
            let expected =
                Expected { cause: cause(using, &known, wire)?, may_be_above, ..using.expected.clone() };
            let total = compare_total(&expected, answers.total(one, &using.meter), &meter.id)?;
            let total = tolerances.settle(total);
            // A total that may lag behind is no word about what was billed: the window waits.
            let may_lag = one.stage == Stage::Final && known.iter().any(|one| one.may_yet_show(now));
            rows.push(if may_lag && total.is_difference() { total.too_early() } else { total });
            let billed = invoice_row(one, billed(expected, using), meter, answers, standing)?;
            rows.push(tolerances.settle(billed));
        }
        rows.extend(beside(one, answers, standing));
        Ok(Compared { tenant_id: one.tenant_id.clone(), window_start: one.window.start, rows })
    };
    mapped.iter().map(window).collect()
}

/// What an invoice is to show: where the plan has changed, it may well show less than the meter's total.
fn billed(expected: Expected, using: &MeterUse) -> Expected {
    let segments: Vec<Window> = using.targets.iter().map(|target| target.segment).collect();
    let is_explained = expected.cause.is_some_and(|cause| cause != Cause::NotPushed);
    if is_explained || !expected.is_mid_cycle_change(&segments) {
        return expected;
    }
    Expected { cause: Some(Cause::MidCycleChange), ..expected }
}

fn invoice_row(
    one: &Mapped,
    expected: Expected,
    meter: &MeterAtStripe,
    answers: &Answers,
    standing: &Standing,
) -> Result<ReconciliationRow, NumberError> {
    if one.stage == Stage::Open {
        let next = match answers.preview(one) {
            Preview::Nothing => {
                return Ok(compare_nothing(&expected, Source::Preview, &one.subscription_id));
            }
            Preview::Unreadable => None,
            Preview::Next(invoice) => Some(invoice),
        };
        return compare_lines(&expected, next, Source::Preview, &meter.scope, &one.subscription_id);
    }
    let invoice = invoice(one, standing);
    // The drafts of an unpaid subscription stay drafts when the window is final.
    let stays_draft = invoice.is_some_and(|invoice| !invoice.has_left_draft());
    let expected = match (one.stage, expected.cause) {
        (Stage::Ended, _) => Expected { cause: Some(Cause::DraftStale), ..expected },
        (Stage::Final, None | Some(Cause::NotPushed)) if stays_draft => {
            Expected { cause: Some(Cause::DraftStale), ..expected }
        }
        (Stage::Open | Stage::Final, _) => expected,
    };
    if let Some(unread) = one.unread_invoice(standing) {
        let evidence = unread.id.as_deref().filter(|_| unread.subscription_id.is_some());
        let evidence = evidence.unwrap_or(&one.subscription_id);
        return compare_lines(&expected, None, Source::Invoice, &meter.scope, evidence);
    }
    match invoice {
        Some(invoice) => compare_lines(&expected, Some(invoice), Source::Invoice, &meter.scope, &invoice.id),
        None => Ok(compare_nothing(&expected, Source::Invoice, &one.subscription_id)),
    }
}

fn invoice<'a>(one: &Mapped, standing: &'a Standing) -> Option<&'a Invoice> {
    let of_subscription = standing.invoices.get(&one.subscription_id)?;
    of_subscription.iter().find(|invoice| Some(&invoice.id) == one.invoice_id.as_ref())
}

/// Base fee, prorations and whatever else stands on the same invoice.
fn beside(one: &Mapped, answers: &Answers, standing: &Standing) -> Vec<ReconciliationRow> {
    let (invoice, source) = match one.stage {
        Stage::Open => match answers.preview(one) {
            Preview::Next(invoice) => (Some(invoice), Source::Preview),
            Preview::Nothing | Preview::Unreadable => (None, Source::Preview),
        },
        Stage::Ended | Stage::Final => (invoice(one, standing), Source::Invoice),
    };
    let Some(invoice) = invoice else { return Vec::new() };
    let scopes: Vec<Scope> = standing.meters.values().map(|meter| meter.scope.clone()).collect();
    let plan = one.meters.first().map_or("", |using: &MeterUse| using.expected.plan.key.as_str());
    let evidence = if source == Source::Preview { &one.subscription_id } else { &invoice.id };
    out_of_scope(&one.tenant_id, plan, one.window, invoice, source, &scopes, evidence)
}

/// Why Stripe may show less than the ledger, as far as our own intents tell.
fn cause(using: &MeterUse, intents: &[Intent], wire: &Wire) -> Result<Option<Cause>, NumberError> {
    if wire.push == PushMode::Observe {
        return Ok(None);
    }
    let any = |state| intents.iter().any(|one| one.state == state);
    if any(IntentState::Unbillable) && intents.iter().any(Intent::was_dropped) {
        return Ok(Some(Cause::RejectedAsync));
    }
    // What we kept back was there in time.
    if intents.iter().any(|one| one.state == IntentState::Unbillable && !one.was_withheld()) {
        return Ok(Some(Cause::LateUsage));
    }
    if any(IntentState::Unbillable) {
        return Ok(Some(Cause::NotPushed));
    }
    if any(IntentState::Sent) {
        return Ok(Some(Cause::LatencyPending));
    }
    // What has arrived whole is not what an invoice lacks.
    let counted = intents.iter().filter(|one| one.is_counted());
    let has_arrived = intent::arrived(using.aggregation, counted)? == using.expected.quantity.into();
    Ok((!has_arrived).then_some(Cause::NotPushed))
}

/// Subscriptions that have a price of ours and belong to no tenant.
pub fn orphans(standing: &Standing, tenants: &[Tenant]) -> Vec<ReconciliationRow> {
    let owners = owners(tenants);
    let strange = |one: &&StripeSubscription| !owners.contains_key(one.id.as_str()) && !one.is_over();
    let mut rows = Vec::new();
    for subscription in standing.subscriptions.values().filter(strange) {
        let billed = standing.meters.iter().filter(|(key, meter)| {
            let has_price = |item: &SubscriptionItem| meter.scope.price_ids.contains(&item.price_id);
            // Of one with more items than could be read, it is known only which prices it was found by.
            let is_listed =
                || standing.listed_by.get(&subscription.id).is_some_and(|meters| meters.contains(*key));
            subscription.items.iter().any(has_price) || (!subscription.items_complete && is_listed())
        });
        rows.extend(billed.map(|(meter, _)| orphan(&subscription.id, meter)));
    }
    rows
}

/// Subscriptions with a price of ours that are not understood: nothing can be said of what they bill.
pub fn unread(standing: &Standing, tenants: &[Tenant]) -> Vec<ReconciliationRow> {
    let owners = owners(tenants);
    let row = |(meter, one): &(String, Unread)| {
        let id = one.id.as_deref().unwrap_or_default();
        let owner = owners.get(id).copied();
        // What is read in part is told elsewhere where it belongs to nobody, and of no matter where it is over.
        let in_part = standing.subscriptions.get(id);
        let is_told = in_part.is_some_and(|one| owner.is_none() || one.is_over());
        (!is_told).then(|| unread_subscription(owner.unwrap_or_default(), id, meter))
    };
    // It may have been listed by several prices of a meter.
    let rows: BTreeSet<ReconciliationRow> = standing.unread_subscriptions.iter().filter_map(row).collect();
    rows.into_iter().collect()
}
