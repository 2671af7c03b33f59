//! Reconciliation: what the ledger expects of Stripe, against what Stripe says, line by line.
//!
//! In: an [`Expected`] usage of one tenant, meter and window, and Stripe's answer to it. Out: one
//! [`ReconciliationRow`] per comparison. Never compares `total` or `amount_due`: tax, discounts, credits and other items are
//! in them. Never takes an answer that could not be read for 0 or for a match.

mod account;
mod age;
mod beside;
mod cause;
mod evidence;
mod ids;
mod look;
mod pushes;
mod rates;
mod scope;
#[cfg(test)]
mod tests;
mod tolerance;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use age::{Age, Claims, Followed, KnownDifference, follow};
pub use beside::{ItemKind, MeterLines, OneInvoice, Told, beside, is_in_advance};
pub use cause::{Cause, Difference, Named, decide};
pub use evidence::{Bill, BillState, Evidence, Item, Nature, OtherFormula, OtherPrice, TotalSeen};
pub use ids::{Ids, Proofs};
pub use look::{Asked, Look, Seen, Span, ZONES, whole_days};
pub use pushes::{Lack, Pushes};
pub use rates::Rates;
pub use scope::Scope;
pub use tolerance::{Tolerance, Tolerances};
pub use words::{Class, Source};

use crate::domain::catalog::PlanId;
use crate::domain::invoice::{Invoice, InvoiceLine, MeterTotal};
use crate::domain::money::{Currency, MinorSum};
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;

/// What Stripe is to show for one tenant, meter and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub tenant_id: String,
    /// The plan at the window's end.
    pub plan: PlanId,
    pub meter: String,
    pub window: Window,
    /// The part of the window from the subscription's start to its end: a line may speak of either.
    pub served: Window,
    pub quantity: Quantity,
    /// At the price in force: 0 in shadow.
    pub amount: MinorSum,
    /// The window is a trial: nothing is to be charged.
    pub trial: bool,
    /// Usage in the minutes that the window shares with its neighbours.
    pub edges: Option<EdgeMinutes>,
    /// The prices that the plans of the window have in force; empty where they are not known.
    pub price_ids: BTreeSet<String>,
}

/// Usage beside a window, in the minutes that its edges cut: Stripe's totals know whole minutes only, so it is in them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeMinutes {
    /// It adds up.
    Added(Quantity),
    /// Only what is above a quota is sent of it, and nobody knows how much that is.
    AtMost(Quantity),
    /// A gauge's total shows this reading, which is none of the window.
    Level(Quantity),
}

/// Whether a period at Stripe is a window of ours: whole, or only as long as the subscription was there. Stripe knows
/// whole seconds.
pub fn is_period_of(period: Window, window: Window, served: Window) -> bool {
    let same = |one: Timestamp, other: Timestamp| one.as_second() == other.as_second();
    (same(period.start, window.start) || same(period.start, served.start))
        && (same(period.end, window.end) || same(period.end, served.end))
}

/// One comparison, or one thing that cannot be compared. `None` is "not known", which is not 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReconciliationRow {
    pub tenant_id: String,
    pub plan: String,
    pub meter: String,
    pub window: Option<Window>,
    pub source: Source,
    pub class: Class,
    pub ledger_quantity: Option<Quantity>,
    pub stripe_quantity: Option<Quantity>,
    /// Minor units; empty for meter totals, which have no money.
    pub ledger_amount: Option<i128>,
    pub stripe_amount: Option<i128>,
    pub currency: Option<Currency>,
    pub reason: Option<Cause>,
    /// Lasting ids only: meter, invoice or subscription, then what proves the reason.
    pub evidence: Ids,
    /// Of differences whose numbers are known: the part that the reason accounts for.
    pub explained_quantity: Option<Quantity>,
    pub explained_amount: Option<i128>,
    /// Who does what; empty where nothing is to be done.
    pub next_step: String,
    /// Of rows out of scope: what they are.
    pub item: Option<ItemKind>,
    /// Of a difference, or of one that is gone since the last run.
    pub age: Option<Age>,
}

impl ReconciliationRow {
    /// Nothing can be said yet: what Stripe took lately may still come.
    #[must_use]
    pub fn too_early(self) -> Self {
        self.without_cause().incomplete(Nature::TooEarly)
    }

    /// Whether it is a disagreement, whatever its cause. `incomplete` is none: nothing is known.
    pub fn is_difference(&self) -> bool {
        !matches!(self.class, Class::Matched | Class::OutOfScope | Class::Incomplete)
    }

    /// What matches and still differs does so within the tolerances.
    pub fn within_tolerance(&self) -> bool {
        let differs = self.difference_quantity().is_some_and(|units| !units.is_zero())
            || self.difference_amount().is_some_and(|minor| minor != 0);
        self.class == Class::Matched && differs
    }

