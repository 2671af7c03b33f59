//! Causes: why the ledger and Stripe disagree, and how much of it that explains.
//!
//! In: a difference and the evidence about it. Out: one cause with the units and the money that it accounts for, the ids that
//! prove it, and in words who does what. Never explains more units than the difference, nor any of the other sign: what is
//! left, of units and of money, is unexplained, and the two together are the difference.

use super::ReconciliationRow;
use super::account::Account;
use super::evidence::{BillState, Evidence, Nature};
use super::ids::Proofs;
use crate::domain::number::Quantity;

/// Why a row is as it is, as far as the run knows. The words are those of `reason` in `reconciliation.csv`;
/// `docs/causes.md` has a section on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    IncompleteData,
    /// Not a line of usage.
    ExtraLines,
    /// Customer, subscription or price are not those that the ledger expects.
    Mapping,
    /// In a trial nothing is charged, whatever a line says or does not say.
    Trial,
    /// Two items of one customer bill one meter, each all of it.
    DoubleMeter,
    /// The plan changed inside of the window: what was used on an item that is gone is on no invoice.
    MidCycleChange,
    /// Stripe had an event of the push's name already, with another body.
    DuplicateRejected,
    /// Taken by Stripe and then dropped.
    RejectedAsync,
    /// Usage was taken back when the invoice was final already.
    CorrectionAfterClose,
    /// It came or was first seen when the invoice was final already.
    LateUsage,
    /// Sent, and not in Stripe's total yet.
    LatencyPending,
    /// A draft shows what Stripe knew when it was made.
    DraftStale,
    /// Usage at a window's edge stands on the other side of it.
    PeriodBoundary,
    /// Usage stands in another window, and not at the edge.
    TimestampShift,
    /// The same usage came twice.
    DuplicatePush,
    /// Not sent, or refused when it was sent.
    NotPushed,
    /// Stripe makes another number of the same records: by another formula, or in another unit.
    AggregationMismatch,
    /// The units agree, and Stripe's price makes another amount of them.
    PricingDiff,
}

impl Cause {
    /// In the order in which they are looked for.
    ///
    /// First what says that the two numbers are no measure of each other (an answer that is missing, a line that is no usage, a
    /// stranger's subscription, a trial, an item too many, an item that is gone): whoever looks for lost events there
    /// looks in vain. Then what has been written down (our own pushes, when a record came, whether an invoice is a draft):
    /// a fact is better than an inference. Then what the sums of days and windows tell, the narrower before the wider: usage at
    /// the edge is also usage elsewhere, and what came nowhere is what is left. Another unit is last of these: one
    /// number is soon ten times another by chance. Money is looked at only where the units agree.
    pub const ALL: [Self; 18] = [
        Self::IncompleteData,
        Self::ExtraLines,
        Self::Mapping,
        Self::Trial,
        Self::DoubleMeter,
        Self::MidCycleChange,
        Self::DuplicateRejected,
        Self::RejectedAsync,
        Self::CorrectionAfterClose,
        Self::LateUsage,
        Self::LatencyPending,
        Self::DraftStale,
        Self::PeriodBoundary,
        Self::TimestampShift,
        Self::DuplicatePush,
        Self::NotPushed,
        Self::AggregationMismatch,
        Self::PricingDiff,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncompleteData => "incomplete_data",
            Self::ExtraLines => "extra_lines",
            Self::Mapping => "mapping",
            Self::Trial => "trial",
            Self::DoubleMeter => "double_meter",
            Self::MidCycleChange => "mid_cycle_change",
            Self::DuplicateRejected => "duplicate_rejected",
            Self::RejectedAsync => "rejected_async",
            Self::CorrectionAfterClose => "correction_after_close",
            Self::LateUsage => "late_usage",
            Self::LatencyPending => "latency_pending",
            Self::DraftStale => "draft_stale",
            Self::PeriodBoundary => "period_boundary",
            Self::TimestampShift => "timestamp_shift",
            Self::DuplicatePush => "duplicate_push",
            Self::NotPushed => "not_pushed",
            Self::AggregationMismatch => "aggregation_mismatch",
            Self::PricingDiff => "pricing_diff",
        }
    }

    /// Who does what about it.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::IncompleteData => {
                "engineering: run again; if it stays, send Stripe the request id in evidence.ndjson"
            }
            Self::ExtraLines => "nobody: it is no usage; finance sees here what else the invoice holds",
            Self::Mapping => {
                "engineering: give the subscription its tenant in the tenants file, or take our price off it; then run again"
            }
            Self::Trial => "nobody: a trial is not charged",
            Self::DoubleMeter => {
                "engineering: remove all items of the customer on this meter but one; finance: give back what the others billed"
            }
            Self::MidCycleChange => {
                "finance: bill the usage of the item that is gone by hand, or let it go; change plans at the end of a window"
            }
            Self::DuplicateRejected => {
                "engineering: find who sent an event under the push's identifier; finance: bill the missing units by hand"
            }
            Self::RejectedAsync => {
                "engineering: read the meter's error reports at Stripe and mend what they name; finance: bill by hand what is too late"
            }
            Self::CorrectionAfterClose => {
                "finance: issue a credit note for the amount; a final invoice does not change by itself"
            }
            Self::LateUsage => {
                "finance: bill the missing units by hand, or let them go; engineering: import usage before the invoice is final"
            }
            Self::LatencyPending => "nobody: Stripe's total comes later; run again in an hour",
            Self::DraftStale => {
                "nobody yet: Stripe brings the draft up to date when it makes it final; look at it again then"
            }
            Self::PeriodBoundary => {
                "engineering: send events with the instant of their use in UTC, and cut windows where Stripe does"
            }
            Self::TimestampShift => {
                "engineering: send events with the instant of their use; finance: put right the two windows that it stands in"
            }
            Self::DuplicatePush => {
                "engineering: send each event once, under a lasting identifier; finance: give back what was billed twice"
            }
            Self::NotPushed => {
                "engineering: see why it was not sent and send it while the invoice is a draft; run again"
            }
            Self::AggregationMismatch => {
                "engineering: bring the meter's formula and unit at Stripe and in the catalog together; finance: do not rely on the bill"
            }
            Self::PricingDiff => {
                "finance: compare the price at Stripe with the catalog's and mend the one that is wrong"
            }
        }
    }
}

