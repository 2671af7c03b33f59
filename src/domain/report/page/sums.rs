//! Sums of what a report holds one by one: exceptions, late usage, accruals, and what each tenant is to pay.
//!
//! In: a report. Out: a sum for each kind, meter or tenant, apart for each currency.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::rating::LineKind;
use crate::domain::report::{ExceptionKind, Report};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionSum<'a> {
    pub kind: ExceptionKind,
    pub reason: &'a str,
    pub rows: u64,
    pub tenants: u64,
    pub records: u64,
}

/// Usage of one meter with its money in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterSum<'a> {
    pub meter: &'a str,
    pub rows: u64,
    pub records: u64,
    pub quantity: QuantitySum,
    pub amount: MinorSum,
}

/// What a tenant's lines come to at the candidate prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer<'a> {
    pub tenant_id: &'a str,
    pub tenant_name: &'a str,
    pub usage: MinorSum,
    pub base: MinorSum,
}

/// A row of one meter as it is added: records, units, money.
type Part<'a> = (&'a str, u64, QuantitySum, MinorSum);

impl Report {
    pub fn exception_sums(&self) -> Vec<ExceptionSum<'_>> {
        let mut sums: BTreeMap<(ExceptionKind, &str), (ExceptionSum<'_>, BTreeSet<&str>)> = BTreeMap::new();
        for one in &self.exceptions {
            let (kind, reason) = (one.kind, one.reason.as_str());
            let zero = ExceptionSum { kind, reason, rows: 0, tenants: 0, records: 0 };
            let (sum, tenants) = sums.entry((kind, reason)).or_insert((zero, BTreeSet::new()));
            sum.rows += 1;
            sum.records = sum.records.saturating_add(one.records);
            tenants.insert(&one.tenant_id);
        }
        let counted =
            |(sum, tenants): (_, BTreeSet<&str>)| ExceptionSum { tenants: tenants.len() as u64, ..sum };
        sums.into_values().map(counted).collect()
    }

    pub fn late_sums(&self) -> Result<Vec<MeterSum<'_>>, MoneyError> {
        by_meter(
            self.adjustments
                .iter()
                .map(|one| (one.meter.as_str(), one.records, one.late_quantity, one.late_amount)),
        )
    }

    pub fn accrual_sums(&self) -> Result<Vec<MeterSum<'_>>, MoneyError> {
        by_meter(self.accruals.iter().map(|one| {
            let amount = MinorSum::from(one.amount);
            (one.meter.as_str(), one.records, one.quantity, amount)
        }))
    }

    /// For each currency the tenants that pay for usage, the most first.
    pub fn payers(&self) -> Result<BTreeMap<Currency, Vec<Payer<'_>>>, MoneyError> {
        let mut sums: BTreeMap<(Currency, &str), Payer<'_>> = BTreeMap::new();
        for window in &self.windows {
            for line in &window.lines {
                let amount = line.line.amount;
                let zero = MinorSum::zero(amount.currency);
                let (tenant_id, tenant_name) = (window.tenant_id.as_str(), window.tenant_name.as_str());
                let payer = sums.entry((amount.currency, tenant_id)).or_insert(Payer {
                    tenant_id,
                    tenant_name,
                    usage: zero,
                    base: zero,
                });
                let side = if line.line.kind == LineKind::Base { &mut payer.base } else { &mut payer.usage };
                *side = side.checked_add(amount)?;
            }
        }
        let mut payers: BTreeMap<Currency, Vec<Payer<'_>>> = BTreeMap::new();
        for ((currency, _), payer) in sums.into_iter().filter(|(_, payer)| payer.usage.minor > 0) {
            payers.entry(currency).or_default().push(payer);
        }
        for list in payers.values_mut() {
            list.sort_by_key(|one| Reverse(one.usage.minor));
        }
        Ok(payers)
    }
}

fn by_meter<'a>(parts: impl Iterator<Item = Part<'a>>) -> Result<Vec<MeterSum<'a>>, MoneyError> {
    let mut sums: BTreeMap<(&str, Currency), MeterSum<'_>> = BTreeMap::new();
    for (meter, records, quantity, amount) in parts {
        let zero = MinorSum::zero(amount.currency);
        let sum = sums.entry((meter, amount.currency)).or_insert(MeterSum {
            meter,
            rows: 0,
            records: 0,
            quantity: QuantitySum::ZERO,
            amount: zero,
        });
        sum.rows += 1;
        sum.records = sum.records.saturating_add(records);
        let added = sum.quantity.checked_add(quantity);
        sum.quantity = added.map_err(|_: NumberError| MoneyError::Overflow)?;
        sum.amount = sum.amount.checked_add(amount)?;
    }
    Ok(sums.into_values().collect())
}