    /// Stripe's quantity less the ledger's.
    pub fn difference_quantity(&self) -> Option<Quantity> {
        self.stripe_quantity?.checked_sub(self.ledger_quantity?).ok()
    }

    /// Stripe's amount less the ledger's, in minor units.
    pub fn difference_amount(&self) -> Option<i128> {
        self.stripe_amount?.checked_sub(self.ledger_amount?)
    }

    /// What is left of the difference.
    pub fn unexplained_quantity(&self) -> Option<Quantity> {
        self.difference_quantity()?.checked_sub(self.explained_quantity?).ok()
    }

    pub fn unexplained_amount(&self) -> Option<i128> {
        self.difference_amount()?.checked_sub(self.explained_amount?)
    }

    /// Names the cause, and what of the difference it explains.
    fn explained(self, ledger: Quantity, evidence: &Evidence<'_>) -> Self {
        if !self.is_difference() {
            return self;
        }
        let named = decide(&Difference::of(&self, ledger), evidence);
        Self {
            reason: named.cause,
            explained_quantity: named.explained_quantity,
            explained_amount: named.explained_amount,
            evidence: self.evidence.proven_by(&named.ids),
            next_step: named.next_step.to_owned(),
            ..self
        }
    }

    /// As it was before somebody asked why.
    fn without_cause(self) -> Self {
        Self {
            evidence: Ids::of([self.evidence.first()]),
            reason: None,
            explained_quantity: None,
            explained_amount: None,
            next_step: String::new(),
            ..self
        }
    }

    /// Of what is no difference in usage, or not known to be one.
    fn because(self, nature: Nature) -> Self {
        let evidence = Evidence { nature, ..Evidence::default() };
        let reason = decide(&Difference::default(), &evidence).cause;
        let next_step = reason.map_or("", Cause::next_step).to_owned();
        Self { reason, next_step, ..self }
    }
}

/// Against a meter's total of the window and its edge minutes. Stripe keeps it in a binary float, so both sides are brought
/// to the digits that such a float keeps.
pub fn compare_total(
    expected: &Expected,
    total: Option<&MeterTotal>,
    meter_id: &str,
    evidence: &Evidence<'_>,
) -> Result<ReconciliationRow, NumberError> {
    let ledger = expected.quantity.at_float_precision();
    let row = expected.row(Source::MeterTotal, meter_id);
    let row = ReconciliationRow { ledger_quantity: Some(ledger), ledger_amount: None, currency: None, ..row };
    let Some(total) = total else { return Ok(row.incomplete(Nature::Unread)) };
    let together = match expected.edges {
        Some(EdgeMinutes::Added(beside)) => expected.quantity.checked_add(beside)?,
        Some(EdgeMinutes::Level(level)) => level,
        Some(EdgeMinutes::AtMost(_)) | None => expected.quantity,
    };
    let found = match expected.edges {
        _ if total.quantity == together.at_float_precision() => ledger,
        Some(EdgeMinutes::Added(beside)) => total.quantity.checked_sub(beside)?.at_float_precision(),
        _ => total.quantity,
    };
    // Stripe bills a negative total as 0 ("recording usage"), and so does the ledger.
    let found = if expected.quantity.is_zero() { found.max(Quantity::ZERO) } else { found };
    Ok(row.judged(expected, Some(found), None).explained(expected.quantity, evidence))
}

/// Where Stripe has made no invoice for the window. A trial that ends in a pause has none, and had nothing to charge.
pub fn compare_nothing(
    expected: &Expected,
    source: Source,
    id: &str,
    evidence: &Evidence<'_>,
) -> ReconciliationRow {
    let is_awaited = |bill: &Bill| bill.state == BillState::Draft;
    let absent =
        |bill: Bill| if is_awaited(&bill) { bill } else { Bill { state: BillState::Absent, ..bill } };
    let bill = evidence.bill.clone().map(absent);
    let evidence = Evidence { bill, ..evidence.clone() };
    expected.row(source, id).missing_in_stripe(expected).explained(expected.quantity, &evidence)
}