/// What a person does where nothing explains a difference.
const NEXT_STEP_UNEXPLAINED: &str = "engineering: nothing explains it; compare the tenant's records (billrecon explain) with what was sent to Stripe";
/// Of a subscription whose prices are not those of its plan.
const NEXT_STEP_PRICE: &str = "engineering: give the subscription the prices in force of its tenant's plan and no others; finance: put right what was billed";
/// Of a draft that nobody makes final.
const NEXT_STEP_KEPT: &str = "finance: the draft stays as it is until a person makes it final or voids it; bill by hand what it then lacks, or let it go";
/// Of a window that goes on as it stands at Stripe.
const NEXT_STEP_STANDS: &str = "finance: a person let stand what Stripe shows, so nothing more is sent; bill by hand what is missing, give back what is too much, or let it go";

/// The numbers that disagree. What is not known is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The ledger's units to the last digit, beside a total as well.
    pub ledger: Quantity,
    pub stripe: Quantity,
    /// Stripe's less the ledger's, as it stands in the row.
    pub quantity: Option<Quantity>,
    pub ledger_amount: Option<i128>,
    pub amount: Option<i128>,
}

impl Difference {
    pub(super) fn of(row: &ReconciliationRow, ledger: Quantity) -> Self {
        Self {
            ledger,
            stripe: row.stripe_quantity.unwrap_or_default(),
            quantity: row.difference_quantity(),
            ledger_amount: row.ledger_amount,
            amount: row.difference_amount(),
        }
    }

    /// Stripe's less the ledger's; 0 where one of them is not known.
    pub(super) fn units(&self) -> Quantity {
        self.quantity.unwrap_or_default()
    }
}

/// What is said of a difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub cause: Option<Cause>,
    /// `None` where the difference is not known.
    pub explained_quantity: Option<Quantity>,
    pub explained_amount: Option<i128>,
    /// Lasting ids only.
    pub ids: Proofs,
    /// Who does what about it.
    pub next_step: &'static str,
}

/// Names the cause: one that holds whatever the numbers are; else of those that account for the difference exactly the first;
/// else the first that accounts for a part of it.
pub fn decide(difference: &Difference, evidence: &Evidence<'_>) -> Named {
    let accounts =
        || Cause::ALL.into_iter().filter_map(|cause| Some((cause, account(cause, difference, evidence)?)));
    let chosen = accounts()
        .find(|(_, one)| one.is_certain)
        .or_else(|| accounts().find(|(_, one)| one.is_exact(difference)))
        .or_else(|| accounts().find(|(_, one)| one.is_part(difference)));
    let (cause, account) = match chosen {
        Some((cause, account)) => (Some(cause), account),
        None => (None, Account::default()),
    };
    Named {
        cause,
        explained_quantity: difference.quantity.map(|_| account.explained_quantity(difference)),
        explained_amount: difference.amount.map(|_| account.explained_amount(difference, evidence.rates)),
        ids: account.ids,
        next_step: next_step(cause, evidence),
    }
}

