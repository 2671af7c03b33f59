//! Usage rows: added once, kept to the last digit, summed without overflow, paged by bytes.
//!
//! In: records as the importer judged them. Out: outcomes and totals. Sums are computed here a second time, in plain
//! 128-bit integers, and never with the program's own numbers.

use std::collections::BTreeMap;

use billrecon::domain::number::{NumberError, Quantity};
use billrecon::domain::period::Window;
use billrecon::domain::usage::UsageRecord;
use billrecon::store::Store;
use billrecon::store::ledger::Outcome;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{at, now, on_all, on_both, on_both_and_in_turkish, window};

const NOON: &str = "2026-10-10T12:00:00Z";

pub(super) fn record(tenant: &str, id: &str, quantity: &str, occurred_at: &str) -> UsageRecord {
    UsageRecord {
        tenant_id: tenant.to_owned(),
        source_event_id: id.to_owned(),
        meter: "calls".to_owned(),
        quantity: Quantity::parse(quantity).unwrap(),
        occurred_at: at(occurred_at),
        outcome: "success".to_owned(),
        source: "api".to_owned(),
        properties: "{}".to_owned(),
    }
}

pub(super) async fn add(store: &Store, records: &[UsageRecord]) -> Vec<Outcome> {
    let mut batch = store.ledger().begin().await.unwrap();
    let outcomes = batch.add(records, now()).await.unwrap();
    batch.commit().await.unwrap();
    outcomes
}

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

#[test]
fn where_there_are_too_many_readings_none_is_read() {
    on_all(async |store, side| {
        let records = ["d", "a", "c", "b"].map(|id| record("acme", id, "1", NOON));
        side.add(&store, &records).await;
        let beside = [record("acme", "next", "1", "2026-11-01T00:00:00Z"), record("beta", "a", "1", NOON)];
        side.add(&store, &beside).await;
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        for (most, expected) in [(4, Some(vec!["b", "c", "d"])), (3, None), (1, None)] {
            let mut read = 0;
            let kept = snapshot.readings(october(), ("acme", "calls"), most, |reading, recorded_at| {
                read += 1;
                assert_eq!(recorded_at, now());
                (reading.source_event_id != "a").then_some(reading.source_event_id)
            });
            let kept = kept.await.unwrap();
            assert_eq!(kept.as_deref().map(|ids| ids.iter().map(String::as_str).collect()), expected);
            assert_eq!(read, if most < 4 { 0 } else { 4 });
        }
    });
}

/// Records and quantity by tenant and meter, as text.
async fn totals(
    store: &Store,
    range: Window,
    first: &str,
    last: &str,
) -> BTreeMap<(String, String), (u64, String)> {
    let mut snapshot = store.ledger().snapshot().await.unwrap();
    let totals = snapshot.totals(&BTreeMap::new(), range, [first, last]).await.unwrap();
    let by_meter = totals.into_iter().flat_map(|(tenant, by_meter)| {
        by_meter.into_iter().map(move |(meter, usage)| {
            let total = usage.billable;
            ((tenant.clone(), meter), (total.records, total.quantity.to_string()))
        })
    });
    by_meter.collect()
}

/// The one total of a case with a single tenant and meter.
async fn total(store: &Store, range: Window) -> (u64, String) {
    let totals = totals(store, range, "", "~").await;
    assert_eq!(totals.len(), 1, "{totals:?}");
    totals.into_values().next().unwrap()
}

#[test]
fn a_record_is_accepted_once_and_every_copy_is_a_duplicate() {
    use Outcome::{Accepted, Duplicate};
    on_both(async |store, _| {
        let [one, two, three] = ["1", "2", "3"].map(|id| record("acme", id, "1.5", NOON));
        let first = [one.clone(), one.clone(), two.clone(), one.clone()];
        assert_eq!(add(&store, &first).await, [Accepted, Duplicate, Accepted, Duplicate]);
        assert_eq!(
            add(&store, &[two, three.clone(), one, three]).await,
            [Duplicate, Accepted, Duplicate, Duplicate]
        );
        assert_eq!(total(&store, october()).await, (3, "4.5".to_owned()));
    });
}

#[test]
fn the_time_of_recording_is_no_part_of_a_record() {
    on_both(async |store, _| {
        let one = record("acme", "1", "1", NOON);
        for (recorded_at, outcome) in
            [(now(), Outcome::Accepted), (Timestamp::UNIX_EPOCH, Outcome::Duplicate)]
        {
            let mut batch = store.ledger().begin().await.unwrap();
            assert_eq!(batch.add(std::slice::from_ref(&one), recorded_at).await.unwrap(), [outcome]);
            batch.commit().await.unwrap();
        }
    });
}

/// The record with each of its fields changed in turn, by as little as possible.
fn other_bodies(of: &UsageRecord) -> Vec<UsageRecord> {
    vec![
        UsageRecord { meter: "call".to_owned(), ..of.clone() },
        UsageRecord { quantity: Quantity::parse("1.000000000001").unwrap(), ..of.clone() },
        UsageRecord { occurred_at: at("2026-10-10T12:00:00.000000001Z"), ..of.clone() },
        UsageRecord { outcome: String::new(), ..of.clone() },
        UsageRecord { source: "API".to_owned(), ..of.clone() },
        UsageRecord { properties: "{\"a\":\"1\"}".to_owned(), ..of.clone() },
    ]
}

