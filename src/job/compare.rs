//! Compare: one row for each thing that the ledger and Stripe can disagree about.
//!
//! In: mapped windows, their intents, Stripe's answers. Out: reconciliation rows in the order of the file. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::intent::{Intent, PushMode};
use crate::domain::invoice::{Invoice, StripeSubscription, SubscriptionItem, Unread};
use crate::domain::number::NumberError;
use crate::domain::reconcile::{
    Class, Evidence, Expected, Look, ReconciliationRow, Source, Tolerances, compare_lines, compare_nothing,
    compare_total, orphan, unread_subscription,
};
use crate::domain::tenant::Tenant;
use crate::job::beside;
use crate::job::connection::Wire;
use crate::job::evidence;
use crate::job::intents::Intents;
use crate::job::mapping::Mapped;
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

/// What the rows are made of.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub intents: &'a Intents,
    pub answers: &'a Answers,
    pub standing: &'a Standing,
    pub wire: &'a Wire,
    pub tolerances: &'a Tolerances,
    pub now: Timestamp,
}

/// How long Stripe may take to bring an event that it has taken to a draft.
const LAST_MOMENTS: SignedDuration = SignedDuration::from_mins(5);

/// What a second look has found, by meter.
pub type Looks = BTreeMap<String, Look>;

impl Sides<'_> {
    #[tracing::instrument(level = "debug", name = "compare", skip_all)]
    pub fn compare(&self, mapped: &[Mapped]) -> Result<Vec<Compared>, NumberError> {
        mapped.iter().map(|one| self.window(one, &Looks::new())).collect()
    }

    pub fn window(&self, one: &Mapped, looks: &Looks) -> Result<Compared, NumberError> {
        let Self { intents, answers, standing, wire, tolerances, now } = *self;
        let mut rows = Vec::new();
        for using in &one.meters {
            let Some(meter) = standing.meters.get(&using.meter) else { continue };
            let known = intents.of(one, &using.meter);
            let total = answers.total(one, &using.meter);
            let evidence = evidence::of_total(one, using, meter, &known, wire, now)?;
            let evidence = Evidence { look: looks.get(&using.meter), ..evidence };
            let row = compare_total(&using.expected, total, &meter.id, &evidence)?;
            let invoice = invoice(one, standing);
            let may_be_late = wire.push == PushMode::Observe || came_after(&known, invoice);
            let evidence = evidence::of_bill(evidence, one, using, &row, invoice, may_be_late);
            let row = tolerances.settle(row);
            // A total that may lag behind is no word about what was billed: the window waits.
            let may_lag = one.stage == Stage::Final && known.iter().any(|one| one.may_yet_show(now));
            rows.push(if may_lag && row.is_difference() { row.too_early() } else { row });
            let bill = invoice_row(one, &using.expected, meter, answers, standing, &evidence)?;
            rows.push(tolerances.settle(bill));
        }
        rows.extend(beside::of_mapped(one, answers, standing)?);
        Ok(Compared { tenant_id: one.tenant_id.clone(), window_start: one.window.start, rows })
    }
}

/// Whether one of our pushes may have come when the invoice took no more usage: what comes in the last moments of a draft need
/// not be on it.
fn came_after(intents: &[Intent], invoice: Option<&Invoice>) -> bool {
    let Some(finalized) = invoice.and_then(|invoice| invoice.finalizes_at) else { return true };
    let came_late = |attempted: Timestamp| finalized.duration_since(attempted) < LAST_MOMENTS;
    intents.iter().filter_map(|one| one.attempted_at).any(came_late)
}

fn invoice_row(
    one: &Mapped,
    expected: &Expected,
    meter: &MeterAtStripe,
    answers: &Answers,
    standing: &Standing,
    evidence: &Evidence<'_>,
) -> Result<ReconciliationRow, NumberError> {
    let id = &one.subscription_id;
    let lines = |invoice: Option<&Invoice>, source, id: &str| {
        compare_lines(expected, invoice, source, &meter.scope, id, evidence)
    };
    if one.stage == Stage::Open {
        return match answers.preview(one) {
            Preview::Nothing => Ok(compare_nothing(expected, Source::Preview, id, evidence)),
            Preview::Unreadable => lines(None, Source::Preview, id),
            Preview::Next(invoice) => lines(Some(&**invoice), Source::Preview, id),
        };
    }
    if let Some(unread) = one.unread_invoice(standing) {
        let unread_id = unread.id.as_deref().filter(|_| unread.subscription_id.is_some());
        return lines(None, Source::Invoice, unread_id.unwrap_or(id));
    }
    match invoice(one, standing) {
        Some(invoice) => lines(Some(invoice), Source::Invoice, &invoice.id),
        None => Ok(compare_nothing(expected, Source::Invoice, id, evidence)),
    }
}

/// The invoice that bills the window, once it has ended.
pub fn invoice<'a>(one: &Mapped, standing: &'a Standing) -> Option<&'a Invoice> {
    let of_subscription = standing.invoices.get(&one.subscription_id)?;
    of_subscription.iter().find(|invoice| Some(&invoice.id) == one.invoice_id.as_ref())
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
