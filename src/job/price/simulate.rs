//! Simulate: what all tenants of a plan would have paid for closed periods at other prices.
//!
//! In: offers, the plan and meter, the database, read-only. Out: one row per offer and currency, the shocks, and if asked for a
//! file with every bill. The domain prices and adds up; analytics joins, ranks and counts. Never writes to the database.

use std::collections::BTreeMap;
use std::path::Path;

use crate::analytics::{self, Bills, Changes, Spread};
use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::period::Period;
use crate::domain::pricing::bill::{Fleet, LeftOut};
use crate::domain::pricing::simulate::{Offer, Shock, Simulated, revenue, shocks, simulate};
use crate::domain::pricing::table::table;
use crate::job::Settings;
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::price::{Source, Wanted};
use crate::render;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// After the price in force and the catalog's.
    pub offers: Vec<Offer>,
    pub shock: Shock,
    /// How many shocks of an offer and currency are named.
    pub top: usize,
}

#[derive(Debug)]
pub struct Simulation {
    pub mode: String,
    pub periods: Vec<Period>,
    pub plan: String,
    pub meter: String,
    pub left_out: LeftOut,
    /// By offer, as they were asked for, and currency.
    pub rows: Vec<Row>,
    /// Rows of the file, if one was asked for.
    pub written: Option<u64>,
}

/// One offer in one currency.
#[derive(Debug)]
pub struct Row {
    pub offer: Offer,
    pub revenue: MinorSum,
    /// Against the price in force.
    pub difference: MinorSum,
    pub spread: Spread,
    pub shocks: Vec<ShockedBill>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShockedBill {
    pub period: Period,
    pub tenant_id: String,
    pub simulated: Simulated,
    pub in_force_minor: i64,
}

pub async fn run(
    settings: &Settings,
    wanted: &Wanted,
    question: &Question,
    out: Option<&Path>,
) -> anyhow::Result<Simulation> {
    let (source, mut view) = Source::read(settings, wanted.periods).await?;
    let names = wanted.names(&source.catalog)?;
    let hash = &source.stored.catalog_hash;
    let catalogs = Catalogs::read(&source.catalog, hash, hashes(&source.windows), &mut view).await?;
    let mut fleet = Fleet::default();
    for window in source.windows() {
        fleet.add(&names.selection(wanted), window, catalogs.of(window.1))?;
    }
    let offers = [Offer::InForce, Offer::Catalog].into_iter().chain(question.offers.iter().cloned());
    let offers = offers
        .map(|offer| Ok((simulate(&fleet, &offer, question.shock)?, offer)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let rows = rows(&fleet, &offers, question.top)?;
    let table = || table(&names.meter, &fleet, &offers);
    let written = out.map(|path| render::table_file(path, table())).transpose()?;
    Ok(Simulation {
        mode: source.mode.clone(),
        periods: source.periods.clone(),
        left_out: fleet.left_out,
        plan: names.plan,
        meter: names.meter,
        rows,
        written,
    })
}

/// One row per offer and currency: `offers` holds the simulated bills of each, the price in force first.
pub fn rows(fleet: &Fleet<'_>, offers: &[(Vec<Simulated>, Offer)], top: usize) -> anyhow::Result<Vec<Row>> {
    let (bills, currencies) = bills(fleet);
    let spreads = analytics::spreads(bills, changes(offers))?;
    let in_force = offers.first().map(|(simulated, _)| revenue(fleet, simulated)).transpose()?;
    let mut rows = Vec::with_capacity(spreads.len());
    for (place, (simulated, offer)) in (0u32..).zip(offers) {
        let revenue = revenue(fleet, simulated)?;
        for spread in spreads.iter().filter(|one| one.candidate == place) {
            let Some(currency) = usize::try_from(spread.group).ok().and_then(|group| currencies.get(group))
            else {
                continue;
            };
            let sum = |sums: &BTreeMap<Currency, MinorSum>| {
                sums.get(currency).copied().unwrap_or(MinorSum::zero(*currency))
            };
            let (revenue, before) = (sum(&revenue), in_force.as_ref().map(sum));
            let before = before.map_or(0, |before| before.minor);
            let minor = revenue.minor.checked_sub(before).ok_or(MoneyError::Overflow)?;
            rows.push(Row {
                offer: offer.clone(),
                revenue,
                difference: MinorSum { minor, ..revenue },
                spread: *spread,
                shocks: worst(fleet, simulated, *currency, top),
            });
        }
    }
    Ok(rows)
}

/// The fleet as plain numbers, and the currency of each group.
fn bills(fleet: &Fleet<'_>) -> (Bills, Vec<Currency>) {
    let mut tenants: BTreeMap<&str, u32> = BTreeMap::new();
    let mut bills = Bills::default();
    let mut currencies: Vec<Currency> = fleet.bills.iter().map(|bill| bill.plan.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    for bill in &fleet.bills {
        let next = number(tenants.len());
        bills.tenant.push(*tenants.entry(bill.tenant_id).or_insert(next));
        let group = currencies.binary_search(&bill.plan.currency).unwrap_or_else(|place| place);
        bills.group.push(number(group));
    }
    (bills, currencies)
}

fn changes(offers: &[(Vec<Simulated>, Offer)]) -> Changes {
    let mut changes = Changes::default();
    for (candidate, (simulated, _)) in (0u32..).zip(offers) {
        for (bill, one) in (0u32..).zip(simulated) {
            changes.candidate.push(candidate);
            changes.bill.push(bill);
            changes.change_minor.push(one.change_minor);
            changes.is_better.push(one.is_better_on_next_plan);
            changes.is_shock.push(one.is_shock);
        }
    }
    changes
}

fn worst(fleet: &Fleet<'_>, simulated: &[Simulated], currency: Currency, top: usize) -> Vec<ShockedBill> {
    let named = shocks(fleet, simulated, currency).into_iter().take(top);
    let bills = named.filter_map(|place| Some((fleet.bills.get(place)?, *simulated.get(place)?)));
    let shocked = bills.map(|(bill, simulated)| ShockedBill {
        period: bill.period,
        tenant_id: bill.tenant_id.to_owned(),
        simulated,
        in_force_minor: bill.in_force_minor,
    });
    shocked.collect()
}

/// No database holds as many windows as a place of polars can count.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