/// The words of the cause, but where they ask for what cannot happen any more.
fn next_step(cause: Option<Cause>, evidence: &Evidence<'_>) -> &'static str {
    let is_kept = evidence.bill.as_ref().is_some_and(|bill| bill.state == BillState::Kept);
    match cause {
        Some(Cause::Mapping) if evidence.nature != Nature::Strange => NEXT_STEP_PRICE,
        Some(Cause::DraftStale) if is_kept => NEXT_STEP_KEPT,
        Some(Cause::NotPushed) | None if evidence.stands => NEXT_STEP_STANDS,
        Some(cause) => cause.next_step(),
        None => NEXT_STEP_UNEXPLAINED,
    }
}

/// What a cause accounts for, by the evidence; `None` where there is none of it. What a bill shows is also what the meter's
/// total shows, so the total's cause is a bill's too.
fn account(cause: Cause, difference: &Difference, evidence: &Evidence<'_>) -> Option<Account> {
    let Evidence { nature, pushes, .. } = evidence;
    let look = evidence.look;
    let bill = evidence.bill.as_ref();
    let agrees = difference.units().is_zero();
    let beside_total = |state| bill.and_then(|bill| bill.beside_total(state, difference));
    let own = match cause {
        Cause::IncompleteData => (*nature == Nature::Unread).then(Account::certain),
        Cause::ExtraLines => (*nature == Nature::Beside).then(Account::certain),
        Cause::Mapping if *nature == Nature::Strange => Some(Account::certain()),
        Cause::Mapping => bill.and_then(|bill| bill.at_another_price(difference)),
        Cause::Trial => {
            let charges_nothing =
                evidence.trial && (agrees || bill.is_some_and(|bill| bill.state == BillState::Absent));
            charges_nothing.then(|| Account { is_certain: true, ..Account::whole(difference) })
        }
        Cause::DoubleMeter => bill.and_then(|bill| bill.other_items(difference)),
        Cause::MidCycleChange => bill.and_then(|bill| bill.lost_segments(difference)),
        Cause::DuplicateRejected => pushes.duplicated.account(),
        Cause::RejectedAsync => pushes.dropped.account(),
        Cause::CorrectionAfterClose => {
            let kept = beside_total(BillState::Final).filter(|units| !units.is_negative());
            let own = pushes.corrected.account().or_else(|| look?.corrected(difference));
            Account::both(own, kept.map(Account::of))
        }
        Cause::LateUsage => {
            let may_be_late = bill.is_some_and(|bill| bill.may_be_late);
            let missed = beside_total(BillState::Final).filter(|units| units.is_negative() && may_be_late);
            let own = pushes.late.account().or_else(|| look?.late(difference));
            Account::both(own, missed.map(Account::of))
        }
        Cause::LatencyPending if *nature == Nature::TooEarly => Some(Account::certain()),
        Cause::LatencyPending => pushes.sent.account().or_else(|| look?.latency(difference)),
        Cause::DraftStale => {
            let units = beside_total(BillState::Draft).or_else(|| beside_total(BillState::Kept));
            units.map(Account::of)
        }
        Cause::PeriodBoundary if evidence.at_the_edge(difference) => Some(Account::of(difference.units())),
        Cause::PeriodBoundary => look.and_then(|look| look.boundary(difference)),
        Cause::TimestampShift => look.and_then(|look| look.shifted(difference)),
        Cause::DuplicatePush => {
            pushes.arrived_again(difference.units()).or_else(|| look?.duplicates(difference))
        }
        Cause::NotPushed => pushes.unsent.account().or_else(|| look?.unsent(difference)),
        Cause::AggregationMismatch => match look {
            Some(look) => look.aggregated(difference, evidence.other_formula),
            None => evidence.other_formula.map(|_| Account::certain()),
        },
        Cause::PricingDiff => bill.filter(|_| agrees).and_then(|bill| bill.priced_otherwise(difference)),
    };
    Account::both(own, bill.and_then(|bill| bill.inherited(cause)))
}

#[cfg(test)]
mod tests;
