//! `billrecon config show`: what is set, and where.
//!
//! In: flags. Out: lines that a `billrecon.toml` could hold, or one JSON object. Secrets are named, never shown.

use serde_json::json;

use crate::cli::{ConfigShowFlags, GlobalFlags};
use crate::commands::print;
use crate::config::{SecretShown, Shown, shown};
use crate::exit_code::ExitCode;

pub fn execute(global: &GlobalFlags, flags: &ConfigShowFlags) -> anyhow::Result<ExitCode> {
    let (settings, secrets) = shown(global)?;
    let text =
        if flags.json { as_json(&settings, &secrets) } else { as_text(&settings, &secrets, flags.origin) };
    print::data(&text)?;
    Ok(ExitCode::Done)
}

fn as_text(settings: &[Shown], secrets: &[SecretShown], with_origin: bool) -> String {
    let line = |one: &Shown| match &one.value {
        Some(value) => format!("{} = {value}", one.key),
        None => format!("# {} is not set", one.key),
    };
    let of_setting =
        |one: &Shown| (line(one), if one.value.is_some() { one.origin.clone() } else { String::new() });
    let of_secret = |one: &SecretShown| match &one.place {
        Some(place) => (format!("# {} is set {}", one.variable, one.begins), place.clone()),
        None => (format!("# {} is not set", one.variable), String::new()),
    };
    let lines: Vec<(String, String)> =
        settings.iter().map(of_setting).chain(secrets.iter().map(of_secret)).collect();
    let widest = lines.iter().map(|(line, _)| line.trim_end().chars().count()).max().unwrap_or_default();
    let with_origin = |(line, origin): &(String, String)| {
        let line = line.trim_end();
        if !with_origin || origin.is_empty() {
            line.to_owned()
        } else {
            format!("{line:<widest$}  # {origin}")
        }
    };
    lines.iter().map(with_origin).collect::<Vec<_>>().join("\n")
}

fn as_json(settings: &[Shown], secrets: &[SecretShown]) -> String {
    let value = |text: &String| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    let setting = |one: &Shown| {
        let origin = Some(&one.origin).filter(|origin| !origin.is_empty());
        json!({"key": one.key, "value": one.value.as_ref().map(value), "origin": origin})
    };
    let secret = |one: &SecretShown| json!({"variable": one.variable, "is_set": one.place.is_some(), "origin": one.place});
    json!({
        "settings": settings.iter().map(setting).collect::<Vec<_>>(),
        "secrets": secrets.iter().map(secret).collect::<Vec<_>>(),
    })
    .to_string()
}
