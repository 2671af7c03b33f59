//! Reconciliation: what the ledger expects of Stripe, against what Stripe says, line by line.
//!
//! In: an [`Expected`] usage of one tenant, meter and window, and Stripe's answer to it. Out: one
//! [`ReconciliationRow`] per comparison. Never compares `total` or `amount_due`: tax, discounts, credits and other items are
//! in them. Never takes an answer that could not be read for 0 or for a match.

mod age;
mod tolerance;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use age::{Age, Change, Followed, KnownDifference, follow};
pub use tolerance::{Tolerance, Tolerances};
pub use words::{Cause, Class, Source};

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
    /// Why a difference would be no surprise.
    pub cause: Option<Cause>,
    /// What has not arrived takes units back, so that Stripe may well show more.
    pub may_be_above: bool,
    /// Usage in the minutes that the window shares with its neighbours.
    pub edges: Option<EdgeMinutes>,
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
    /// Lasting ids only: meter, invoice, subscription.
    pub evidence: String,
    /// Of a difference: the run that saw it first.
    pub first_seen: Option<Timestamp>,
}

impl ReconciliationRow {
    /// Nothing can be said yet: what Stripe took lately may still come.
    #[must_use]
    pub fn too_early(self) -> Self {
        Self { class: Class::Incomplete, reason: Some(Cause::LatencyPending), ..self }
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
}

/// Which lines of an invoice speak of a meter's usage.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Ids of all prices of the meter, whatever plan they belong to.
    pub price_ids: BTreeSet<String>,
}

impl Scope {
    fn holds(&self, line: &InvoiceLine) -> bool {
        !line.proration && line.price_id.as_ref().is_some_and(|id| self.price_ids.contains(id))
    }
}

/// Against a meter's total of the window and its edge minutes. Stripe keeps it in a binary float, so both sides are brought
/// to the digits that such a float keeps.
pub fn compare_total(
    expected: &Expected,
    total: Option<&MeterTotal>,
    meter_id: &str,
) -> Result<ReconciliationRow, NumberError> {
    let ledger = expected.quantity.at_float_precision();
    let row = expected.row(Source::MeterTotal, meter_id);
    let row = ReconciliationRow { ledger_quantity: Some(ledger), ledger_amount: None, currency: None, ..row };
    let Some(total) = total else { return Ok(row.incomplete()) };
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
    let row = row.judged(expected, Some(found), None);
    let off = found.checked_sub(ledger)?.magnitude();
    let reason = match expected.edges {
        Some(EdgeMinutes::Added(beside) | EdgeMinutes::AtMost(beside)) if off <= beside.magnitude() => {
            Cause::PeriodBoundary
        }
        Some(EdgeMinutes::Level(_)) => Cause::PeriodBoundary,
        _ => return Ok(row),
    };
    let is_open = row.class == Class::QuantityMismatch && row.reason.is_none();
    Ok(if is_open { ReconciliationRow { reason: Some(reason), ..row } } else { row })
}

/// Where Stripe has made no invoice for the window. A trial that ends in a pause has none, and had nothing to charge.
pub fn compare_nothing(expected: &Expected, source: Source, evidence: &str) -> ReconciliationRow {
    let row = expected.row(source, evidence).missing_in_stripe(expected);
    match row.class {
        Class::MissingInStripe if expected.trial => ReconciliationRow { reason: Some(Cause::Trial), ..row },
        _ => row,
    }
}

