//! Stage: how far a window has come at Stripe, and which invoice bills it.
//!
//! In: a tenant's window, what stands at Stripe, `now`. Out: open, ended or final, and the renewal invoice. Pure. Without an
//! invoice the clock decides.

use jiff::{SignedDuration, Timestamp};

use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::period::Window;
use crate::domain::reconcile::is_period_of;
use crate::domain::tenant::{SubscriptionStatus, TenantWindow};
use crate::job::due::{self, is_settled};
use crate::job::standing::Standing;

/// How far a window has come at Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not ended: its usage is in the preview.
    Open,
    /// Ended, and its invoice still takes usage.
    Ended,
    /// Its invoice has left draft.
    Final,
}

/// How far the window has come: by its renewal invoice, or without one by the clock. A subscription that ended inside of
/// it has its last invoice then; the drafts of an unpaid one never leave draft, so there the clock decides too.
pub fn stage(
    window: &TenantWindow<'_>,
    standing: &Standing,
    settle_delay: SignedDuration,
    now: Timestamp,
) -> Stage {
    if now < served(window).end {
        return Stage::Open;
    }
    let is_settled = is_settled(window, settle_delay, now);
    let is_final = match renewal_invoice(window, standing) {
        _ if window.is_inactive() => is_settled,
        Some(invoice) => {
            let stays_draft = due::is_settled(window, LONGEST_DRAFT, now);
            invoice.has_left_draft() || stays_draft || (is_settled && is_unpaid(window, standing))
        }
        None => is_settled,
    };
    if is_final { Stage::Final } else { Stage::Ended }
}

/// By our row or, where that is older, by Stripe.
fn is_unpaid(window: &TenantWindow<'_>, standing: &Standing) -> bool {
    let Some(one) = window.segments.last().map(|segment| segment.subscription) else { return false };
    let at_stripe = standing.subscriptions.get(&one.stripe_subscription_id).and_then(|one| one.status);
    [Some(one.status), at_stripe].contains(&Some(SubscriptionStatus::Unpaid))
}

/// Stripe finalizes a draft after 72 hours at most ("configure grace period"); one that is a draft a day later stays one
/// until a person decides.
pub const LONGEST_DRAFT: SignedDuration = SignedDuration::from_hours(96);

/// Stripe makes a renewal invoice at the window's end; an hour is allowed for the making.
pub const MADE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The invoice that bills the usage of this window; for a plan without usage prices, the renewal made at its end.
pub fn renewal_invoice<'a>(window: &TenantWindow<'_>, standing: &'a Standing) -> Option<&'a Invoice> {
    let renews = |invoice: &&Invoice| {
        let since = invoice.created.duration_since(served(window).end);
        let is_metered = invoice.lines.iter().any(|line| is_metered(line, standing));
        invoice.billing_reason == "subscription_cycle"
            && !is_metered
            && (SignedDuration::from_secs(-1)..MADE_WITHIN).contains(&since)
    };
    usage_invoice(window, standing).or_else(|| invoices_of(window, standing).find(renews))
}

/// The invoice with this window's usage.
pub fn usage_invoice<'a>(window: &TenantWindow<'_>, standing: &'a Standing) -> Option<&'a Invoice> {
    invoices_of(window, standing).find(|invoice| bills_usage(invoice, window, standing))
}

fn invoices_of<'a>(window: &TenantWindow<'_>, standing: &'a Standing) -> impl Iterator<Item = &'a Invoice> {
    let last = window.segments.last().map(|segment| &segment.subscription.stripe_subscription_id);
    last.and_then(|id| standing.invoices.get(id)).into_iter().flatten()
}

fn bills_usage(invoice: &Invoice, window: &TenantWindow<'_>, standing: &Standing) -> bool {
    let of_window = |line: &InvoiceLine| {
        is_metered(line, standing)
            && !line.proration
            && is_period_of(line.period, window.window, served(window))
    };
    invoice.billing_reason != "subscription_create" && invoice.lines.iter().any(of_window)
}

fn is_metered(line: &InvoiceLine, standing: &Standing) -> bool {
    let Some(price_id) = &line.price_id else { return false };
    standing.meters.values().any(|meter| meter.scope.price_ids.contains(price_id))
}

/// From the first invoiced segment's start to the last one's end: what a subscription that began, paused or ended inside
/// is billed for.
pub fn served(window: &TenantWindow<'_>) -> Window {
    let start = window.invoiced().next().map_or(window.window.start, |segment| segment.range.start);
    let end = window.invoiced().next_back().map_or(window.window.end, |segment| segment.range.end);
    Window { start, end }
}

/// Whether Stripe has billed usage for a time that lies across the window's edge. The subscription's current period does
/// not show that any more when the next one has begun.
pub fn is_billed_otherwise(window: &TenantWindow<'_>, standing: &Standing) -> bool {
    let renewals = invoices_of(window, standing).filter(|one| one.billing_reason != "subscription_create");
    let mut usage =
        renewals.flat_map(|one| &one.lines).filter(|line| is_metered(line, standing) && !line.proration);
    // Stripe knows whole seconds.
    let inside = |one: Window, other: Window| {
        other.start.as_second() <= one.start.as_second() && one.end.as_second() <= other.end.as_second()
    };
    let ours = window.window;
    let crosses = |one: Window| one.intersection(ours).is_some() && !inside(one, ours) && !inside(ours, one);
    usage.any(|line| crosses(line.period))
}
