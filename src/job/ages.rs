//! Ages: what the tenants say of the windows of differences, and since when each is known.
//!
//! In: a period's windows with their figures, and what was followed. Out: claims for the domain, and lines of
//! `evidence.ndjson`. Pure.

use serde_json::json;

use crate::domain::figures::WindowFigures;
use crate::domain::reconcile::{Age, Claims, Followed, ReconciliationRow};
use crate::domain::tenant::TenantWindow;
use crate::job::due::PeriodWindows;
use crate::store::books::ComparedRow;

/// `due` and `open` are the figures of those windows.
pub fn claims(windows: &PeriodWindows<'_>, due: &[WindowFigures], open: &[WindowFigures]) -> Claims {
    let mut claims = Claims::default();
    let start = |window: &TenantWindow<'_>| (window.tenant.id().to_owned(), window.window.start);
    claims.windows.extend(windows.closed.iter().map(start));
    let rated = windows.due.iter().zip(due).chain(windows.open.iter().zip(open));
    for (window, figures) in rated.filter(|(_, figures)| !figures.not_billed) {
        claims.windows.insert(start(window));
        if figures.park.is_some() {
            let named = window.segments.iter().map(|one| one.subscription.stripe_subscription_id.clone());
            claims.parked_subscriptions.extend(named);
        }
    }
    claims
}

/// A line for each difference that an earlier run saw. Data files have no such instants: they would differ from run to run.
pub fn evidence(followed: &Followed, rows: &[ComparedRow]) -> Vec<String> {
    let rows = rows.iter().map(|one| &one.row);
    let known = rows.filter(|row| matches!(row.age, Some(Age::Known { .. })));
    let line = |row: &ReconciliationRow| {
        let one = followed.of(row)?;
        let start = row.window.map(|window| window.start.to_string()).unwrap_or_default();
        let line = json!({
            "tenant_id": row.tenant_id, "window_start": start, "source": "difference",
            "id": row.evidence.first(), "request_id": "",
            "answer": format!("seen since {}, {} runs", one.first_seen, one.runs),
        });
        Some(line.to_string())
    };
    known.filter_map(line).collect()
}
