//! `billrecon price suggest`, printed.
//!
//! In: suggestions. Out: lines of text, or one JSON object. Never computes anything.

use serde_json::{Value, json};

use crate::cli::{GlobalFlags, SuggestFlags};
use crate::commands::price::{code, minor, price, settings, wanted};
use crate::commands::print;
use crate::domain::catalog::PlanId;
use crate::domain::money::{Currency, MoneyError};
use crate::domain::pricing::check::{Check, Finding};
use crate::domain::pricing::simulate::in_major;
use crate::domain::pricing::suggest::{self, Priced, Suggestion};
use crate::domain::ratio::Ratio;
use crate::exit_code::ExitCode;
use crate::job::price::suggest::{Aim, OfPlan, Suggested, run};

pub async fn execute(global: &GlobalFlags, flags: &SuggestFlags) -> anyhow::Result<ExitCode> {
    let aim = Aim {
        target: flags.target_share,
        step: flags.step,
        range: [flags.min, flags.max],
        at: flags.at.clone(),
    };
    let wanted = wanted(&flags.plan, flags.period.map(|period| (period, period)));
    let suggested = run(&settings(global)?, &wanted, &aim).await?;
    print::data(&if flags.json {
        print::json(&as_json(&suggested)?.to_string())
    } else {
        as_text(&suggested)
    })?;
    Ok(ExitCode::Done)
}

fn as_text(suggested: &Suggested) -> String {
    let Suggested { mode, period, plan, meter, target, suggestions } = suggested;
    let mut lines = vec![format!("{mode}: a price for {meter} on {plan}, by the usage of {period}")];
    for one in suggestions {
        lines.extend(of_plan(one, &target.to_string()));
    }
    lines.join("\n")
}

fn of_plan(one: &OfPlan, target: &str) -> Vec<String> {
    let Suggestion { plan, base, tenants, exceeding, overage, mean_overage, fees, outcome, .. } =
        &one.suggestion;
    let PlanId { key, interval, currency } = plan;
    let shown = |number: Option<Ratio>| number.map_or_else(|| "n/a".to_owned(), |one| one.to_string());
    let mut lines = vec![
        format!("{key} per {}, {}", interval.as_str(), code(*currency)),
        format!("  tenants     {tenants} counted, {} windows left out", one.left_out),
        format!(
            "  above       {exceeding} at or above the quota, by {overage} in all, {} each",
            shown(*mean_overage)
        ),
        format!("  base fees   {fees} {}{}", code(*currency), monthly(&one.suggestion)),
    ];
    let suggest::Suggested { exact, anchored, reaching, checks } = match outcome {
        Ok(suggested) => suggested,
        Err(reason) => {
            lines.push(format!("  price       n/a: {reason}"));
            return lines;
        }
    };
    lines.push(format!(
        "  price       {base} x {target} % / {} = {exact} -> {}, in steps of {}",
        shown(*mean_overage),
        price(anchored.unit_amount, *currency),
        price(one.step, *currency)
    ));
    lines.push(format!("              {}", brings(anchored, *currency)));
    lines.push(match reaching {
        Some(reaching) => format!(
            "  reaching    {} is the first that brings {target} %\n              {}",
            price(reaching.unit_amount, *currency),
            brings(reaching, *currency)
        ),
        None => "  reaching    n/a: nobody pays a base fee".to_owned(),
    });
    lines.extend(checks.iter().map(|check| check_text(check, *currency)));
    lines
}

/// A yearly fee is a twelfth of it a month.
fn monthly(suggestion: &Suggestion) -> String {
    match suggestion.monthly_fees {
        Some(monthly) if suggestion.plan.interval.as_str() == "year" => {
            format!(", {monthly} minor units a month")
        }
        _ => String::new(),
    }
}

fn brings(priced: &Priced, currency: Currency) -> String {
    let share = priced.share.map_or_else(|| "n/a".to_owned(), |share| share.as_percent().to_string());
    format!("brings {} {}, {share} of the base fees", priced.revenue, code(currency))
}

