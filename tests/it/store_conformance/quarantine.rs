//! Lines set aside: once each, counted by period, gone from the count when their record came in a mended form.
//!
//! In: lines as the importer describes them. Out: counts of what waits for a person. It never looks at how a line is
//! judged; that is the importer's.

use std::collections::{BTreeMap, BTreeSet};

use billrecon::domain::catalog::Meter;
use billrecon::domain::period::Period;
use billrecon::domain::usage::{QuarantineReason, QuarantinedLine};
use billrecon::store::Store;
use billrecon::store::ledger::SetAside;

use super::ledger::record;
use super::{now, on_both, window};

/// A line of tenant `acme` in October; its hash is all that tells it from another.
pub(super) fn line(body_hash: &str) -> QuarantinedLine {
    QuarantinedLine {
        body_hash: body_hash.to_owned(),
        reason: QuarantineReason::BadQuantity,
        detail: "quantity `x` is not a decimal number".to_owned(),
        tenant_id: "acme".to_owned(),
        source_event_id: body_hash.to_owned(),
        meter: "calls".to_owned(),
        period: "2026-10".to_owned(),
        file: "usage.csv".to_owned(),
        line: 2,
        body: "{}".to_owned(),
    }
}

async fn set_aside(store: &Store, lines: &[QuarantinedLine]) {
    let mut batch = store.ledger().begin().await.unwrap();
    batch.quarantine(lines.to_vec(), now()).await.unwrap();
    batch.commit().await.unwrap();
}

async fn mend(store: &Store, ids: &[&str]) {
    let records: Vec<_> = ids.iter().map(|id| record("acme", id, "1", "2026-10-10T00:00:00Z")).collect();
    let mut batch = store.ledger().begin().await.unwrap();
    batch.resolve_quarantine(&records.iter().collect::<Vec<_>>(), now()).await.unwrap();
    batch.commit().await.unwrap();
}

/// Of what imports set aside nothing but the period is looked at.
fn of_october() -> SetAside<'static> {
    static NO_METERS: BTreeMap<String, Meter> = BTreeMap::new();
    SetAside {
        period: Period::parse("2026-10").unwrap(),
        month: window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        tenants: BTreeSet::new(),
        meters: &NO_METERS,
    }
}

async fn waiting(store: &Store) -> u64 {
    store.ledger().snapshot().await.unwrap().open_quarantine().await.unwrap()
}

#[test]
fn a_line_is_set_aside_once_however_often_and_from_whatever_file_it_comes() {
    on_both(async |store, _| {
        set_aside(&store, &[line("h-1"), line("h-1"), line("h-2")]).await;
        set_aside(&store, &[QuarantinedLine { file: "again.csv".to_owned(), line: 99, ..line("h-1") }]).await;
        assert_eq!(waiting(&store).await, 2);
    });
}

#[test]
fn lines_are_counted_by_tenant_meter_and_reason_of_their_period() {
    on_both(async |store, _| {
        let reason = QuarantineReason::Negative;
        set_aside(
            &store,
            &[
                line("h-1"),
                line("h-2"),
                QuarantinedLine { reason, ..line("h-3") },
                QuarantinedLine { meter: "storage".to_owned(), ..line("h-4") },
                QuarantinedLine { tenant_id: String::new(), ..line("h-5") },
                QuarantinedLine { period: "2026-09".to_owned(), ..line("h-6") },
                QuarantinedLine { period: "2026-11".to_owned(), ..line("h-7") },
                QuarantinedLine { period: String::new(), ..line("h-8") },
            ],
        )
        .await;
        let mut counts = store.ledger().snapshot().await.unwrap().quarantine(&of_october()).await.unwrap();
        counts.sort_by(|a, b| (&a.tenant_id, &a.meter, &a.reason).cmp(&(&b.tenant_id, &b.meter, &b.reason)));
        let counts: Vec<_> = counts
            .iter()
            .map(|one| (one.tenant_id.as_str(), one.meter.as_str(), one.reason.as_str(), one.records))
            .collect();
        assert_eq!(
            counts,
            [
                ("", "calls", "bad_quantity", 1),
                ("acme", "calls", "bad_quantity", 2),
                ("acme", "calls", "negative", 1),
                ("acme", "storage", "bad_quantity", 1),
            ]
        );
        assert_eq!(waiting(&store).await, 8);
    });
}

#[test]
fn a_mended_record_resolves_all_lines_of_its_id_and_no_other() {
    on_both(async |store, _| {
        let twice = QuarantinedLine { source_event_id: "h-1".to_owned(), ..line("another body") };
        let neighbour = QuarantinedLine {
            tenant_id: "beta".to_owned(),
            source_event_id: "h-1".to_owned(),
            ..line("h-9")
        };
        set_aside(&store, &[line("h-1"), twice, neighbour, line("h-2")]).await;
        mend(&store, &["h-1", "unknown"]).await;
        assert_eq!(waiting(&store).await, 2);
        let counts = store.ledger().snapshot().await.unwrap().quarantine(&of_october()).await.unwrap();
        assert_eq!(counts.iter().map(|one| one.records).sum::<u64>(), 2);
    });
}

#[test]
fn a_conflict_waits_for_a_person_even_when_its_record_is_accepted() {
    on_both(async |store, _| {
        set_aside(
            &store,
            &[QuarantinedLine { reason: QuarantineReason::Conflict, ..line("h-1") }, line("h-2")],
        )
        .await;
        mend(&store, &["h-1", "h-2"]).await;
        assert_eq!(waiting(&store).await, 1);
    });
}

#[test]
fn a_thousand_mended_records_resolve_a_thousand_lines() {
    on_both(async |store, _| {
        let ids: Vec<String> = (0..1_001).map(|number| format!("h-{number}")).collect();
        set_aside(&store, &ids.iter().map(|id| line(id)).collect::<Vec<_>>()).await;
        mend(&store, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(waiting(&store).await, 0);
    });
}