/// Against the usage lines of a preview or a renewal invoice. Usage is the sum of the quantities of all lines of the
/// item, money the sum of their amounts: a graduated price has a line per tier (captured, `facts` of Stripe's answers).
pub fn compare_lines(
    expected: &Expected,
    invoice: Option<&Invoice>,
    source: Source,
    scope: &Scope,
    id: &str,
    evidence: &Evidence<'_>,
) -> Result<ReconciliationRow, NumberError> {
    let row = expected.row(source, id);
    let Some(invoice) = invoice.filter(|invoice| invoice.lines_complete) else {
        return Ok(row.incomplete(Nature::Unread));
    };
    let of_window =
        |line: &&InvoiceLine| scope.holds(line) && line.period.intersection(expected.window).is_some();
    let lines: Vec<&InvoiceLine> = invoice.lines.iter().filter(of_window).collect();
    let readable = |line: &&InvoiceLine| {
        line.quantity.is_some()
            && is_period_of(line.period, expected.window, expected.served)
            && line.currency == expected.amount.currency
    };
    if !lines.iter().all(readable) {
        return Ok(row.incomplete(Nature::Strange));
    }
    if lines.is_empty() {
        let has_items = invoice.lines.iter().any(|line| line.subscription_item_id.is_some());
        let price = if has_items { OtherPrice::NoLine } else { OtherPrice::No };
        let bill = evidence.bill.clone().map(|bill| Bill { price, ..bill });
        let evidence = Evidence { bill, ..evidence.clone() };
        return Ok(row.missing_in_stripe(expected).explained(expected.quantity, &evidence));
    }
    let items = scope::items(&lines)?;
    let quantity = items.iter().try_fold(Quantity::ZERO, |sum, item| sum.checked_add(item.quantity))?;
    let amount = items.iter().map(|item| item.amount).sum();
    let row = row.judged(expected, Some(quantity), Some(amount));
    let priced = scope.priced(&lines, expected.amount.currency);
    let price = if expected.is_at_another_price(&lines) { OtherPrice::NotInForce } else { OtherPrice::No };
    let bill = evidence.bill.clone().map(|bill| Bill { items, priced, price, ..bill });
    Ok(row.explained(expected.quantity, &Evidence { bill, ..evidence.clone() }))
}

/// A subscription of Stripe's with a price of ours that no tenant has.
pub fn orphan(subscription_id: &str, meter: &str) -> ReconciliationRow {
    let row = ReconciliationRow {
        tenant_id: String::new(),
        plan: String::new(),
        meter: meter.to_owned(),
        window: None,
        source: Source::Subscription,
        class: Class::MissingInLedger,
        ledger_quantity: None,
        stripe_quantity: None,
        ledger_amount: None,
        stripe_amount: None,
        currency: None,
        reason: None,
        evidence: Ids::of([subscription_id]),
        explained_quantity: None,
        explained_amount: None,
        next_step: String::new(),
        item: None,
        age: None,
    };
    row.because(Nature::Strange)
}

/// A subscription of Stripe's with a price of ours that is not understood; `tenant_id` is empty where nobody knows whose it is.
pub fn unread_subscription(tenant_id: &str, subscription_id: &str, meter: &str) -> ReconciliationRow {
    ReconciliationRow { tenant_id: tenant_id.to_owned(), ..orphan(subscription_id, meter) }
        .incomplete(Nature::Unread)
}

impl Expected {
    /// Whether these segments leave a part of the time for another plan or another price.
    pub fn is_mid_cycle_change(&self, segments: &[Window]) -> bool {
        !matches!(segments, [one] if *one == self.served)
    }

    fn is_at_another_price(&self, lines: &[&InvoiceLine]) -> bool {
        let is_other = |id: &String| !self.price_ids.is_empty() && !self.price_ids.contains(id);
        lines.iter().filter_map(|line| line.price_id.as_ref()).any(is_other)
    }

    fn row(&self, source: Source, id: &str) -> ReconciliationRow {
        ReconciliationRow {
            tenant_id: self.tenant_id.clone(),
            plan: self.plan.key.clone(),
            meter: self.meter.clone(),
            window: Some(self.window),
            source,
            class: Class::Matched,
            ledger_quantity: Some(self.quantity),
            stripe_quantity: None,
            ledger_amount: Some(self.amount.minor),
            stripe_amount: None,
            currency: Some(self.amount.currency),
            reason: None,
            evidence: Ids::of([id]),
            explained_quantity: None,
            explained_amount: None,
            next_step: String::new(),
            item: None,
            age: None,
        }
    }
}

impl ReconciliationRow {
    fn incomplete(self, nature: Nature) -> Self {
        Self { class: Class::Incomplete, ..self }.because(nature)
    }

    /// No line at all: an agreement only where there is nothing to bill.
    fn missing_in_stripe(self, expected: &Expected) -> Self {
        let nothing = Self { stripe_quantity: Some(Quantity::ZERO), stripe_amount: Some(0), ..self };
        if expected.quantity.is_zero() && expected.amount.minor == 0 {
            return nothing;
        }
        Self { class: Class::MissingInStripe, ..nothing }
    }

    fn judged(self, expected: &Expected, quantity: Option<Quantity>, amount: Option<i128>) -> Self {
        let class = if quantity != self.ledger_quantity {
            Class::QuantityMismatch
        } else if amount.is_some_and(|amount| amount != expected.amount.minor) {
            Class::AmountMismatch
        } else {
            Class::Matched
        };
        Self { class, stripe_quantity: quantity, stripe_amount: amount, ..self }
    }
}
