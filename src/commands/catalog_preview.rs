//! `billrecon import catalog --dry-run`: what would change, plan by plan.
//!
//! In: a catalog file. Out: a few lines per change, or one JSON object; what a real import would refuse ends as it would
//! there. Never writes.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::ImportFlags;
use crate::commands::import::open;
use crate::commands::print;
use crate::domain::catalog::PlanId;
use crate::domain::catalog_diff::{Change, ChangeKind, FieldChange};
use crate::exit_code::ExitCode;
use crate::job::Settings;
use crate::job::catalog_change::{CatalogPreview, preview};

pub async fn execute(settings: &Settings, flags: &ImportFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let (input, _) = open(&flags.file)?;
    let preview = preview(settings, input, now).await?;
    print::data(&if flags.json { print::json(&as_json(&preview)) } else { as_text(&preview, &flags.file) })?;
    preview.refused.map_or(Ok(ExitCode::Done), |refused| Err(refused.into()))
}

fn as_text(preview: &CatalogPreview, file: &str) -> String {
    let CatalogPreview { diff, tenants_touched, refused, .. } = preview;
    if diff.is_empty() {
        return format!(
            "{file}: {}",
            if preview.new_version {
                "no plan and no meter changes; the file differs, so an import makes a new version"
            } else {
                "nothing changes"
            }
        );
    }
    let mut lines = vec![format!("{file}: a dry run, nothing was imported")];
    for change in &diff.meters {
        lines.push(format!("meter {}: {}", change.key, change.kind.as_str()));
        lines.extend(fields(change));
    }
    for (change, tenants) in with_tenants(preview) {
        let tenants = tenants.map(|tenants| format!(", {tenants} tenants are on it")).unwrap_or_default();
        lines.push(format!("plan {}: {}{tenants}", named(&change.key), change.kind.as_str()));
        lines.extend(fields(change));
    }
    lines.push(format!(
        "{tenants_touched} tenants are on a plan that changes or goes; closed windows keep their prices, and open and \
         parked ones are rated by the new ones"
    ));
    if refused.is_some() {
        lines.push("an import would be refused:".to_owned());
    }
    lines.join("\n")
}

/// Of what goes, the name says enough.
fn fields<K>(change: &Change<K>) -> Vec<String> {
    let none = || "none".to_owned();
    let line = |FieldChange { field, old, new }: &FieldChange| {
        let (old, new) = (old.clone().unwrap_or_else(none), new.clone().unwrap_or_else(none));
        if change.kind == ChangeKind::Added {
            format!("  {field}: {new}")
        } else {
            format!("  {field}: {old} -> {new}")
        }
    };
    let shown = change.fields.iter().filter(|_| change.kind != ChangeKind::Removed);
    shown.map(line).collect()
}

/// The plans with how many tenants are on each that was there before.
fn with_tenants(preview: &CatalogPreview) -> Vec<(&Change<PlanId>, Option<u64>)> {
    let mut counts = preview.tenants.iter().copied();
    let count = |change: &Change<PlanId>| match change.kind {
        ChangeKind::Added => None,
        ChangeKind::Removed | ChangeKind::Changed => counts.next(),
    };
    let counted: Vec<Option<u64>> = preview.diff.plans.iter().map(count).collect();
    preview.diff.plans.iter().zip(counted).collect()
}

fn named(plan: &PlanId) -> String {
    format!("{} ({}, {})", plan.key, plan.interval.as_str(), plan.currency)
}

fn as_json(preview: &CatalogPreview) -> String {
    let fields = |fields: &[FieldChange]| -> Vec<_> {
        fields.iter().map(|one| json!({"field": one.field, "old": one.old, "new": one.new})).collect()
    };
    let meter = |change: &Change<String>| json!({"meter": change.key, "change": change.kind.as_str(), "fields": fields(&change.fields)});
    let plan = |(change, tenants): (&Change<PlanId>, Option<u64>)| {
        let PlanId { key, interval, currency } = &change.key;
        json!({
            "plan": key, "interval": interval.as_str(), "currency": currency.code(),
            "change": change.kind.as_str(), "tenants": tenants, "fields": fields(&change.fields),
        })
    };
    json!({
        "dry_run": true,
        "changes": !preview.diff.is_empty(),
        "new_version": preview.new_version,
        "meters": preview.diff.meters.iter().map(meter).collect::<Vec<_>>(),
        "plans": with_tenants(preview).into_iter().map(plan).collect::<Vec<_>>(),
        "tenants": preview.tenants_touched,
        "refused": preview.refused.as_ref().map(ToString::to_string),
    })
    .to_string()
}