#[test]
fn another_body_under_a_taken_id_is_a_conflict_in_the_same_batch_and_in_a_later_one() {
    use Outcome::{Accepted, Conflict, Duplicate};
    on_both(async |store, _| {
        for (number, body) in other_bodies(&record("acme", "1", "1", NOON)).into_iter().enumerate() {
            let id = number.to_string();
            let (one, body) = (record("acme", &id, "1", NOON), UsageRecord { source_event_id: id, ..body });
            assert_eq!(add(&store, &[one.clone(), body.clone()]).await, [Accepted, Conflict], "{body:?}");
            // The row that is there decides, not the copy that comes first in the batch.
            let again = [body.clone(), one.clone(), body.clone()];
            assert_eq!(add(&store, &again).await, [Conflict, Duplicate, Conflict], "{body:?}");
        }
        assert_eq!(total(&store, october()).await, (6, "6".to_owned()));
    });
}

#[test]
fn an_id_is_unique_within_its_tenant_only() {
    on_both(async |store, _| {
        let both = [record("acme", "1", "1", NOON), record("beta", "1", "2", NOON)];
        assert_eq!(add(&store, &both).await, [Outcome::Accepted; 2]);
        assert_eq!(totals(&store, october(), "acme", "beta").await.len(), 2);
    });
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    on_both(async |store, _| {
        let one = record("acme", "1", "1", NOON);
        let mut batch = store.ledger().begin().await.unwrap();
        assert_eq!(batch.add(std::slice::from_ref(&one), now()).await.unwrap(), [Outcome::Accepted]);
        batch.quarantine(vec![super::quarantine::line("h-1")], now()).await.unwrap();
        drop(batch);
        assert!(totals(&store, october(), "", "~").await.is_empty());
        assert_eq!(store.ledger().snapshot().await.unwrap().open_quarantine().await.unwrap(), 0);
        assert_eq!(add(&store, &[one]).await, [Outcome::Accepted]);
    });
}

#[test]
fn a_quantity_comes_back_to_the_last_digit() {
    let quantities =
        ["0.000000000001", "999999999999.5", "999999999999999.999999999999", "0", "-0.000000000001"];
    on_both(async |store, _| {
        for quantity in quantities {
            let one = record(quantity, "1", quantity, NOON);
            assert_eq!(add(&store, std::slice::from_ref(&one)).await, [Outcome::Accepted]);
            // A copy is compared with what was stored.
            assert_eq!(add(&store, &[one]).await, [Outcome::Duplicate], "{quantity}");
            let totals = totals(&store, october(), quantity, quantity).await;
            assert_eq!(totals.into_values().collect::<Vec<_>>(), [(1, quantity.to_owned())]);
        }
        let all = quantities.map(|quantity| record("all", quantity, quantity, NOON));
        add(&store, &all).await;
        let sum = totals(&store, october(), "all", "all").await.into_values().next().unwrap();
        assert_eq!(sum, (5, "1000999999999999.499999999999".to_owned()));
    });
}

#[test]
fn the_lowest_quantity_that_parses_is_kept_like_the_highest() {
    on_both(async |store, _| {
        let lowest = record("acme", "1", "-999999999999999.999999999999", NOON);
        let mut batch = store.ledger().begin().await.unwrap();
        assert_eq!(batch.add(&[lowest], now()).await.unwrap(), [Outcome::Accepted]);
    });
}

/// Summed in one piece, 10,000 floors of 10^15 are beyond 2^63, where SQLite's SUM raises an error.
#[test]
fn a_sum_beyond_64_bits_is_exact_and_is_too_large_to_be_rated() {
    on_all(async |store, side| {
        let record = |number: i32| record("acme", &number.to_string(), "999999999999999.999999999999", NOON);
        for (numbers, sum) in
            [(0..2_500, "2499999999999999999.9999999975"), (2_500..10_000, "9999999999999999999.99999999")]
        {
            side.add(&store, &numbers.map(record).collect::<Vec<_>>()).await;
            let totals = store
                .ledger()
                .snapshot()
                .await
                .unwrap()
                .totals(&BTreeMap::new(), october(), ["acme", "acme"])
                .await
                .unwrap();
            let quantity = totals["acme"]["calls"].billable.quantity;
            assert_eq!(quantity.to_string(), sum);
            assert_eq!(quantity.to_quantity(), Err(NumberError::Overflow));
        }
    });
}

