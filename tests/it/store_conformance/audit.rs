//! The audit log and the import receipts: rows that are only ever added, each chained to the one before.
//!
//! In: events, also from several writers at once. Out: a chain that can be computed again. The database itself refuses
//! to change it.

use billrecon::domain::audit::{AuditEvent, prove_chain};
use billrecon::domain::period::Period;
use billrecon::domain::proof::{ClosedRecords, RecordSum};
use billrecon::store::Store;
use billrecon::store::books::AuditRow;
use billrecon::store::ledger::Receipt;
use tokio::task::JoinSet;

use super::{Side, now, on_both, term};
use crate::support::Engine;

fn receipt(name: &str) -> Receipt {
    Receipt {
        receipt: name.to_owned(),
        file: "usage.csv".to_owned(),
        read: 10,
        accepted: 7,
        duplicate: 2,
        quarantined: 1,
    }
}

async fn append(store: &Store, name: &str) {
    let mut append = store.books().append().await.unwrap();
    append.receipt(&receipt(name), RecordSum::default(), now()).await.unwrap();
    append.commit().await.unwrap();
}

async fn log(store: &Store) -> Vec<AuditRow> {
    store.books().snapshot().await.unwrap().audit_log().await.unwrap()
}

/// Every row's hash follows from the row before and its own columns.
fn assert_chained(log: &[AuditRow]) {
    assert_eq!(prove_chain(log), Ok(()), "{log:?}");
}

#[test]
fn every_event_is_a_row_whose_hash_follows_from_the_row_before() {
    let period = Period::parse("2026-10").unwrap();
    let text = |text: &str| text.to_owned();
    let events = [
        AuditEvent::CatalogImported { catalog_hash: text("c") },
        AuditEvent::TenantsImported { tenants: 1, rows: 2 },
        AuditEvent::LeaseTakenOver { holder: text("b"), from: text("a \"quoted\"") },
        AuditEvent::RunCommitted {
            period,
            status: text("closed"),
            closed: 3,
            parked: 0,
            verdict: text("GO"),
            records: ClosedRecords::default(),
        },
        AuditEvent::RunAbandoned { period },
        AuditEvent::ReportsWritten { period, manifest_sha256: text("m") },
    ];
    on_both(async |store, _| {
        let term = term(&store).await;
        for event in &events {
            let mut write = store.books().write(&term).await.unwrap();
            write.audit(event, "r-1", now()).await.unwrap();
            write.commit().await.unwrap();
        }
        append(&store, "i-1").await;
        let log = log(&store).await;
        let names: Vec<&str> = log.iter().map(|row| row.event.as_str()).collect();
        assert_eq!(names[..6], events.each_ref().map(AuditEvent::name));
        assert_eq!((names[6], log[6].run_id.as_str()), ("usage_imported", ""));
        assert_eq!(log[2].details, r#"{"from":"a \"quoted\"","holder":"b"}"#);
        assert!(log.iter().all(|row| row.recorded_at == now()));
        assert_chained(&log);
    });
}

#[test]
fn writers_at_the_same_time_make_one_chain() {
    on_both(async |store, side| {
        let mut writers = JoinSet::new();
        for writer in 0..6 {
            let side = side.clone();
            writers.spawn(async move {
                let store = side.open().await;
                for number in 0..5 {
                    append(&store, &format!("{writer}-{number}")).await;
                }
                store.close().await;
            });
        }
        writers.join_all().await;
        let log = log(&store).await;
        assert_eq!(log.len(), 30);
        assert_chained(&log);
    });
}

#[test]
fn a_receipt_and_its_audit_row_are_there_together_or_not_at_all() {
    on_both(async |store, side| {
        let mut dropped = store.books().append().await.unwrap();
        dropped.receipt(&receipt("dropped"), RecordSum::default(), now()).await.unwrap();
        drop(dropped);
        append(&store, "kept").await;
        assert_eq!(side.texts("SELECT receipt FROM import_receipts").await, ["kept"]);
        let log = log(&store).await;
        let expected = format!(
            r#"{{"accepted":"7","duplicate":"2","file":"usage.csv","quarantined":"1","read":"10","receipt":"kept","records_sum":"{}"}}"#,
            "0".repeat(64)
        );
        assert_eq!(log.iter().map(|row| row.details.as_str()).collect::<Vec<_>>(), [expected]);
    });
}

/// The database refuses the statement and says why, and the log is as before.
async fn refused(store: &Store, side: &Side, statement: &str) {
    let before = log(store).await;
    let answer = side.execute(statement).await;
    assert!(matches!(&answer, Err(words) if words.contains("append-only")), "{statement}: {answer:?}");
    assert_eq!(log(store).await, before);
}

#[test]
fn the_database_refuses_to_change_or_delete_an_audit_row() {
    on_both(async |store, side| {
        append(&store, "i-1").await;
        append(&store, "i-2").await;
        refused(&store, &side, "UPDATE audit_log SET details = '{}' WHERE position = 1").await;
        refused(&store, &side, "UPDATE audit_log SET position = 9 WHERE position = 2").await;
        refused(&store, &side, "DELETE FROM audit_log WHERE position = 2").await;
        refused(&store, &side, "DELETE FROM audit_log").await;
        if side.engine == Engine::Postgres {
            refused(&store, &side, "TRUNCATE audit_log").await;
        }
    });
}

/// SQLite's REPLACE deletes without asking a DELETE trigger.
#[test]
fn the_database_refuses_to_write_over_an_audit_row() {
    on_both(async |store, side| {
        append(&store, "i-1").await;
        let row =
            "(position, recorded_at, run_id, event, details, hash) VALUES (1, 0, '', 'forged', '{}', '')";
        let before = log(&store).await;
        let statement = match side.engine {
            Engine::Sqlite => format!("INSERT OR REPLACE INTO audit_log {row}"),
            Engine::Postgres => {
                format!(
                    "INSERT INTO audit_log {row} ON CONFLICT (position) DO UPDATE SET event = excluded.event"
                )
            }
        };
        let answer = side.execute(&statement).await;
        assert_eq!(log(&store).await, before, "{answer:?}");
    });
}
