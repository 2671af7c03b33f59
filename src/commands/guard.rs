//! `billrecon guard`: which drafts would go out wrong, and what holds them.
//!
//! In: flags. Out: the worst first, in words or as one JSON object. Ends with 0 where nothing is wrong, and with 3 where
//! something is, where a run is needed, or where something could not be compared. It changes nothing, here or at Stripe.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::{GlobalFlags, GuardFlags};
use crate::commands::run::SHOWN;
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::domain::money::{Currency, MinorSum};
use crate::domain::number::Quantity;
use crate::domain::reconcile::Cause;
use crate::exit_code::ExitCode;
use crate::job::guard::{Disagreement, Draft, Finding, GuardOptions, Guarded, Outcome, guard};

const GROUPS: [(Outcome, &str); 4] = [
    (Outcome::Wrong, "WRONG"),
    (Outcome::NeedsRun, "NEEDS A RUN"),
    (Outcome::Uncompared, "NOT COMPARED"),
    (Outcome::Settles, "settles by itself"),
];

pub async fn execute(global: &GlobalFlags, flags: &GuardFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let options = GuardOptions { period: flags.period, as_of: flags.as_of };
    let guarded = guard(&configured(&config)?, &options, now).await?;
    let shown = if flags.json { print::json(&as_json(&guarded).to_string()) } else { as_text(&guarded) };
    print::data(&shown)?;
    Ok(if guarded.needs_attention() { ExitCode::Unfinished } else { ExitCode::Done })
}

fn as_json(guarded: &Guarded) -> Value {
    let mut object = json!({
        "mode": guarded.mode, "now": guarded.now.to_string(), "drafts": guarded.drafts,
    });
    for (outcome, _) in GROUPS {
        object[outcome.as_str()] = guarded.of(outcome).map(|one| finding_json(one, guarded)).collect();
    }
    object
}

fn finding_json(one: &Finding, guarded: &Guarded) -> Value {
    let draft = &one.draft;
    let at_stake: Vec<Value> = one.at_stake().iter().map(money_json).collect();
    json!({
        "tenant_id": draft.tenant_id, "invoice_id": draft.invoice_id, "customer_id": draft.customer_id,
        "subscription_id": draft.subscription_id,
        "window_start": draft.window.map(|window| window.start.to_string()),
        "window_end": draft.window.map(|window| window.end.to_string()),
        "finalizes_at": draft.finalizes_at.map(|at| at.to_string()),
        "minutes_left": draft.minutes_left(guarded.now), "difference": at_stake, "why": one.why,
        "rows": one.rows.iter().map(row_json).collect::<Vec<_>>(),
        "hold": hold(draft, guarded), "link": link(draft, guarded),
    })
}

fn money_json((currency, minor): (&Currency, &i128)) -> Value {
    let amount = MinorSum { minor: *minor, currency: *currency }.to_string();
    json!({"amount_minor": minor.to_string(), "amount": amount, "currency": currency.code()})
}

fn row_json(row: &Disagreement) -> Value {
    let quantity = |quantity: Option<Quantity>| quantity.map(|one| one.to_string());
    json!({
        "meter": row.meter, "item": row.meter.is_none().then_some("base_fee"),
        "ledger_quantity": quantity(row.ledger_quantity), "stripe_quantity": quantity(row.draft_quantity),
        "ledger_amount_minor": row.ledger_amount.to_string(), "stripe_amount_minor": row.draft_amount.to_string(),
        "difference_amount_minor": row.difference().minor.to_string(), "currency": row.currency.code(),
        "reason": row.reason.map_or("", Cause::as_str), "next_step": row.next_step,
    })
}

