//! `billrecon explain`: how a tenant's figures came about, in words or JSON.
//!
//! In: the explanation. Out: lines that a person can add up, or one JSON object. Never a figure of its own: sums over
//! lines are the only arithmetic.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::{ExplainFlags, GlobalFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::domain::catalog::Meter;
use crate::domain::figures::{Disposition, SegmentUsage, WindowLine};
use crate::domain::limit::LimitEvent;
use crate::domain::money::{MinorSum, MoneyError};
use crate::domain::period::Window;
use crate::domain::tenant::ParkReason;
use crate::domain::usage::UsageTotal;
use crate::exit_code::ExitCode;
use crate::job::explain::{ExplainedRecord, ExplainedWindow, Explanation, Part, Question, explain};
use crate::store::books::StoredLimit;

pub async fn execute(global: &GlobalFlags, flags: &ExplainFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let question = Question {
        tenant_id: flags.tenant.clone(),
        period: flags.period,
        meter: flags.meter.clone(),
        records: flags.records,
    };
    let explanation = explain(&configured(&config)?, &question, now).await?;
    print::data(&if flags.json {
        print::json(&as_json(&explanation)?.to_string())
    } else {
        as_text(&explanation)?
    })?;
    Ok(ExitCode::Done)
}

fn as_text(explanation: &Explanation) -> Result<String, MoneyError> {
    let Explanation { mode, tenant_id, tenant_name, period, windows } = explanation;
    let mut lines = vec![format!("{mode}: {tenant_id} ({tenant_name}), {period}")];
    if windows.is_empty() {
        lines.push(
            "no window of this tenant has that label: it had no plan, or its year ends in another month"
                .to_owned(),
        );
    }
    for window in windows {
        lines.extend(window_text(window)?);
    }
    Ok(lines.join("\n"))
}

fn window_text(window: &ExplainedWindow) -> Result<Vec<String>, MoneyError> {
    let figures = &window.figures;
    let trial = if window.trial { ", trial: nothing is charged" } else { "" };
    let hash: String = figures.catalog_hash.chars().take(12).collect();
    let mut lines =
        vec![format!("window {}: {}{trial}, catalog {hash}", span(figures.window), figures.status.as_str())];
    if let Some(reason) = figures.park {
        lines.push(format!("  parked, {}: {}", reason.as_str(), reason.next_step()));
    }
    for part in &window.parts {
        lines.extend(part_text(part));
    }
    for one in &window.limits {
        let LimitEvent { meter, level, quota, used, .. } = &one.event;
        lines.push(format!(
            "  {meter}: {level} % of {quota} reached, {used} used, seen at {}",
            one.reached_at
        ));
    }
    for (meter, late) in &window.late {
        let (what, higher) = match late.higher {
            None => (total(late.total), String::new()),
            Some(higher) => {
                (records(late.total.records), format!(" (the gauge would stand higher by {higher})"))
            }
        };
        lines.push(format!("  {meter}: {what} came after the close and changed nothing of it{higher}"));
    }
    for (meter, lost) in &window.lost {
        lines.push(format!("  {meter}: {} that were closed are no longer in the ledger", total(*lost)));
    }
    if let Some(base) = &window.base {
        lines.push(format!("  base fee of {}: {}", base.plan.key, money(base.line.amount.into())));
    }
    for sum in sums(window)? {
        lines.push(format!("  total: {}", money(sum)));
    }
    Ok(lines)
}

fn part_text(part: &Part) -> Vec<String> {
    let plan = part.usage.iter().find_map(|usage| usage.plan.as_ref());
    let plan = plan.map_or("no plan".to_owned(), |plan| format!("plan {}", plan.key));
    let mut lines = vec![format!("  {} on {plan}, {}", part.key, span(part.range))];
    if let Some(meter) = &part.meter {
        lines.push(format!("    meter     {}", meter_words(meter)));
    }
    for usage in &part.usage {
        lines.extend(usage_text(usage));
    }
    if let Some(price) = &part.price {
        let quota = price.free_quota.map_or("no quota".to_owned(), |quota| format!("{quota} units free"));
        let cap = if price.hard_cap { ", nothing above is billed" } else { "" };
        lines.push(format!("    price     {} (minor units), {quota}{cap}", price.price));
    }
    lines.extend(part.lines.iter().map(line_text));
    lines.extend(part.records.iter().map(record_text));
    lines
}

