//! Evidence: what is known about one comparison, as plain data.
//!
//! In: what the job has gathered of pushes, meter and bill. Out: what each of it accounts for. Never asks anybody, and never
//! picks a cause: that is `cause`'s.

use super::EdgeMinutes;
use super::account::Account;
use super::cause::{Cause, Difference};
use super::ids::Proofs;
use super::look::Look;
use super::pushes::Pushes;
use super::rates::Rates;
use crate::domain::invoice::MeterFormula;
use crate::domain::number::Quantity;

/// What may tell why Stripe and the ledger disagree.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    pub nature: Nature,
    /// The window is a trial: nothing is to be charged.
    pub trial: bool,
    /// What of our own pushes Stripe lacks.
    pub pushes: Pushes,
    /// Usage in the minutes that the window shares with its neighbours.
    pub edges: Option<EdgeMinutes>,
    pub other_formula: Option<OtherFormula>,
    /// The price in force; `None` where nothing is charged.
    pub rates: Option<&'a Rates>,
    /// Of a preview or an invoice.
    pub bill: Option<Bill>,
    /// Of a meter's total that differs, where another sends usage.
    pub look: Option<&'a Look>,
    /// A person has let stand what Stripe shows: nothing more is sent.
    pub stands: bool,
}

/// What a row speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nature {
    #[default]
    Usage,
    /// An answer, or a part of it, is missing.
    Unread,
    /// An item, a currency or a subscription that the ledger does not expect.
    Strange,
    /// No usage: fees, prorations, one-off items.
    Beside,
    /// What Stripe took lately may still come.
    TooEarly,
}

/// The meter at Stripe makes another number of its events than the catalog says. Inside: its formula; `None` where nobody can say
/// what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherFormula(pub Option<MeterFormula>);

/// What is known of a preview or an invoice.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    pub state: BillState,
    /// Stripe's total of the meter, with what was said of it.
    pub total: Option<TotalSeen>,
    /// Where plan or price changed inside of the window: what each segment is to show, in time. Empty: they did not.
    pub segments: Vec<Quantity>,
    /// A gauge: what it stands at in one segment has nothing to do with the others.
    pub is_gauge: bool,
    /// Final: something may have come to the meter after that.
    pub may_be_late: bool,
    /// The subscription items whose lines it holds.
    pub items: Vec<Item>,
    /// What Stripe's own prices make of the units on the lines.
    pub priced: Option<i128>,
    /// Its usage is not billed by the price in force.
    pub price: OtherPrice,
}

/// Whether the lines are of another price than the one in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherPrice {
    #[default]
    No,
    /// There are lines of items, and none of a price of the meter. Stripe writes one for each item, at zero usage too.
    NoLine,
    /// A line is of a price that no plan of the window has in force.
    NotInForce,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BillState {
    #[default]
    Preview,
    /// It takes usage; in the first minutes Stripe may not have made it yet.
    Draft,
    /// A draft that stays one until a person decides: of a subscription that is unpaid, or held by hand.
    Kept,
    Final,
    /// Stripe makes none.
    Absent,
}

/// Stripe's total of the meter, and what was said of it.
#[derive(Clone, Debug, Default)]
pub struct TotalSeen {
    pub quantity: Quantity,
    pub cause: Option<Cause>,
    pub explained: Quantity,
    pub ids: Proofs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub quantity: Quantity,
    pub amount: i128,
}

impl Evidence<'_> {
    /// Usage in the minutes that the window's edges cut may be on either side.
    pub(super) fn at_the_edge(&self, difference: &Difference) -> bool {
        match self.edges {
            Some(EdgeMinutes::Added(beside) | EdgeMinutes::AtMost(beside)) => {
                difference.units().magnitude() <= beside.magnitude()
            }
            // A total that shows that reading has matched: it accounts for no other.
            Some(EdgeMinutes::Level(_)) | None => false,
        }
    }
}

impl Bill {
    /// How far it is from the meter's total, if it is in this state.
    pub(super) fn beside_total(&self, state: BillState, difference: &Difference) -> Option<Quantity> {
        if self.state != state {
            return None;
        }
        let total = self.total.as_ref()?;
        difference.stripe.checked_sub(total.quantity).ok().filter(|units| !units.is_zero())
    }

    /// What was said of the total holds for the bill too.
    pub(super) fn inherited(&self, cause: Cause) -> Option<Account> {
        let total = self.total.as_ref().filter(|total| total.cause == Some(cause))?;
        Some(Account { ids: total.ids.clone(), ..Account::of(total.explained) })
    }

    /// What all items but one bill, where each bills the meter's whole usage. The one that bills what the ledger says is kept.
    pub(super) fn other_items(&self, difference: &Difference) -> Option<Account> {
        let whole = self.total.as_ref().map_or(difference.ledger, |total| total.quantity);
        let mut all: Vec<&Item> = self.items.iter().filter(|item| item.quantity == whole).collect();
        if all.len() < 2 || whole.is_zero() {
            return None;
        }
        let is_right = |item: &&Item| Some(item.amount) == difference.ledger_amount;
        let kept = all.iter().position(is_right).unwrap_or(0);
        all.remove(kept);
        let units = all.iter().try_fold(Quantity::ZERO, |sum, item| sum.checked_add(item.quantity)).ok()?;
        let amount = Some(all.iter().map(|item| item.amount).sum());
        let ids = self.items.iter().map(|item| item.id.clone());
        Some(Account { amount, is_certain: true, ..Account::of(units) }.with_ids(ids))
    }

    /// The usage of the first segments, whose items are gone: as many of them as are missing.
    pub(super) fn lost_segments(&self, difference: &Difference) -> Option<Account> {
        let units = difference.units();
        if self.segments.is_empty() {
            return None;
        }
        if units.is_zero() {
            return self.priced_otherwise(difference);
        }
        if self.is_gauge {
            return self.segments.contains(&difference.stripe).then(|| Account::of(units));
        }
        let mut lost = Quantity::ZERO;
        for segment in &self.segments {
            let more = lost.checked_sub(*segment).ok()?;
            if more < units {
                break;
            }
            lost = more;
        }
        Some(Account { is_of_first: true, ..Account::of(lost) })
    }

    /// The subscription has not the price that it is to have. Where a plan has changed inside of the window its item may be gone,
    /// and what the next invoice will hold is only a preview.
    pub(super) fn at_another_price(&self, difference: &Difference) -> Option<Account> {
        let whole = Account::whole(difference);
        match self.price {
            OtherPrice::NoLine if self.segments.is_empty() && self.state != BillState::Preview => {
                Some(Account { is_certain: true, ..whole })
            }
            OtherPrice::NotInForce if difference.units().is_zero() => {
                Some(self.priced_otherwise(difference).unwrap_or(whole))
            }
            _ => None,
        }
    }

    /// Stripe's price makes another amount of the same units.
    pub(super) fn priced_otherwise(&self, difference: &Difference) -> Option<Account> {
        let amount = self.priced?.checked_sub(difference.ledger_amount?)?;
        Some(Account { amount: Some(amount), ..Account::default() })
    }
}