fn check_text(check: &Check, currency: Currency) -> String {
    let word = match check.ok {
        Some(true) => "ok",
        Some(false) => "NOT OK",
        None => "n/a",
    };
    format!("  {:<11} {word}: {}", check.subject.as_str(), finding(&check.finding, currency))
}

/// Bounds are told in major units, as they were given.
fn finding(finding: &Finding, currency: Currency) -> String {
    match finding {
        Finding::Range([min, max]) if min.is_some() || max.is_some() => {
            let shown =
                |bound: &Option<_>| bound.map_or_else(|| "any".to_owned(), |bound| in_major(bound, currency));
            format!("from {} to {} {}", shown(min), shown(max), code(currency))
        }
        other => other.to_string(),
    }
}

fn as_json(suggested: &Suggested) -> Result<Value, MoneyError> {
    let suggestions: Result<Vec<Value>, MoneyError> = suggested.suggestions.iter().map(plan_json).collect();
    Ok(json!({
        "mode": suggested.mode, "period": suggested.period.to_string(), "plan": suggested.plan,
        "meter": suggested.meter, "target_share_percent": suggested.target.to_string(),
        "suggestions": suggestions?,
    }))
}

fn plan_json(one: &OfPlan) -> Result<Value, MoneyError> {
    let suggestion = &one.suggestion;
    let currency = suggestion.plan.currency;
    let shown = |number: Option<Ratio>| number.map(|number| number.to_string());
    let suggested = suggestion.outcome.as_ref().ok();
    let checks = suggested.map(|one| one.checks.as_slice()).unwrap_or_default();
    let priced = |one: Option<&Priced>| one.map(|one| priced_json(one, currency)).transpose();
    let checks: Vec<Value> = checks.iter().map(|check| check_json(check, currency)).collect();
    Ok(json!({
        "plan": suggestion.plan.key, "interval": suggestion.plan.interval.as_str(), "currency": currency.code(),
        "base_minor": suggestion.base.minor, "step": in_major(one.step, currency),
        "tenants": suggestion.tenants, "left_out": one.left_out, "exceeding": suggestion.exceeding,
        "overage": suggestion.overage.to_string(), "mean_overage": shown(suggestion.mean_overage),
        "base_fees_minor": minor(suggestion.fees)?, "monthly_base_fees_minor": shown(suggestion.monthly_fees),
        "exact": suggested.map(|one| one.exact.to_string()),
        "suggested": priced(suggested.map(|one| &one.anchored))?,
        "reaching": priced(suggested.and_then(|one| one.reaching.as_ref()))?, "checks": checks,
        "reason": suggestion.outcome.as_ref().err().map(ToString::to_string),
    }))
}

fn priced_json(one: &Priced, currency: Currency) -> Result<Value, MoneyError> {
    Ok(json!({
        "unit_amount_decimal": one.unit_amount.to_string(), "price": in_major(one.unit_amount, currency),
        "revenue_minor": minor(one.revenue)?, "revenue": one.revenue.to_string(),
        "share": one.share.map(|share| share.to_string()),
        "share_percent": one.share.map(|share| share.as_percent().to_string()),
    }))
}

fn check_json(check: &Check, currency: Currency) -> Value {
    let mut row = json!({
        "check": check.subject.as_str(), "ok": check.ok, "finding": finding(&check.finding, currency),
    });
    match &check.finding {
        Finding::CheaperFrom { next, units } => {
            row["next_plan"] = next.as_str().into();
            row["units"] = (*units).into();
        }
        Finding::Bills { used, own, next, next_plan } => {
            row["next_plan"] = next_plan.as_str().into();
            row["units"] = used.to_string().into();
            row["bill_minor"] = own.minor.into();
            row["next_plan_bill_minor"] = next.minor.into();
        }
        Finding::NoNextPlan | Finding::Range(_) | Finding::TopPlan { .. } | Finding::TooLarge => {}
    }
    row
}
