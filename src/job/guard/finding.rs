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
use crate::domain::reconcile::{Cause, ReconciliationRow};
use crate::job::guard::windows::Candidate;

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
    /// The cause, as a run names it.
    pub reason: Option<Cause>,
    pub outcome: Outcome,
    /// Who does what about it.
    pub next_step: String,
}

impl Disagreement {
    /// The draft's less the ledger's.
    pub fn difference(&self) -> MinorSum {
        MinorSum { minor: self.draft_amount - self.ledger_amount, currency: self.currency }
    }

    fn units(&self) -> Quantity {
        let known = self.draft_quantity.zip(self.ledger_quantity);
        known.and_then(|(draft, ledger)| draft.checked_sub(ledger).ok()).unwrap_or_default().magnitude()
    }

    pub(super) fn of(row: &ReconciliationRow, outcome: Outcome, currency: Currency) -> Self {
        let next_step = match outcome {
            Outcome::NeedsRun => {
                "right once the next run has sent what is missing and Stripe counts it, if that is before the draft is final"
            }
            _ => &row.next_step,
        };
        Self {
            meter: Some(row.meter.clone()),
            ledger_quantity: Some(row.ledger_quantity.unwrap_or_default()),
            draft_quantity: row.stripe_quantity,
            ledger_amount: row.ledger_amount.unwrap_or_default(),
            draft_amount: row.stripe_amount.unwrap_or_default(),
            currency: row.currency.unwrap_or(currency),
            reason: row.reason,
            outcome,
            next_step: next_step.to_owned(),
        }
    }
}

/// A draft that does not agree, or of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub draft: Draft,
    pub outcome: Outcome,
    pub rows: Vec<Disagreement>,
    /// Why nothing can be said, or why no run makes it right.
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

    /// What its money is in; `None` where none is known.
    pub fn currency(&self) -> Option<Currency> {
        self.at_stake().into_keys().next()
    }

    /// By currency, which have nothing in common; of each the worst money first, then the most units.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let money: Vec<_> = self
            .at_stake()
            .into_iter()
            .map(|(currency, minor)| (currency, Reverse(minor.unsigned_abs())))
            .collect();
        let units = self.rows.iter().map(Disagreement::units).max();
        let draft = &self.draft;
        (
            self.outcome,
            money.is_empty(),
            money,
            Reverse(units),
            draft.tenant_id.clone(),
            draft.invoice_id.clone(),
        )
    }
}

impl Draft {
    pub fn of(one: &Candidate<'_>) -> Self {
        let tenant_id = one.window.tenant.id().to_owned();
        Self {
            tenant_id,
            window: Some(one.window.window),
            ..Self::without_window(one.invoice, &BTreeMap::new())
        }
    }

    pub fn without_window(invoice: &Invoice, owners: &BTreeMap<&str, &str>) -> Self {
        let subscription_id = invoice.subscription_id.clone().unwrap_or_default();
        let tenant_id = owners.get(subscription_id.as_str()).copied().unwrap_or_default().to_owned();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(tenant_id: &str, money: &[(&str, i128)]) -> Finding {
        let row = |(code, minor): &(&str, i128)| Disagreement {
            meter: None,
            ledger_quantity: None,
            draft_quantity: None,
            ledger_amount: 0,
            draft_amount: *minor,
            currency: Currency::parse(code).unwrap(),
            reason: None,
            outcome: Outcome::Wrong,
            next_step: String::new(),
        };
        let draft = Draft {
            tenant_id: tenant_id.to_owned(),
            invoice_id: String::new(),
            subscription_id: String::new(),
            customer_id: String::new(),
            window: None,
            finalizes_at: None,
        };
        let rows = money.iter().map(row).collect();
        Finding { draft, outcome: Outcome::Wrong, rows, why: String::new() }
    }

    /// A yen is a minor unit, a lira a hundred, a dinar a thousand: no order of their numbers means anything.
    #[test]
    fn the_worst_money_is_first_within_a_currency_and_currencies_are_never_compared() {
        let mut findings = [
            finding("lira-less", &[("try", 900)]),
            finding("yen", &[("jpy", 5)]),
            finding("lira", &[("try", 500), ("try", 500)]),
            finding("dinar", &[("kwd", -70_000)]),
            finding("yen-more", &[("jpy", -600)]),
            finding("nothing", &[]),
        ];
        findings.sort_by_cached_key(Finding::rank);
        let told: Vec<&str> = findings.iter().map(|one| one.draft.tenant_id.as_str()).collect();
        assert_eq!(told, ["yen-more", "yen", "dinar", "lira", "lira-less", "nothing"]);
    }
}