fn meter_words(meter: &Meter) -> String {
    let per = if meter.per_source { " per source, added up" } else { "" };
    let rule = if meter.rule.is_empty() { String::new() } else { format!(", billable if {}", meter.rule) };
    format!("{}{per}{rule}", meter.aggregation.as_str())
}

fn usage_text(usage: &SegmentUsage) -> Vec<String> {
    if usage.disposition != Disposition::Billable {
        return vec![format!("    excluded  {}: {}", usage.disposition.as_str(), total(usage.total))];
    }
    let mut lines = vec![format!("    records   {}", total(usage.total))];
    if let Some(readings) = usage.readings {
        let superseded = usage.total.records.saturating_sub(readings.records);
        lines.push(format!("    aggregate {}, {superseded} superseded", total(readings)));
    }
    if let Some(split) = usage.split {
        let capped =
            if split.capped.is_zero() { String::new() } else { format!(" + {} capped", split.capped) };
        lines.push(format!(
            "    used      {} = {} free + {} billed{capped}",
            usage.used(),
            split.free,
            split.billed
        ));
    }
    lines
}

fn line_text(line: &WindowLine) -> String {
    let rated = &line.line;
    let tier = rated.tier.map(|tier| format!("tier {tier}, ")).unwrap_or_default();
    let packages = if rated.priced_quantity == rated.quantity {
        String::new()
    } else {
        format!(", priced as {}", rated.priced_quantity)
    };
    format!(
        "    line      {tier}{}: {}{packages} x {} = {} -> {}",
        rated.kind.as_str(),
        rated.quantity,
        rated.unit_amount,
        rated.exact,
        money(rated.amount.into())
    )
}

fn record_text(one: &ExplainedRecord) -> String {
    let ExplainedRecord { record, fate } = one;
    let named =
        |name: &str, text: &str| if text.is_empty() { String::new() } else { format!(", {name} {text}") };
    format!(
        "    record    {} {}: {}, {}{}{}",
        record.occurred_at,
        record.source_event_id,
        record.quantity,
        fate.as_str(),
        named("outcome", &record.outcome),
        named("source", &record.source)
    )
}

fn money(sum: MinorSum) -> String {
    format!("{sum} {}", sum.currency.code().to_uppercase())
}

fn total(total: UsageTotal) -> String {
    format!("{}, {} units", records(total.records), total.quantity)
}

fn records(count: u64) -> String {
    format!("{count} {}", if count == 1 { "record" } else { "records" })
}

fn span(range: Window) -> String {
    format!("{} to {}", range.start, range.end)
}

/// All lines of the window, by currency.
fn sums(window: &ExplainedWindow) -> Result<Vec<MinorSum>, MoneyError> {
    let mut sums: Vec<MinorSum> = Vec::new();
    for line in &window.figures.lines {
        let amount = line.line.amount;
        match sums.iter_mut().find(|sum| sum.currency == amount.currency) {
            Some(sum) => *sum = sum.checked_add(amount)?,
            None => sums.push(amount.into()),
        }
    }
    Ok(sums)
}

fn as_json(explanation: &Explanation) -> Result<Value, MoneyError> {
    let windows: Result<Vec<Value>, MoneyError> = explanation.windows.iter().map(window_json).collect();
    Ok(json!({
        "mode": explanation.mode, "tenant_id": explanation.tenant_id, "tenant_name": explanation.tenant_name,
        "period": explanation.period.to_string(), "windows": windows?,
    }))
}

