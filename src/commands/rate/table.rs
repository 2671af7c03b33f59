//! A quote as a table for a person.
//!
//! In: a quote. Out: a line per invoice line with its exact and its rounded amount, the total, and how the units of each
//! meter divide. Never rounds or adds anything itself.

use crate::commands::print;
use crate::domain::money::MinorAmount;
use crate::domain::quote::{MeterQuote, Quote};
use crate::domain::rating::{LineKind, RatedLine};

const HEAD: [&str; 7] = ["line", "tier", "units", "priced", "unit amount", "exact", "amount"];

pub fn of(quote: &Quote) -> String {
    let code = quote.total.currency.code().to_uppercase();
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(quote.base.iter().map(|line| row("base fee", line)));
    for one in &quote.meters {
        rows.extend(one.lines.iter().map(|line| {
            let is_fee = line.kind == LineKind::Flat;
            row(&if is_fee { format!("{}, fee", one.meter) } else { one.meter.clone() }, line)
        }));
    }
    let mut total = HEAD.map(|_| String::new());
    "total".clone_into(&mut total[0]);
    total[6] = quote.total.to_string();
    rows.push(total);
    let mut lines =
        vec![format!("plan {}, per {}, {code}", quote.plan.key, quote.plan.interval.as_str()), String::new()];
    lines.extend(print::aligned(&rows));
    lines.push(String::new());
    lines.extend(quote.meters.iter().map(units));
    lines.push(format!("unit amount and exact are in minor units, amount and total in {code}"));
    let step = quote.total.currency.charge_step();
    if quote.total.minor % step != 0 {
        let step = MinorAmount::new(step, quote.total.currency);
        lines.push(format!(
            "Stripe charges {code} in steps of {step} only, so no payment can be of this total"
        ));
    }
    lines.join("\n")
}

fn row(name: &str, line: &RatedLine) -> [String; 7] {
    [
        name.to_owned(),
        line.tier.map(|tier| tier.to_string()).unwrap_or_default(),
        if line.kind == LineKind::Usage { line.quantity.to_string() } else { String::new() },
        // Only packages differ from units.
        if line.kind == LineKind::Usage && line.priced_quantity != line.quantity {
            format!("{} packages", line.priced_quantity)
        } else {
            String::new()
        },
        line.unit_amount.to_string(),
        line.exact.to_string(),
        line.amount.to_string(),
    ]
}

fn units(one: &MeterQuote) -> String {
    let split = one.split;
    let mut parts =
        format!("{}: {} used = {} free + {} billed", one.meter, one.used, split.free, split.billed);
    if !split.capped.is_zero() {
        parts.push_str(&format!(" + {} capped: the plan bills nothing above its quota", split.capped));
    }
    parts
}
