//! Beside the usage: what else an invoice holds, so that the whole of it is explained.
//!
//! In: an invoice, and which of its lines the comparison speaks of. Out: one row per kind, so that these rows and those of
//! the usage add up to the amount due. Never compares: the ledger does not speak of these. Never adds up two currencies.
//!
//! Whose a line is: usage belongs to the window that its period overlaps. A base fee is paid in advance, so the renewal
//! invoice at the end of a window carries that of the next one: its row names the time that the line bills, and never the
//! window that has just ended.

use std::collections::BTreeMap;

use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::money::Currency;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;
use crate::domain::reconcile::{Class, Ids, Nature, ReconciliationRow, Scope, Source};

/// What a row out of scope is. The text is the word in the database and in every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKind {
    /// A price that is no usage, paid in advance.
    BaseFee,
    Proration,
    /// An invoice item that somebody has added.
    OneOff,
    /// On top of the lines.
    Tax,
    Discount,
    /// Credit grants and credit notes.
    Credit,
    /// What the customer's balance takes off or adds, what is too little to charge, and what is below 0.
    Balance,
    /// Whatever else is between the lines and the amount due, and usage that nobody compares.
    Other,
}

impl ItemKind {
    pub const ALL: [Self; 8] = [
        Self::BaseFee,
        Self::Proration,
        Self::OneOff,
        Self::Tax,
        Self::Discount,
        Self::Credit,
        Self::Balance,
        Self::Other,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|item| item.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::BaseFee => "base_fee",
            Self::Proration => "proration",
            Self::OneOff => "one_off",
            Self::Tax => "tax",
            Self::Discount => "discount",
            Self::Credit => "credit",
            Self::Balance => "balance",
            Self::Other => "other",
        }
    }
}

/// One invoice, and whose it is.
pub struct OneInvoice<'a> {
    pub tenant_id: &'a str,
    pub plan: &'a str,
    /// The window whose usage it bills, or in which it was made.
    pub window: Window,
    pub invoice: &'a Invoice,
    pub source: Source,
    /// A lasting id: the invoice's, or that of the subscription which is previewed.
    pub id: &'a str,
}

/// The usage lines of one meter, and what the comparison says of them.
#[derive(Clone, Copy)]
pub struct MeterLines<'a> {
    pub meter: &'a str,
    pub scope: &'a Scope,
    pub told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is a row that compares the lines of the window.
    Compared,
    /// The ledger has no such usage.
    Nowhere,
    /// The tenant is set aside, so nothing is compared.
    SetAside,
}

/// All that the invoice holds beside what is compared. Of lines that are not all there nothing can be said.
pub fn beside(
    bill: &OneInvoice<'_>,
    meters: &[MeterLines<'_>],
) -> Result<Vec<ReconciliationRow>, NumberError> {
    if !bill.invoice.lines_complete {
        let row = bill.row(bill.window, bill.invoice.money.currency, Ids::of([bill.id]));
        return Ok(vec![row.incomplete(Nature::Unread)]);
    }
    let mut kinds: BTreeMap<(ItemKind, Currency, Window), Sum> = BTreeMap::new();
    let mut strays: BTreeMap<(&str, Currency, Window), Sum> = BTreeMap::new();
    for line in &bill.invoice.lines {
        let quantity = line.quantity.unwrap_or_default();
        let sum = match bill.kind(line, meters) {
            Kind::Compared => continue,
            Kind::Stray(_) if quantity.is_zero() && line.amount_minor == 0 => continue,
            Kind::Stray(meter) => strays.entry((meter, line.currency, line.period)).or_default(),
            Kind::Beside(ItemKind::BaseFee) => {
                kinds.entry((ItemKind::BaseFee, line.currency, line.period)).or_default()
            }
            Kind::Beside(item) => kinds.entry((item, line.currency, bill.window)).or_default(),
        };
        sum.amount += i128::from(line.amount_minor);
        sum.quantity = sum.quantity.checked_add(quantity)?;
        sum.ids.extend(bill.lasting_id(line));
    }
    for (item, amount) in bill.whole() {
        let key = (item, bill.invoice.money.currency, bill.window);
        if amount != 0 {
            kinds.entry(key).or_default().amount += amount;
        }
    }
    let of_kind = |((item, currency, window), sum): (_, Sum<'_>)| {
        let row = bill.row(window, currency, sum.evidence(bill.id));
        let row = ReconciliationRow { item: Some(item), stripe_amount: Some(sum.amount), ..row };
        row.because(Nature::Beside)
    };
    let stray = |((meter, currency, window), sum): ((&str, _, _), Sum<'_>)| {
        let row = ReconciliationRow {
            meter: meter.to_owned(),
            class: Class::MissingInLedger,
            stripe_quantity: Some(sum.quantity),
            stripe_amount: Some(sum.amount),
            ..bill.row(window, currency, sum.evidence(bill.id))
        };
        row.because(Nature::Strange)
    };
    Ok(kinds.into_iter().map(of_kind).chain(strays.into_iter().map(stray)).collect())
}

/// Whether a line that is no usage is a fee. What bills a time that is over is none: it is usage of a meter that the
/// catalog does not know.
pub fn is_in_advance(invoice: &Invoice, line: &InvoiceLine) -> bool {
    !line.proration && line.subscription_item_id.is_some() && line.period.end > invoice.created
}

/// What a line is to this invoice's comparison.
enum Kind<'a> {
    Compared,
    /// Usage of a meter that nothing in the ledger answers to.
    Stray(&'a str),
    Beside(ItemKind),
}

#[derive(Default)]
struct Sum<'a> {
    amount: i128,
    quantity: Quantity,
    ids: Vec<&'a str>,
}