fn window_json(window: &ExplainedWindow) -> Result<Value, MoneyError> {
    let figures = &window.figures;
    let total = |sum: MinorSum| {
        let minor = i64::try_from(sum.minor).map_err(|_| MoneyError::Overflow)?;
        Ok(json!({ "amount_minor": minor, "amount": sum.to_string(), "currency": sum.currency.to_string() }))
    };
    let totals: Result<Vec<Value>, MoneyError> = sums(window)?.into_iter().map(total).collect();
    let late = window.late.iter().map(|(meter, late)| {
        let quantity = late.higher.unwrap_or(late.total.quantity);
        with_meter(meter, total_json(UsageTotal { quantity, ..late.total }))
    });
    let lost = window.lost.iter().map(|(meter, total)| with_meter(meter, total_json(*total)));
    Ok(json!({
        "window_start": figures.window.start.to_string(), "window_end": figures.window.end.to_string(),
        "status": figures.status.as_str(), "trial": window.trial, "catalog_hash": figures.catalog_hash,
        "park_reason": figures.park.map(ParkReason::as_str), "next_step": figures.park.map(ParkReason::next_step),
        "usage": window.parts.iter().map(part_json).collect::<Vec<_>>(),
        "base": window.base.as_ref().map(line_json),
        "late": late.collect::<Vec<_>>(),
        "lost": lost.collect::<Vec<_>>(),
        "limits": window.limits.iter().map(limit_json).collect::<Vec<_>>(),
        "totals": totals?,
    }))
}

fn limit_json(one: &StoredLimit) -> Value {
    let LimitEvent { meter, level, quota, used, .. } = &one.event;
    json!({
        "meter": meter, "level": level, "quota": quota.to_string(), "used": used.to_string(),
        "reached_at": one.reached_at.to_string(),
    })
}

fn with_meter(meter: &str, mut value: Value) -> Value {
    value["meter"] = meter.into();
    value
}

fn part_json(part: &Part) -> Value {
    let plan = part.usage.iter().find_map(|usage| usage.plan.as_ref());
    let billable = part.usage.iter().find(|usage| usage.disposition == Disposition::Billable);
    let split = billable.and_then(|usage| usage.split);
    let excluded =
        part.usage.iter().filter(|usage| usage.disposition != Disposition::Billable).map(|usage| {
            let mut value = total_json(usage.total);
            value["reason"] = usage.disposition.as_str().into();
            value
        });
    json!({
        "meter": part.key, "plan": plan.map(|plan| &plan.key),
        "segment_start": part.range.start.to_string(), "segment_end": part.range.end.to_string(),
        "aggregation": part.meter.as_ref().map(|meter| meter.aggregation.as_str()),
        "per_source": part.meter.as_ref().map(|meter| meter.per_source),
        "rule": part.meter.as_ref().map(|meter| meter.rule.to_string()),
        "records": billable.map(|usage| total_json(usage.total)),
        "aggregate": billable.and_then(|usage| usage.readings).map(total_json),
        "excluded": excluded.collect::<Vec<_>>(),
        "used": billable.map(|usage| usage.used().to_string()),
        "free": split.map(|split| split.free.to_string()),
        "billed": split.map(|split| split.billed.to_string()),
        "capped": split.map(|split| split.capped.to_string()),
        "free_quota": part.price.as_ref().and_then(|price| price.free_quota).map(|quota| quota.to_string()),
        "price": part.price.as_ref().map(|price| price.price.to_string()),
        "lines": part.lines.iter().map(line_json).collect::<Vec<_>>(),
        "records_behind": part.records.iter().map(record_json).collect::<Vec<_>>(),
    })
}

fn line_json(line: &WindowLine) -> Value {
    let rated = &line.line;
    json!({
        "kind": rated.kind.as_str(), "tier": rated.tier, "quantity": rated.quantity.to_string(),
        "priced_quantity": rated.priced_quantity.to_string(), "unit_amount_decimal": rated.unit_amount.to_string(),
        "exact_amount_minor": rated.exact.to_string(), "amount_minor": rated.amount.minor,
        "amount": rated.amount.to_string(), "currency": rated.amount.currency.to_string(),
    })
}

fn record_json(one: &ExplainedRecord) -> Value {
    let ExplainedRecord { record, fate } = one;
    json!({
        "source_event_id": record.source_event_id, "occurred_at": record.occurred_at.to_string(),
        "quantity": record.quantity.to_string(), "outcome": record.outcome, "source": record.source,
        "properties": record.properties, "fate": fate.as_str(),
    })
}

fn total_json(total: UsageTotal) -> Value {
    json!({ "records": total.records, "quantity": total.quantity.to_string() })
}
