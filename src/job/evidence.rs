//! Evidence: gathers what may tell why the ledger and Stripe disagree.
//!
//! In: a window's meter, its intents, what stands at Stripe. Out: [`Evidence`] for the meter's total, and then for the bill. Pure.
//! It names no cause.

pub mod look;

use jiff::Timestamp;

use crate::domain::intent::{Intent, PushMode};
use crate::domain::invoice::Invoice;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;
use crate::domain::reconcile::{Bill, BillState, Evidence, Pushes, ReconciliationRow, TotalSeen};
use crate::job::connection::Wire;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::stage::Stage;
use crate::job::standing::MeterAtStripe;

/// What is known beside a meter's total.
pub fn of_total<'a>(
    one: &Mapped,
    using: &'a MeterUse,
    meter: &MeterAtStripe,
    intents: &[Intent],
    wire: &Wire,
    now: Timestamp,
) -> Result<Evidence<'a>, NumberError> {
    let expected = &using.expected;
    let pushes = match wire.push {
        PushMode::Push => Pushes::of(using.aggregation, &using.targets, expected.quantity, intents, now)?,
        PushMode::Observe => Pushes::default(),
    };
    Ok(Evidence {
        trial: expected.trial,
        pushes,
        edges: expected.edges,
        other_formula: meter.other_formula,
        rates: using.rates.as_ref(),
        stands: one.stands,
        ..Evidence::default()
    })
}

/// What is known beside a preview or an invoice, once something is said of the total. Where the total is known it says what Stripe
/// lacks of our pushes; lines know whole windows, so no edge cuts them.
pub fn of_bill<'a>(
    of_total: Evidence<'a>,
    one: &Mapped,
    using: &MeterUse,
    total: &ReconciliationRow,
    invoice: Option<&Invoice>,
    may_be_late: bool,
) -> Evidence<'a> {
    let segments: Vec<Window> = using.targets.iter().map(|target| target.segment).collect();
    let is_changed = using.expected.is_mid_cycle_change(&segments);
    let quantities = using.targets.iter().filter(|_| is_changed).map(|target| target.quantity);
    let state = match one.stage {
        Stage::Open => BillState::Preview,
        Stage::Ended => BillState::Draft,
        // By the clock: Stripe does not make it final by itself.
        Stage::Final if invoice.is_some_and(|invoice| !invoice.has_left_draft()) => BillState::Kept,
        Stage::Final => BillState::Final,
    };
    let is_at_the_edge = of_total.edges.is_some();
    let seen = |quantity: Quantity| TotalSeen {
        quantity,
        cause: total.reason.filter(|_| !is_at_the_edge),
        explained: total.explained_quantity.unwrap_or_default(),
        ids: total.evidence.proofs(),
    };
    let total = total.stripe_quantity.map(seen);
    let bill = Bill {
        state,
        segments: quantities.collect(),
        is_gauge: using.aggregation.is_gauge(),
        total,
        may_be_late,
        ..Bill::default()
    };
    let pushes = if bill.total.is_some() { Pushes::default() } else { of_total.pushes };
    Evidence { pushes, edges: None, look: None, bill: Some(bill), ..of_total }
}