impl Sum<'_> {
    fn evidence(&self, id: &str) -> Ids {
        Ids::of(std::iter::once(id).chain(self.ids.iter().copied()))
    }
}

impl OneInvoice<'_> {
    fn kind<'m>(&self, line: &InvoiceLine, meters: &[MeterLines<'m>]) -> Kind<'m> {
        if let Some(one) = meters.iter().find(|one| one.scope.holds(line)) {
            return match one.told {
                Told::Compared if line.period.intersection(self.window).is_some() => Kind::Compared,
                Told::Compared | Told::Nowhere => Kind::Stray(one.meter),
                Told::SetAside => Kind::Beside(ItemKind::Other),
            };
        }
        Kind::Beside(match line {
            one if one.proration => ItemKind::Proration,
            one if one.subscription_item_id.is_none() => ItemKind::OneOff,
            one if is_in_advance(self.invoice, one) => ItemKind::BaseFee,
            _ => ItemKind::Other,
        })
    }

    /// What stands on no line; `other` is what then still lacks to the amount due.
    fn whole(&self) -> [(ItemKind, i128); 5] {
        let money = &self.invoice.money;
        let of_currency = self.invoice.lines.iter().filter(|line| line.currency == money.currency);
        let lines: i128 = of_currency.map(|line| i128::from(line.amount_minor)).sum();
        let tax = i128::from(money.tax);
        let discount = -i128::from(money.discount);
        let credit = -i128::from(money.credit_grants) - i128::from(money.credit_notes);
        let balance = money.of_balance();
        let other = i128::from(money.amount_due) - lines - tax - discount - credit - balance;
        [
            (ItemKind::Tax, tax),
            (ItemKind::Discount, discount),
            (ItemKind::Credit, credit),
            (ItemKind::Balance, balance),
            (ItemKind::Other, other),
        ]
    }

    /// The lines of a preview have other ids each time; an invoice item keeps its own.
    fn lasting_id<'l>(&self, line: &'l InvoiceLine) -> Option<&'l str> {
        if self.source == Source::Preview { line.invoice_item_id.as_deref() } else { Some(&line.id) }
    }

    fn row(&self, window: Window, currency: Currency, evidence: Ids) -> ReconciliationRow {
        ReconciliationRow {
            tenant_id: self.tenant_id.to_owned(),
            plan: self.plan.to_owned(),
            meter: String::new(),
            window: Some(window),
            source: self.source,
            class: Class::OutOfScope,
            ledger_quantity: None,
            stripe_quantity: None,
            ledger_amount: None,
            stripe_amount: None,
            currency: Some(currency),
            reason: None,
            evidence,
            explained_quantity: None,
            explained_amount: None,
            next_step: String::new(),
            item: None,
            age: None,
        }
    }
}

#[cfg(test)]
mod tests;
