//! Rows that prove themselves: each figure of them follows from others in the same row.
//!
//! In: rows of `reconciliation.csv` and `accruals.csv`. Out: the first cell that does not follow. What is empty is not known,
//! and nothing that is not known follows from it. Sets of earlier versions lack the later columns.

use std::fmt;

use jiff::Timestamp;

use crate::domain::money::{Currency, MinorAmount, MinorSum};
use crate::domain::number::QuantitySum;
use crate::domain::proof::files::{Cells, FileFault, FilesProof};

impl FilesProof {
    /// A row of `reconciliation.csv`: what differs is Stripe's less the ledger's, and is explained or not.
    pub fn reconciled(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let quantity = |column| known(row, column, QuantitySum::parse);
        let minor =
            |column| known(row, column, |text| text.parse::<i128>().map_err(|_| "is no whole number"));
        let less = |one: Option<QuantitySum>, other: Option<QuantitySum>| one?.checked_sub(other?).ok();
        let less_minor = |one: Option<i128>, other: Option<i128>| one?.checked_sub(other?);
        let differs = less(quantity("stripe_quantity")?, quantity("ledger_quantity")?);
        follows(row, "difference_quantity", differs, "Stripe's less the ledger's")?;
        let [ledger, stripe] = [minor("ledger_amount_minor")?, minor("stripe_amount_minor")?];
        let differs_minor = less_minor(stripe, ledger);
        follows(row, "difference_amount_minor", differs_minor, "Stripe's less the ledger's")?;
        if row.by_column.contains_key("ledger_amount") {
            let currency = known(row, "currency", Currency::parse)?;
            let in_major = |minor: Option<i128>| {
                minor.zip(currency).map(|(minor, currency)| MinorSum { minor, currency })
            };
            for (name, minor) in [("ledger", ledger), ("stripe", stripe), ("difference", differs_minor)] {
                follows(row, &format!("{name}_amount"), in_major(minor), "the same in minor units")?;
            }
        }
        if row.by_column.contains_key("explained_quantity") {
            let rest = less(differs, quantity("explained_quantity")?);
            follows(row, "unexplained_quantity", rest, "the difference less what is explained")?;
            let rest = less_minor(differs_minor, minor("explained_amount_minor")?);
            follows(row, "unexplained_amount_minor", rest, "the difference less what is explained")?;
        }
        Ok(())
    }

    /// A row of `accruals.csv`: one for each plan, meter and window, up to an instant inside of it.
    pub fn accrual(&mut self, row: &Cells<'_>) -> Result<(), FileFault> {
        let texts = ["tenant_id", "plan", "interval", "currency", "meter", "window_start"];
        let mut key = Vec::with_capacity(texts.len());
        for column in texts {
            key.push(row.text(column)?.to_owned());
        }
        if !self.accrued.insert(key) {
            return Err(row.fault("meter", "the same window stands there twice".to_owned()));
        }
        row.sum("quantity")?;
        row.whole::<u64>("records")?;
        let currency = row.read("currency", Currency::parse)?;
        row.is("amount", &MinorAmount::new(row.whole("amount_minor")?, currency), "amount_minor")?;
        let at = |column| row.read(column, |text| text.parse::<Timestamp>().map_err(|_| "is no instant"));
        let until = at("accrued_until")?;
        if at("window_start")? < until && until < at("window_end")? {
            return Ok(());
        }
        Err(row.fault("accrued_until", "lies outside of the window".to_owned()))
    }
}

/// `None`: the cell is empty.
fn known<T, E: fmt::Display>(
    row: &Cells<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, FileFault> {
    if row.text(column)?.is_empty() { Ok(None) } else { row.read(column, parse).map(Some) }
}

fn follows(row: &Cells<'_>, column: &str, made: Option<impl ToString>, how: &str) -> Result<(), FileFault> {
    let made = made.map(|made| made.to_string()).unwrap_or_default();
    let written = row.text(column)?;
    if written == made {
        return Ok(());
    }
    let made = if made.is_empty() { "nothing" } else { &made };
    Err(row.fault(column, format!("`{written}` is written, but {how} makes {made}")))
}