/// Against the usage lines of a preview or a renewal invoice. Usage is the sum of the quantities of all lines of the
/// item, money the sum of their amounts: a graduated price has a line per tier (captured, `facts` of Stripe's answers).
pub fn compare_lines(
    expected: &Expected,
    invoice: Option<&Invoice>,
    source: Source,
    scope: &Scope,
    evidence: &str,
) -> Result<ReconciliationRow, NumberError> {
    let row = expected.row(source, evidence);
    let Some(invoice) = invoice.filter(|invoice| invoice.lines_complete) else {
        return Ok(row.incomplete());
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
        return Ok(ReconciliationRow { reason: Some(Cause::Mapping), ..row.incomplete() });
    }
    if lines.is_empty() {
        return Ok(row.missing_in_stripe(expected));
    }
    let mut quantity = Quantity::ZERO;
    let mut amount = 0i128;
    for line in &lines {
        quantity = quantity.checked_add(line.quantity.unwrap_or_default())?;
        amount += i128::from(line.amount_minor);
    }
    Ok(row.judged(expected, Some(quantity), Some(amount)))
}

/// What an invoice holds beside the usage of `scopes`, as one row per currency, so that the whole of it is explained.
pub fn out_of_scope(
    tenant_id: &str,
    plan: &str,
    window: Window,
    invoice: &Invoice,
    source: Source,
    scopes: &[Scope],
    evidence: &str,
) -> Vec<ReconciliationRow> {
    let beside = |line: &&InvoiceLine| !scopes.iter().any(|scope| scope.holds(line));
    let lines: Vec<&InvoiceLine> = invoice.lines.iter().filter(beside).collect();
    let currencies: BTreeSet<Currency> = lines.iter().map(|line| line.currency).collect();
    let sum = |currency| {
        let of_currency = lines.iter().filter(|line| line.currency == currency);
        of_currency.map(|line| i128::from(line.amount_minor)).sum()
    };
    let row = |currency| ReconciliationRow {
        tenant_id: tenant_id.to_owned(),
        plan: plan.to_owned(),
        meter: String::new(),
        window: Some(window),
        source,
        class: Class::OutOfScope,
        ledger_quantity: None,
        stripe_quantity: None,
        ledger_amount: None,
        stripe_amount: Some(sum(currency)),
        currency: Some(currency),
        reason: Some(Cause::ExtraLines),
        evidence: evidence.to_owned(),
        first_seen: None,
    };
    currencies.into_iter().map(row).collect()
}

/// A subscription of Stripe's with a price of ours that no tenant has.
pub fn orphan(subscription_id: &str, meter: &str) -> ReconciliationRow {
    ReconciliationRow {
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
        reason: Some(Cause::Mapping),
        evidence: subscription_id.to_owned(),
        first_seen: None,
    }
}

/// A subscription of Stripe's with a price of ours that is not understood; `tenant_id` is empty where nobody knows whose it is.
pub fn unread_subscription(tenant_id: &str, subscription_id: &str, meter: &str) -> ReconciliationRow {
    ReconciliationRow { tenant_id: tenant_id.to_owned(), ..orphan(subscription_id, meter) }.incomplete()
}

impl Expected {
    /// Whether these segments leave a part of the time for another plan or another price.
    pub fn is_mid_cycle_change(&self, segments: &[Window]) -> bool {
        !matches!(segments, [one] if *one == self.served)
    }

    fn row(&self, source: Source, evidence: &str) -> ReconciliationRow {
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
            evidence: evidence.to_owned(),
            first_seen: None,
        }
    }
}

impl ReconciliationRow {
    fn incomplete(self) -> Self {
        Self { class: Class::Incomplete, reason: Some(Cause::IncompleteData), ..self }
    }

    /// No line at all: an agreement only where there is nothing to bill.
    fn missing_in_stripe(self, expected: &Expected) -> Self {
        let nothing = Self { stripe_quantity: Some(Quantity::ZERO), stripe_amount: Some(0), ..self };
        if expected.quantity.is_zero() && expected.amount.minor == 0 {
            return nothing;
        }
        Self { class: Class::MissingInStripe, reason: expected.cause, ..nothing }
    }

