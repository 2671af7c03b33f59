//! `billrecon park` and `unpark`: a person sets a tenant aside, or lets it go on.
//!
//! In: flags. Out: what is in force now, on stdout; what it means in words on stderr. The next run does what follows.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, ParkFlags, UnparkFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::{Config, user_name};
use crate::domain::parking::{Hold, Release, Word};
use crate::domain::period::Period;
use crate::domain::tenant::Remedy;
use crate::exit_code::ExitCode;
use crate::job::parking::words::{self, Order, Unparked};
use crate::store::books::ParkedWindow;

pub async fn park(global: &GlobalFlags, flags: &ParkFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let word = &flags.word;
    let order = Order {
        tenant_id: Some(flags.tenant.clone()),
        period: word.period,
        reason: None,
        word: said(word.by.as_deref(), &word.note, now),
    };
    let (hold, is_new) = words::park(&configured(&config)?, &order, word.lock_wait).await?;
    let (scope, by) = (scope(hold.period), &hold.word.by);
    print::data(&if word.json {
        let mut line = hold_json(&hold);
        line["is_new"] = is_new.into();
        print::json(&line.to_string())
    } else if is_new {
        format!("{} is held in {scope} from the next run on: nothing is sent, nothing closes", hold.tenant_id)
    } else {
        format!("{} is held in {scope} since {} already, by {by}", hold.tenant_id, hold.word.at)
    })?;
    Ok(ExitCode::Done)
}

pub async fn unpark(global: &GlobalFlags, flags: &UnparkFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let word = &flags.word;
    let order = Order {
        tenant_id: flags.tenant.clone(),
        period: word.period,
        reason: flags.reason,
        word: said(word.by.as_deref(), &word.note, now),
    };
    let done = words::unpark(&configured(&config)?, &order, word.lock_wait).await?;
    print::data(&if word.json { print::json(&as_json(&done)) } else { as_text(&done) })?;
    for one in &done.left {
        let step = one.reason.next_step();
        print::words(&format!("{} stays parked ({}): {step}", place(one), one.reason.as_str()));
    }
    Ok(if done.left.is_empty() { ExitCode::Done } else { ExitCode::Unfinished })
}

fn said(by: Option<&str>, note: &str, at: Timestamp) -> Word {
    Word { by: by.map_or_else(user_name, str::to_owned), note: note.to_owned(), at }
}

fn scope(period: Option<Period>) -> String {
    period.map_or_else(|| "every period".to_owned(), |period| period.to_string())
}

fn place(one: &ParkedWindow) -> String {
    format!("{} in {}", one.tenant_id, one.period)
}

fn as_text(done: &Unparked) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(
        done.ended
            .iter()
            .map(|hold| format!("{} is no longer held in {}", hold.tenant_id, scope(hold.period))),
    );
    lines.extend(done.released.iter().map(release_text));
    lines.extend(
        done.already
            .iter()
            .map(|one| format!("{} is released already; the next run goes on with it", place(one))),
    );
    if lines.is_empty() {
        lines.push("nothing to release: neither held nor parked".to_owned());
    }
    lines.join("\n")
}

fn release_text(release: &Release) -> String {
    let (period, reason) = (release.period, release.reason.as_str());
    let Some((tenant_id, _)) = &release.window else {
        return format!("{period} is released from its bound: the next run sends what is due");
    };
    let follows = match release.reason.remedy() {
        Remedy::LetStand => {
            "what Stripe shows stands. Nothing more is ever sent for this window; what Stripe lacks becomes unbillable"
        }
        _ => "the next run sends what is due",
    };
    format!("{tenant_id} in {period} is released from {reason}: {follows}")
}

fn as_json(done: &Unparked) -> String {
    let window = |one: &ParkedWindow| {
        json!({
            "tenant_id": one.tenant_id, "period": one.period.to_string(), "reason": one.reason.as_str(),
            "window_start": one.window.start.to_string(), "window_end": one.window.end.to_string(),
        })
    };
    let release = |one: &Release| {
        let of = one.window.as_ref();
        json!({
            "tenant_id": of.map(|(tenant_id, _)| tenant_id), "period": one.period.to_string(),
            "reason": one.reason.as_str(), "window_start": of.map(|(_, window)| window.start.to_string()),
            "window_end": of.map(|(_, window)| window.end.to_string()), "by": one.word.by, "note": one.word.note,
        })
    };
    json!({
        "ended": done.ended.iter().map(hold_json).collect::<Vec<_>>(),
        "released": done.released.iter().map(release).collect::<Vec<_>>(),
        "released_before": done.already.iter().map(window).collect::<Vec<_>>(),
        "left": done.left.iter().map(window).collect::<Vec<_>>(),
    })
    .to_string()
}

/// Who is held, where, by whom.
pub(in crate::commands) fn hold_json(hold: &Hold) -> serde_json::Value {
    json!({
        "tenant_id": hold.tenant_id, "period": hold.period.map(|period| period.to_string()),
        "by": hold.word.by, "note": hold.word.note, "since": hold.word.at.to_string(),
    })
}
