//! `billrecon price simulate`, printed.
//!
//! In: flags with candidate prices, a simulation. Out: a table of the prices and the worst bills of each, or one JSON object.
//! Never computes anything but the steps of a range.

use std::fs;
use std::io::Read;

use serde_json::{Value, json};

use crate::cli::{CandidateFlags, GlobalFlags, SimulateFlags};
use crate::commands::price::{code, minor, settings, wanted};
use crate::commands::print;
use crate::domain::money::{Currency, MinorAmount, MoneyError};
use crate::domain::pricing::simulate::{Offer, range};
use crate::exit_code::ExitCode;
use crate::ingest::{IngestError, price_lines};
use crate::job::Refusal;
use crate::job::price::Wanted;
use crate::job::price::simulate::{Question, Row, ShockedBill, Simulation, run};

/// More are no help to anybody, and each holds a number for every tenant.
const MOST_CANDIDATES: usize = 1_000;
/// A Price object is far smaller.
const MOST_PRICE_BYTES: u64 = 1 << 20;

pub async fn execute(global: &GlobalFlags, flags: &SimulateFlags) -> anyhow::Result<ExitCode> {
    let periods = flags.periods.or(flags.period.map(|period| (period, period)));
    let mut wanted = wanted(&flags.plan, periods);
    let offers = offers(&flags.candidates, &mut wanted)?;
    let question = Question { offers, shock: flags.shock, top: flags.top };
    let simulation = run(&settings(global)?, &wanted, &question, flags.out.as_deref()).await?;
    if let (Some(rows), Some(path)) = (simulation.written, &flags.out) {
        print::words(&format!("billrecon: {} holds {rows} bills", path.display()));
    }
    print::data(&if flags.json {
        print::json(&as_json(&simulation, flags)?.to_string())
    } else {
        as_text(&simulation, flags)
    })?;
    Ok(ExitCode::Done)
}

/// A price of Stripe's holds for its own currency only.
fn offers(flags: &CandidateFlags, wanted: &mut Wanted) -> anyhow::Result<Vec<Offer>> {
    let mut amounts = flags.prices.clone();
    if let (Some(from), Some(to), Some(step)) = (flags.from, flags.to, flags.step) {
        let steps = range(from, to, step, MOST_CANDIDATES);
        let refused = || {
            let text = format!(
                "--from {from} --to {to} --step {step} is no range of up to {MOST_CANDIDATES} prices"
            );
            Refusal::Usage(text)
        };
        amounts.extend(steps.ok_or_else(refused)?);
    }
    if amounts.len() > MOST_CANDIDATES {
        let text = format!("{} prices are too many: the most is {MOST_CANDIDATES}", amounts.len());
        return Err(Refusal::Usage(text).into());
    }
    let mut offers: Vec<Offer> = amounts.into_iter().map(Offer::Major).collect();
    if let Some(file) = &flags.stripe_price {
        let (name, text) = read(file)?;
        let (price, currency) = price_lines::read_price(&text, &name)?;
        if let (Some(own), Some(asked)) = (currency, wanted.currency)
            && own != asked
        {
            let text = format!("{name} holds a price in {own}, but --currency says {asked}");
            return Err(Refusal::Usage(text).into());
        }
        wanted.currency = wanted.currency.or(currency);
        offers.push(Offer::Price { name: price.to_string(), price });
    }
    Ok(offers)
}

