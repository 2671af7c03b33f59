//! What the guard finds: a draft, what disagrees on it, what becomes of it, and in which order a person is told.
//!
//! In: a candidate's names, rows of a comparison. Out: plain values with their words. Pure, and decides nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::invoice::Invoice;
use crate::domain::money::{Currency, MinorSum};
use crate::domain::number::Quantity;
use crate::domain::period::Window;
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::tenant::Tenant;
use crate::job::guard::windows::Candidate;
use crate::job::reading::owners;

/// A draft invoice, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub tenant_id: String,
    /// Empty: not even that could be read.
    pub invoice_id: String,
    pub subscription_id: String,
    pub customer_id: String,
    pub window: Option<Window>,
    /// `None`: it stays a draft until a person finalizes it.
    pub finalizes_at: Option<Timestamp>,
}

/// What becomes of a draft that does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It would go out wrong.
    Wrong,
    /// A run has still to push what it lacks.
    NeedsRun,
    Uncompared,
    /// Stripe brings it up to date when it finalizes it.
    Settles,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::NeedsRun => "needs_run",
            Self::Uncompared => "uncompared",
            Self::Settles => "settles",
        }
    }
}

/// Why a line is not what the ledger says, as far as the guard can tell in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Unknown,
    ToPush,
    NotSent,
    NotShown,
    Stale,
    TooMuch,
    Price,
    OtherPrice,
    DoubleItem,
    NoLine,
    NotSold,
    BaseFee,
}

impl Fault {
    /// The cause, in the words of `reconciliation.csv`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::ToPush | Self::NotSent => "not_pushed",
            Self::NotShown => "latency_pending",
            Self::Stale => "draft_stale",
            Self::TooMuch => "duplicate_push",
            Self::Price | Self::BaseFee => "pricing_diff",
            Self::OtherPrice | Self::NoLine | Self::NotSold => "mapping",
            Self::DoubleItem => "double_meter",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "the meter's total could not be read, so the cause is not known",
            Self::ToPush => "not pushed yet: the next run sends it, if it comes before the draft is final",
            Self::NotSent => "usage that Stripe has not been sent",
            Self::NotShown => "sent, and not in Stripe's total yet",
            Self::Stale => {
                "the meter's total agrees; Stripe brings the draft up to date when it finalizes it"
            }
            Self::TooMuch => "Stripe's meter holds more than the ledger: sent twice, or by somebody else",
            Self::Price => "the quantity agrees and the price does not: catalog and Stripe's price differ",
            Self::OtherPrice => "billed by another price than the one in force",
            Self::DoubleItem => "two items of the subscription bill one meter, each all of its usage",
            Self::NoLine => "the draft has no line for this usage",
            Self::NotSold => "the draft bills a meter that the tenant's plan does not sell",
            Self::BaseFee => "the base fee is not that of the tenant's plan",
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::ToPush | Self::NotShown => Outcome::NeedsRun,
            Self::Stale => Outcome::Settles,
            _ => Outcome::Wrong,
        }
    }
}

/// One thing on a draft that is not as the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// `None`: the base fee.
    pub meter: Option<String>,
    pub ledger_quantity: Option<Quantity>,
    pub draft_quantity: Option<Quantity>,
    pub ledger_amount: i128,
    pub draft_amount: i128,
    pub currency: Currency,
    pub fault: Fault,
}

impl Disagreement {
    /// The draft's less the ledger's.
    pub fn difference(&self) -> MinorSum {
        MinorSum { minor: self.draft_amount - self.ledger_amount, currency: self.currency }
    }

    pub fn is_of_quantity(&self) -> bool {
        self.draft_quantity != self.ledger_quantity
    }

    fn units(&self) -> Quantity {
        let known = self.draft_quantity.zip(self.ledger_quantity);
        known.and_then(|(draft, ledger)| draft.checked_sub(ledger).ok()).unwrap_or_default().magnitude()
    }

    pub(super) fn of(row: &ReconciliationRow, fault: Fault, currency: Currency) -> Self {
        Self {
            meter: Some(row.meter.clone()),
            ledger_quantity: Some(row.ledger_quantity.unwrap_or_default()),
            draft_quantity: row.stripe_quantity,
            ledger_amount: row.ledger_amount.unwrap_or_default(),
            draft_amount: row.stripe_amount.unwrap_or_default(),
            currency: row.currency.unwrap_or(currency),
            fault,
        }
    }
}

/// A draft that does not agree, or of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub draft: Draft,
    pub outcome: Outcome,
    pub rows: Vec<Disagreement>,
    /// Why nothing can be said.
    pub why: String,
}

impl Finding {
    pub fn uncompared(draft: Draft, why: String) -> Self {
        Self { draft, outcome: Outcome::Uncompared, rows: Vec::new(), why }
    }

    /// What the customer would be charged too much, or, below 0, too little, by currency.
    pub fn at_stake(&self) -> BTreeMap<Currency, i128> {
        let mut sums = BTreeMap::new();
        for row in &self.rows {
            *sums.entry(row.currency).or_default() += row.difference().minor;
        }
        sums
    }

    /// The worst money first, whatever its currency; then the most units.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let major = |(currency, minor): (&Currency, &i128)| {
            minor.unsigned_abs().saturating_mul(10u128.pow(4u32.saturating_sub(currency.exponent())))
        };
        let money = self.at_stake().iter().map(major).fold(0, u128::saturating_add);
        let units = self.rows.iter().map(Disagreement::units).max();
        let draft = &self.draft;
        (self.outcome, Reverse(money), Reverse(units), draft.tenant_id.clone(), draft.invoice_id.clone())
    }
}

impl Draft {
    pub fn of(one: &Candidate<'_>) -> Self {
        let tenant_id = one.window.tenant.id().to_owned();
        Self { tenant_id, window: Some(one.window.window), ..Self::without_window(one.invoice, &[]) }
    }

    pub fn without_window(invoice: &Invoice, tenants: &[Tenant]) -> Self {
        let subscription_id = invoice.subscription_id.clone().unwrap_or_default();
        let tenant_id = owners(tenants).get(subscription_id.as_str()).copied().unwrap_or_default().to_owned();
        Self {
            tenant_id,
            invoice_id: invoice.id.clone(),
            subscription_id,
            customer_id: invoice.customer_id.clone().unwrap_or_default(),
            window: None,
            finalizes_at: invoice.finalizes_at,
        }
    }

    /// Whole minutes until Stripe finalizes it; 0 where that is past.
    pub fn minutes_left(&self, now: Timestamp) -> Option<i64> {
        self.finalizes_at.map(|at| (at.as_second() - now.as_second()).max(0) / 60)
    }
}