#[test]
fn a_window_holds_its_first_instant_and_not_its_last_one_to_the_nanosecond() {
    on_both(async |store, _| {
        add(
            &store,
            &[
                record("acme", "before", "1", "2026-09-30T23:59:59.999999999Z"),
                record("acme", "first", "10", "2026-10-01T00:00:00Z"),
                record("acme", "last", "100", "2026-10-31T23:59:59.999999999Z"),
                record("acme", "after", "1000", "2026-11-01T00:00:00Z"),
            ],
        )
        .await;
        assert_eq!(total(&store, october()).await, (2, "110".to_owned()));
        let nanosecond = window("2026-09-30T23:59:59.999999999Z", "2026-10-01T00:00:00Z");
        assert_eq!(total(&store, nanosecond).await, (1, "1".to_owned()));
        let nothing = Window { start: october().start, end: october().start };
        assert!(totals(&store, nothing, "", "~").await.is_empty());
    });
}

#[test]
fn tenants_are_paged_by_the_bytes_of_their_ids_whatever_the_collation() {
    let by_bytes = ["", "I", "Z", "a", "i", "i\u{307}", "~", "ä", "İ", "ı", "😀"];
    on_both_and_in_turkish(async |store, _| {
        let records: Vec<UsageRecord> = by_bytes.iter().map(|id| record(id, id, "1", NOON)).collect();
        add(&store, &records).await;
        for (from, first) in by_bytes.iter().enumerate() {
            for (to, last) in by_bytes.iter().enumerate() {
                let found = totals(&store, october(), first, last).await;
                let ids: Vec<&str> = found.keys().map(|(tenant, _)| tenant.as_str()).collect();
                assert_eq!(ids, by_bytes.get(from..=to).unwrap_or_default(), "from {first} to {last}");
            }
        }
    });
}

#[test]
fn thousands_of_rows_in_one_call_are_all_there_and_all_found_again() {
    on_both(async |store, _| {
        let mut records: Vec<UsageRecord> =
            (0..2_005).map(|number| record("acme", &number.to_string(), "0.000000000001", NOON)).collect();
        assert_eq!(add(&store, &records).await, vec![Outcome::Accepted; 2_005]);
        records[1_500].source = "another".to_owned();
        let mut expected = vec![Outcome::Duplicate; 2_005];
        expected[1_500] = Outcome::Conflict;
        assert_eq!(add(&store, &records).await, expected);
        assert_eq!(total(&store, october()).await, (2_005, "0.000000002005".to_owned()));
    });
}

#[test]
fn a_snapshot_does_not_see_what_is_committed_after_its_first_look() {
    on_all(async |store, side| {
        let other = side.open().await;
        side.add(&store, &[record("acme", "1", "1", NOON)]).await;
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        let before = snapshot.totals(&BTreeMap::new(), october(), ["", "~"]).await.unwrap();
        side.add(&other, &[record("acme", "2", "1", NOON)]).await;
        assert_eq!(snapshot.totals(&BTreeMap::new(), october(), ["", "~"]).await.unwrap(), before);
        assert_eq!(total(&store, october()).await.0, 2);
        drop(snapshot);
        other.close().await;
    });
}

/// A record of a property case: quantity in 10^-12 units, and seconds since the first of October.
type Drawn = (i128, i64);

fn drawn_records(case: usize, drawn: &[Drawn]) -> Vec<UsageRecord> {
    let one = |(number, (units, second)): (usize, &Drawn)| UsageRecord {
        quantity: Quantity::parse(&decimal(*units)).unwrap(),
        occurred_at: Timestamp::from_second(october().start.as_second() + second).unwrap(),
        ..record(&format!("tenant-{case}"), &number.to_string(), "0", NOON)
    };
    drawn.iter().enumerate().map(one).collect()
}

/// Prints 10^-12 units without the program's help.
fn decimal(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (whole, rest) = (units.unsigned_abs() / 1_000_000_000_000, units.unsigned_abs() % 1_000_000_000_000);
    let text = format!("{sign}{whole}.{rest:012}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
fn a_total_is_what_a_plain_loop_over_the_records_says() {
    on_all(async |store, side| {
        // The case is async already, so the property is checked over drawn values and not by proptest's own loop.
        let limit = 999_999_999_999_999_999_999_999_999i128;
        let records = prop::collection::vec((-limit + 1_000_000_000_000..=limit, 0i64..1_000), 1..40);
        let strategy = (records, 0i64..1_000, 0i64..1_000);
        let mut runner = TestRunner::default();
        for case in 0..24 {
            let (mut drawn, start, end) = strategy.new_tree(&mut runner).unwrap().current();
            if side.own.is_some() {
                // Below zero only what corrects a record counts there.
                for one in &mut drawn {
                    one.0 = one.0.abs();
                }
            }
            side.add(&store, &drawn_records(case, &drawn)).await;
            let inside: Vec<i128> =
                drawn.iter().filter(|(_, second)| (start..end).contains(second)).map(|one| one.0).collect();
            let second = |second| Timestamp::from_second(october().start.as_second() + second).unwrap();
            let range = Window { start: second(start), end: second(end) };
            let tenant = format!("tenant-{case}");
            let found = totals(&store, range, &tenant, &tenant).await.into_values().next();
            let expected = (!inside.is_empty()).then(|| (inside.len() as u64, decimal(inside.iter().sum())));
            assert_eq!(found, expected, "{drawn:?} from {start} to {end}");
        }
    });
}