fn read(path: &str) -> Result<(String, String), IngestError> {
    let name = if path == "-" { "standard input".to_owned() } else { path.to_owned() };
    let mut text = String::new();
    let read = if path == "-" {
        std::io::stdin().lock().take(MOST_PRICE_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST_PRICE_BYTES).read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok((name, text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
            Err(IngestError::Toml { file: name, problem: "is not UTF-8".to_owned() })
        }
        Err(cause) => Err(IngestError::Io { file: name, cause }),
    }
}

const HEAD: [&str; 9] =
    ["price", "revenue", "against now", "affected", "p50", "p95", "max", "next plan", "shocks"];

fn as_text(simulation: &Simulation, flags: &SimulateFlags) -> String {
    let Simulation { mode, plan, meter, rows, left_out, .. } = simulation;
    let mut lines = vec![format!("{mode}: {meter} on {plan}, {}", periods(simulation))];
    let mut currencies: Vec<Currency> = rows.iter().map(|row| row.revenue.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    if currencies.is_empty() {
        lines.push("no closed window is on this plan and meter".to_owned());
    }
    for currency in currencies {
        let of_currency: Vec<&Row> = rows.iter().filter(|row| row.revenue.currency == currency).collect();
        lines.extend(of_currency.first().map(|row| {
            let (bills, tenants) = (row.spread.bills, row.spread.tenants);
            format!("\n{}: {bills} bills of {tenants} tenants", code(currency))
        }));
        let mut table = vec![HEAD.map(str::to_owned)];
        table.extend(of_currency.iter().map(|row| cells(row)));
        lines.extend(print::aligned(&table));
        lines.extend(of_currency.iter().flat_map(|row| shocks(row, flags)));
    }
    lines.push(format!(
        "\nleft out: {} trials, {} parked, {} that cannot be read",
        left_out.trials, left_out.parked, left_out.unknown
    ));
    lines.join("\n")
}

fn periods(simulation: &Simulation) -> String {
    match &simulation.periods[..] {
        [] => String::new(),
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last}"),
    }
}

fn cells(row: &Row) -> [String; 9] {
    let spread = row.spread;
    let money = |minor: i64| MinorAmount::new(minor, row.revenue.currency).to_string();
    [
        row.offer.to_string(),
        row.revenue.to_string(),
        row.difference.to_string(),
        spread.affected.to_string(),
        money(spread.p50_minor),
        money(spread.p95_minor),
        money(spread.max_minor),
        spread.better.to_string(),
        spread.shocked.to_string(),
    ]
}

fn shocks(row: &Row, flags: &SimulateFlags) -> Vec<String> {
    if row.shocks.is_empty() {
        return Vec::new();
    }
    let currency = row.revenue.currency;
    let mut lines = vec![format!("at {} these grow by more than {} %:", row.offer, flags.shock.percent())];
    lines.extend(row.shocks.iter().map(|one| {
        let money = |minor: i64| MinorAmount::new(minor, currency).to_string();
        let (before, after) = (money(one.in_force_minor), money(one.simulated.bill_minor));
        format!("  {} {}: {before} -> {after}", one.tenant_id, one.period)
    }));
    let more = row.spread.shocked_bills as usize - row.shocks.len();
    if more > 0 {
        lines.push(format!("  … and {more} more: --top and --out show them"));
    }
    lines
}

fn as_json(simulation: &Simulation, flags: &SimulateFlags) -> Result<Value, MoneyError> {
    let rows: Result<Vec<Value>, MoneyError> = simulation.rows.iter().map(row_json).collect();
    let periods: Vec<String> = simulation.periods.iter().map(ToString::to_string).collect();
    let left_out = simulation.left_out;
    Ok(json!({
        "mode": simulation.mode, "periods": periods, "plan": simulation.plan, "meter": simulation.meter,
        "shock_percent": flags.shock.percent().to_string(), "candidates": rows?,
        "left_out": { "trials": left_out.trials, "parked": left_out.parked, "unknown": left_out.unknown },
    }))
}

fn row_json(row: &Row) -> Result<Value, MoneyError> {
    let spread = row.spread;
    let shock = |one: &ShockedBill| {
        json!({
            "tenant_id": one.tenant_id, "period": one.period.to_string(), "bill_in_force_minor": one.in_force_minor,
            "bill_minor": one.simulated.bill_minor, "change_minor": one.simulated.change_minor,
        })
    };
    Ok(json!({
        "candidate": row.offer.to_string(), "currency": row.revenue.currency.code(),
        "bills": spread.bills, "tenants": spread.tenants,
        "revenue_minor": minor(row.revenue)?, "revenue": row.revenue.to_string(),
        "difference_minor": minor(row.difference)?, "tenants_affected": spread.affected,
        "change_p50_minor": spread.p50_minor, "change_p95_minor": spread.p95_minor,
        "change_max_minor": spread.max_minor, "tenants_better_on_next_plan": spread.better,
        "tenants_in_shock": spread.shocked, "bills_in_shock": spread.shocked_bills,
        "shocks": row.shocks.iter().map(shock).collect::<Vec<_>>(),
    }))
}
