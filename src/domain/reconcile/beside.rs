//! Beside the usage: what else an invoice holds, so that the whole of it is explained.
//!
//! In: an invoice and the scopes of the meters. Out: rows of the class `out_of_scope`. Never a row about usage, and never
//! compared with anything: the ledger does not speak of these.

use std::collections::BTreeSet;

use crate::domain::invoice::{Invoice, InvoiceLine};
use crate::domain::money::Currency;
use crate::domain::period::Window;
use crate::domain::reconcile::{Cause, Class, ReconciliationRow, Scope, Source};

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
    };
    currencies.into_iter().map(row).collect()
}