fn as_text(guarded: &Guarded) -> String {
    let count = |outcome| guarded.of(outcome).count();
    let mut lines = vec![format!(
        "{}  {} draft invoices at {}: {} wrong, {} need a run, {} not compared",
        guarded.mode,
        guarded.drafts,
        guarded.now,
        count(Outcome::Wrong),
        count(Outcome::NeedsRun),
        count(Outcome::Uncompared)
    )];
    for (outcome, word) in GROUPS {
        let findings: Vec<&Finding> = guarded.of(outcome).collect();
        for group in findings.chunk_by(|one, other| one.currency() == other.currency()) {
            lines.extend(group.iter().take(SHOWN).flat_map(|one| told(one, word, guarded)));
            if group.len() > SHOWN {
                lines.push(format!("  … and {} more of these in guard --json", group.len() - SHOWN));
            }
        }
    }
    lines.join("\n")
}

fn told(one: &Finding, word: &str, guarded: &Guarded) -> Vec<String> {
    let draft = &one.draft;
    let named = |text: &str| if text.is_empty() { "?".to_owned() } else { text.to_owned() };
    let money: Vec<String> = one.at_stake().iter().map(signed).collect();
    let parts =
        [named(&draft.tenant_id), named(&draft.invoice_id), money.join(", "), when(draft, one, guarded)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut lines = vec![format!("{word}  {}", parts.join("  "))];
    lines.extend((!one.why.is_empty()).then(|| format!("  {}", one.why)));
    lines.extend(one.rows.iter().map(|row| format!("  {}", said(row))));
    if matches!(one.outcome, Outcome::Wrong | Outcome::Uncompared) {
        lines.extend(hold(draft, guarded).map(|command| format!("  hold it: {command}")));
        lines.extend(link(draft, guarded).map(|link| format!("  see it:  {link}")));
    }
    lines
}

fn signed((currency, minor): (&Currency, &i128)) -> String {
    let sum = MinorSum { minor: *minor, currency: *currency };
    let sign = if *minor > 0 { "+" } else { "" };
    format!("{sign}{sum} {}", currency.code().to_uppercase())
}

fn when(draft: &Draft, one: &Finding, guarded: &Guarded) -> String {
    let Some((at, minutes)) = draft.finalizes_at.zip(draft.minutes_left(guarded.now)) else {
        return "stays a draft until a person finalizes it".to_owned();
    };
    let clock = at.strftime("%H:%M UTC");
    match one.outcome {
        Outcome::NeedsRun => format!("a run is needed before {clock}, in {minutes} min"),
        _ => format!("final at {clock}, in {minutes} min"),
    }
}

fn said(row: &Disagreement) -> String {
    let money = |minor| MinorSum { minor, currency: row.currency };
    let (draft, ledger) = (money(row.draft_amount), money(row.ledger_amount));
    let code = row.currency.code().to_uppercase();
    let named = row.reason.map(|cause| format!("{}; ", cause.as_str())).unwrap_or_default();
    let cause = format!("{named}{}", row.next_step);
    let units = Option::<Quantity>::unwrap_or_default;
    match &row.meter {
        None => format!("base fee: draft {draft}, plan {ledger} {code}: {cause}"),
        Some(meter) => format!(
            "{meter}: draft {} units for {draft}, ledger {} units for {ledger} {code}: {cause}",
            units(row.draft_quantity),
            units(row.ledger_quantity)
        ),
    }
}

/// What keeps Stripe from finalizing it. An id that a shell could take for something else is not put into a command.
fn hold(draft: &Draft, guarded: &Guarded) -> Option<String> {
    let id = plain(&draft.invoice_id)?;
    let live = if guarded.livemode { " --live" } else { "" };
    // It is held already; of one that is not understood nobody knows.
    let is_held = draft.finalizes_at.is_none() && draft.window.is_some();
    (!is_held).then(|| format!("stripe invoices update {id} -d auto_advance=false{live}"))
}

fn link(draft: &Draft, guarded: &Guarded) -> Option<String> {
    let id = plain(&draft.invoice_id)?;
    let mode = if guarded.livemode { "" } else { "test/" };
    Some(format!("https://dashboard.stripe.com/{mode}invoices/{id}"))
}

fn plain(id: &str) -> Option<&str> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_plain.then_some(id)
}