    fn judged(self, expected: &Expected, quantity: Option<Quantity>, amount: Option<i128>) -> Self {
        let class = if quantity != self.ledger_quantity {
            Class::QuantityMismatch
        } else if amount.is_some_and(|amount| amount != expected.amount.minor) {
            Class::AmountMismatch
        } else {
            Class::Matched
        };
        // What we have not sent explains that Stripe has less, and more only where it takes back; an old draft may be either.
        let explains = |cause: &Cause| {
            *cause == Cause::DraftStale || expected.may_be_above || quantity < self.ledger_quantity
        };
        let reason = match class {
            Class::QuantityMismatch => expected.cause.filter(explains),
            Class::AmountMismatch if expected.trial => Some(Cause::Trial),
            // A gauge may well stand where it stood on the plan before, at another price.
            Class::AmountMismatch => expected.cause.filter(|cause| *cause == Cause::MidCycleChange),
            _ => None,
        };
        Self { class, stripe_quantity: quantity, stripe_amount: amount, reason, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::invoice::InvoiceStatus;
    use crate::domain::period::Interval;

    fn october() -> Window {
        Window {
            start: "2026-10-01T00:00:00Z".parse().unwrap(),
            end: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn lira() -> Currency {
        Currency::parse("try").unwrap()
    }

    fn expected(quantity: &str, minor: i128) -> Expected {
        Expected {
            tenant_id: "acme".to_owned(),
            plan: PlanId { key: "pro".to_owned(), interval: Interval::Month, currency: lira() },
            meter: "calls".to_owned(),
            window: october(),
            served: october(),
            quantity: Quantity::parse(quantity).unwrap(),
            amount: MinorSum { minor, currency: lira() },
            trial: false,
            cause: Some(Cause::NotPushed),
            may_be_above: false,
            edges: None,
        }
    }

    fn line(price: &str, quantity: &str, amount_minor: i64) -> InvoiceLine {
        InvoiceLine {
            id: "il_1".to_owned(),
            amount_minor,
            currency: lira(),
            quantity: Some(Quantity::parse(quantity).unwrap()),
            price_id: Some(price.to_owned()),
            subscription_item_id: Some("si_1".to_owned()),
            period: october(),
            proration: false,
            description: String::new(),
        }
    }

    fn invoice(lines: Vec<InvoiceLine>) -> Invoice {
        Invoice {
            id: "in_1".to_owned(),
            subscription_id: Some("sub_1".to_owned()),
            customer_id: Some("cus_1".to_owned()),
            finalizes_at: None,
            status: InvoiceStatus::Paid,
            billing_reason: "subscription_cycle".to_owned(),
            created: october().end,
            lines,
            lines_complete: true,
            request_id: "req_1".to_owned(),
        }
    }

    fn scope() -> Scope {
        Scope { price_ids: ["price_usage".to_owned()].into() }
    }

    fn judged(expected: &Expected, invoice: Option<&Invoice>) -> (Class, Option<String>, Option<i128>) {
        let row = compare_lines(expected, invoice, Source::Invoice, &scope(), "in_1").unwrap();
        (row.class, row.stripe_quantity.map(|quantity| quantity.to_string()), row.stripe_amount)
    }

    /// `facts/stripe.md` §1.3, the captured invoice: 1,031 units on two tiers, each with a flat fee.
    #[test]
    fn usage_and_money_are_sums_over_all_lines_of_the_price() {
        let lines = vec![
            line("price_usage", "1000", 0),
            line("price_usage", "0", 900),
            line("price_usage", "31", 112),
            line("price_usage", "0", 0),
            line("price_base", "1", 99_900),
        ];
        let captured = invoice(lines);
        assert_eq!(
            judged(&expected("1031", 1012), Some(&captured)),
            (Class::Matched, Some("1031".into()), Some(1012))
        );
        assert_eq!(judged(&expected("1031", 1011), Some(&captured)).0, Class::AmountMismatch);
        assert_eq!(judged(&expected("1030", 1012), Some(&captured)).0, Class::QuantityMismatch);
        let beside = out_of_scope("acme", "pro", october(), &captured, Source::Invoice, &[scope()], "in_1");
        assert_eq!((beside.len(), beside[0].stripe_amount), (1, Some(99_900)));
    }

    /// `facts/stripe.md` §4, LIVE-CANCEL: cancelled on day 10 of 31. The usage has its fee in full; what Stripe gives back of
    /// the fee that was paid in advance is no usage.
    #[test]
    fn live_cancel_the_fee_that_stripe_gives_back_is_listed_beside_the_usage() {
        let given_back = InvoiceLine { proration: true, ..line("price_base", "1", -21_000) };
        let lines = vec![given_back, line("price_usage", "99", 0), line("price_usage", "0", 1000)];
        let captured = invoice(lines);
        assert_eq!(captured.lines.iter().map(|line| line.amount_minor).sum::<i64>(), -20_000);
        let usage = judged(&expected("99", 1000), Some(&captured));
        assert_eq!(usage, (Class::Matched, Some("99".into()), Some(1000)));
        let beside = out_of_scope("acme", "pro", october(), &captured, Source::Invoice, &[scope()], "in_1");
        assert_eq!((beside.len(), beside[0].stripe_amount), (1, Some(-21_000)));
    }

    #[test]
    fn what_cannot_be_read_is_incomplete_and_never_zero() {
        let unknown = (Class::Incomplete, None, None);
        assert_eq!(judged(&expected("0", 0), None), unknown);
        let mut half = invoice(vec![line("price_usage", "5", 0)]);
        half.lines_complete = false;
        assert_eq!(judged(&expected("5", 0), Some(&half)), unknown);
        let mut silent = line("price_usage", "5", 0);
        silent.quantity = None;
        assert_eq!(judged(&expected("5", 0), Some(&invoice(vec![silent]))), unknown);
        let dollars =
            InvoiceLine { currency: Currency::parse("usd").unwrap(), ..line("price_usage", "5", 0) };
        assert_eq!(judged(&expected("5", 0), Some(&invoice(vec![dollars]))), unknown);
        assert_eq!(compare_total(&expected("0", 0), None, "mtr_1").unwrap().class, Class::Incomplete);
    }

    #[test]
    fn no_line_at_all_agrees_only_with_no_usage() {
        let base_only = invoice(vec![line("price_base", "1", 99_900)]);
        assert_eq!(judged(&expected("0", 0), Some(&base_only)).0, Class::Matched);
        assert_eq!(judged(&expected("1", 0), Some(&base_only)).0, Class::MissingInStripe);
        assert_eq!(
            compare_nothing(&expected("1", 0), Source::Invoice, "sub_1").class,
            Class::MissingInStripe
        );
    }

    #[test]
    fn lines_of_another_window_and_prorations_are_not_this_usage() {
        let november = Window { start: october().end, end: "2026-12-01T00:00:00Z".parse().unwrap() };
        let later = InvoiceLine { period: november, ..line("price_usage", "9", 0) };
        let prorated = InvoiceLine { proration: true, ..line("price_usage", "9", -500) };
        let all = invoice(vec![line("price_usage", "5", 0), later, prorated]);
        assert_eq!(judged(&expected("5", 0), Some(&all)), (Class::Matched, Some("5".into()), Some(0)));
    }

    #[test]
    fn a_difference_is_stripes_less_the_ledgers_and_has_its_cause_only_where_it_differs() {
        let total = MeterTotal { quantity: Quantity::parse("3").unwrap(), request_id: "req_1".to_owned() };
        let row = compare_total(&expected("5", 0), Some(&total), "mtr_1").unwrap();
        assert_eq!(row.difference_quantity().unwrap().to_string(), "-2");
        assert_eq!((row.class, row.reason), (Class::QuantityMismatch, Some(Cause::NotPushed)));
        let row = compare_total(&expected("3", 0), Some(&total), "mtr_1").unwrap();
        assert_eq!((row.class, row.reason), (Class::Matched, None));
    }

    fn at_meter(expected: &Expected, total: &str) -> (Class, String, String, Option<Cause>) {
        let total = MeterTotal { quantity: Quantity::parse_float(total).unwrap(), request_id: String::new() };
        let row = compare_total(expected, Some(&total), "mtr_1").unwrap();
        let text = |quantity: Option<Quantity>| quantity.unwrap().to_string();
        (row.class, text(row.ledger_quantity), text(row.stripe_quantity), row.reason)
    }

    #[test]
    fn a_meters_total_is_compared_to_the_digits_that_a_float_keeps() {
        for (ledger, total, shown, class) in [
            ("0.3", "0.30000000000000004", "0.3", Class::Matched),
            ("100", "99.99999999999999", "100", Class::Matched),
            ("1234567.123456789012", "1234567.123456789", "1234567.12345679", Class::Matched),
            ("0", "-2.7755575615628914e-17", "0", Class::Matched),
            ("0.3", "0.3000000001", "0.3000000001", Class::QuantityMismatch),
            ("100", "99.9999999999", "99.9999999999", Class::QuantityMismatch),
        ] {
            let (found, _, stripe, _) = at_meter(&expected(ledger, 0), total);
            assert_eq!((found, stripe.as_str()), (class, shown), "{ledger} {total}");
        }
    }

    #[test]
    fn what_lies_in_the_edge_minutes_is_taken_off_the_total() {
        let quantity = |text| Quantity::parse(text).unwrap();
        let added = |units| EdgeMinutes::Added(quantity(units));
        let boundary = Some(Cause::PeriodBoundary);
        let above_a_quota = EdgeMinutes::AtMost(quantity("7"));
        let reading = EdgeMinutes::Level(quantity("8"));
        for (edges, total, shown, class, reason) in [
            (added("7"), "67", "60", Class::Matched, None),
            // The neighbour's usage is not there, or ours is not: nobody can tell.
            (added("7"), "60", "53", Class::QuantityMismatch, boundary),
            (added("7"), "70", "63", Class::QuantityMismatch, boundary),
            (added("7"), "75", "68", Class::QuantityMismatch, None),
            (added("7"), "59", "52", Class::QuantityMismatch, None),
            (added("-7"), "53", "60", Class::Matched, None),
            (above_a_quota, "60", "60", Class::Matched, None),
            (above_a_quota, "67", "67", Class::QuantityMismatch, boundary),
            (above_a_quota, "68", "68", Class::QuantityMismatch, None),
            (reading, "8", "60", Class::Matched, None),
            (reading, "60", "60", Class::Matched, None),
            (reading, "9", "9", Class::QuantityMismatch, boundary),
        ] {
            let expected = Expected { cause: None, edges: Some(edges), ..expected("60", 0) };
            let (found, _, stripe, why) = at_meter(&expected, total);
            assert_eq!((found, stripe.as_str(), why), (class, shown, reason), "{edges:?} {total}");
        }
        // The total has fewer places than the window alone.
        let expected = Expected { cause: None, edges: Some(added("1")), ..expected("999999.123456789", 0) };
        assert_eq!(at_meter(&expected, "1000000.123456789").0, Class::Matched);
    }

    #[test]
    fn an_amount_in_a_trial_and_a_trial_without_invoice_say_that_it_was_a_trial() {
        let trial = Expected { trial: true, ..expected("5", 0) };
        let row = |expected: &Expected, line| {
            compare_lines(expected, Some(&invoice(vec![line])), Source::Invoice, &scope(), "in_1").unwrap()
        };
        let charged = row(&trial, line("price_usage", "5", 500));
        assert_eq!((charged.class, charged.reason), (Class::AmountMismatch, Some(Cause::Trial)));
        assert_eq!(row(&expected("5", 0), line("price_usage", "5", 500)).reason, None);
        let fewer = row(&trial, line("price_usage", "4", 0));
        assert_eq!((fewer.class, fewer.reason), (Class::QuantityMismatch, Some(Cause::NotPushed)));
        let none = compare_nothing(&trial, Source::Invoice, "sub_1");
        assert_eq!((none.class, none.reason), (Class::MissingInStripe, Some(Cause::Trial)));
    }
}
