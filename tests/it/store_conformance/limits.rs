//! Limit events in the store, and what windows used before.
//!
//! In: events of runs in every state, windows closed under several labels. Out: the same to the digit, with whether a report
//! has told them; and never a row that was changed. By SQL on the side it asks both databases how they look history up.

use std::collections::BTreeMap;

use billrecon::domain::catalog::PlanId;
use billrecon::domain::figures::{Disposition, SegmentUsage, Stretch, WindowFigures, WindowStatus};
use billrecon::domain::history::PastWindow;
use billrecon::domain::limit::LimitEvent;
use billrecon::domain::money::Currency;
use billrecon::domain::number::{Quantity, QuantitySum};
use billrecon::domain::period::{Interval, Period, Window};
use billrecon::domain::rating::Split;
use billrecon::domain::usage::UsageTotal;
use billrecon::store::Store;
use billrecon::store::books::PeriodStatus;
use billrecon::store::lease::Term;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use super::runs::{job, run};
use super::{Side, now, on_both, on_both_and_in_turkish, term, window};
use crate::support::Engine;

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

fn plan() -> PlanId {
    PlanId { key: "pro ı".to_owned(), interval: Interval::Month, currency: Currency::parse("kwd").unwrap() }
}

fn event(tenant: &str, level: u8) -> LimitEvent {
    LimitEvent {
        tenant_id: tenant.to_owned(),
        plan: plan(),
        meter: "çağrı".to_owned(),
        window: october(),
        level,
        quota: Quantity::parse("0.000000000001").unwrap(),
        used: Quantity::from_floor_and_fraction(999_999_999_999_999_999, 999_999_999_999).unwrap(),
    }
}

/// One run of October in a term of its own, with what it wrote.
async fn write(store: &Store, run_id: &str, events: &[LimitEvent], end: &str) {
    let term = term(store).await;
    let mut write = store.books().write(&term).await.unwrap();
    write.start_run(&run(run_id, "2026-10", term.fence)).await.unwrap();
    write.add_limit_events((period("2026-10"), run_id), events, now()).await.unwrap();
    match end {
        "committed" => {
            write.commit_run(run_id, &job(run_id, "2026-10", PeriodStatus::Closing, 1), None).await.unwrap();
        }
        "finished" => write.finish_run(run_id, "").await.unwrap(),
        _ => write.abandon_run(run_id).await.unwrap(),
    }
    write.commit().await.unwrap();
    store.books().release_lease(&term).await.unwrap();
}

/// `tenant level new` of what a run knew.
async fn known_to(store: &Store, run_id: &str) -> Vec<(String, u8, bool)> {
    let rows = store.books().snapshot().await.unwrap().limit_rows(period("2026-10"), run_id).await.unwrap();
    rows.into_iter().map(|row| (row.event.tenant_id, row.event.level, row.is_new)).collect()
}

fn told(rows: &[(&str, u8, bool)]) -> Vec<(String, u8, bool)> {
    rows.iter().map(|(tenant, level, is_new)| ((*tenant).to_owned(), *level, *is_new)).collect()
}

#[test]
fn an_event_is_new_in_the_first_run_that_left_its_files_and_each_run_keeps_what_it_knew() {
    on_both_and_in_turkish(async |store, _| {
        write(&store, "r-1", &[event("ızmir", 80), event("Zeta", 100)], "finished").await;
        write(&store, "r-2", &[event("ızmir", 90)], "abandoned").await;
        write(&store, "r-3", &[event("ızmir", 95)], "committed").await;
        write(&store, "r-4", &[], "finished").await;
        assert_eq!(known_to(&store, "r-1").await, told(&[("Zeta", 100, true), ("ızmir", 80, true)]));
        let third = [("Zeta", 100, false), ("ızmir", 80, false), ("ızmir", 90, true), ("ızmir", 95, true)];
        assert_eq!(known_to(&store, "r-3").await, told(&third));
        let fourth = third.map(|(tenant, level, _)| (tenant, level, false));
        assert_eq!(known_to(&store, "r-4").await, told(&fourth));
        assert_eq!(known_to(&store, "r-9").await, told(&[]));
    });
}

#[test]
fn events_come_back_to_the_digit_by_their_time_and_by_their_tenant() {
    on_both(async |store, _| {
        write(&store, "r-1", &[event("acme", 80), event("beta", 80)], "abandoned").await;
        let mut view = store.books().snapshot().await.unwrap();
        // One nanosecond in common is enough; the label does not matter.
        let touching = window("2026-09-01T00:00:00Z", "2026-10-01T00:00:00.000000001Z");
        let mut found = view.limit_events(period("2026-09"), touching).await.unwrap();
        found.sort_by(|one, other| one.event.cmp(&other.event));
        let events: Vec<&LimitEvent> = found.iter().map(|one| &one.event).collect();
        assert_eq!(events, [&event("acme", 80), &event("beta", 80)]);
        assert!(found.iter().all(|one| one.period == period("2026-10") && one.reached_at == now()));
        assert!(found.iter().all(|one| !one.is_told));
        let beside = window("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z");
        assert_eq!(view.limit_events(period("2026-10"), beside).await.unwrap(), []);
        let of_acme = view.limit_events_of(period("2026-10"), "acme").await.unwrap();
        assert_eq!(of_acme.len(), 1);
        assert_eq!(view.limit_events_of(period("2026-09"), "acme").await.unwrap(), []);
    });
}

#[test]
fn the_database_refuses_to_change_an_event_or_to_take_a_second_one() {
    on_both(async |store, side| {
        write(&store, "r-1", &[event("acme", 80)], "finished").await;
        for statement in ["UPDATE limit_events SET level = 90", "DELETE FROM limit_events"] {
            let refused = side.execute(statement).await.unwrap_err();
            assert!(refused.contains("limit_events is append-only"), "{statement}: {refused}");
        }
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        let again = LimitEvent { used: Quantity::ZERO, ..event("acme", 80) };
        assert!(write.add_limit_events((period("2026-10"), "r-2"), &[again], now()).await.is_err());
    });
}

fn figures(tenant: &str, window: Window, usage: &[(&str, &str, Option<&str>)]) -> WindowFigures {
    let total = |quantity: &str| UsageTotal { records: 2, quantity: QuantitySum::parse(quantity).unwrap() };
    let segment = |(meter, quantity, reading): &(&str, &str, Option<&str>)| {
        let free = reading.unwrap_or(quantity).trim_start_matches('-');
        SegmentUsage {
            range: window,
            plan: Some(plan()),
            meter: (*meter).to_owned(),
            disposition: Disposition::Billable,
            total: total(quantity),
            readings: reading.map(total),
            taken_back: QuantitySum::ZERO,
            split: Some(Split { free: Quantity::parse(free).unwrap(), ..Split::default() }),
        }
    };
    WindowFigures {
        tenant_id: tenant.to_owned(),
        tenant_name: tenant.to_owned(),
        window,
        accounted: vec![window],
        trial: false,
        stretches: vec![Stretch { range: window, plan: Some(plan()), invoiced: true }],
        status: WindowStatus::Closed,
        park: None,
        not_billed: false,
        full_cycle: false,
        payer: billrecon::domain::figures::Payer::Paying,
        catalog_hash: "c".to_owned(),
        usage: usage.iter().map(segment).collect(),
        lines: Vec::new(),
    }
}

fn past(tenant: &str, window: Window, used: &[(&str, &str)]) -> PastWindow {
    let used: BTreeMap<String, QuantitySum> =
        used.iter().map(|(meter, sum)| ((*meter).to_owned(), QuantitySum::parse(sum).unwrap())).collect();
    let stretches = vec![Stretch { range: window, plan: Some(plan()), invoiced: true }];
    PastWindow { tenant_id: tenant.to_owned(), window, catalog_hash: "c".to_owned(), stretches, used }
}

fn months() -> [Window; 2] {
    [
        window("2026-08-01T00:00:00Z", "2026-09-01T00:00:00Z"),
        window("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z"),
    ]
}

/// August and September of some tenants.
async fn close(store: &Store, term: &Term) {
    let [august, september] = months();
    let mut write = store.books().write(term).await.unwrap();
    let trial = WindowFigures { trial: true, ..figures("bulk", august, &[("calls", "9", None)]) };
    let of_august = [figures("acme", august, &[("calls", "1.5", None)]), trial];
    write.save_windows(period("2026-08"), &of_august, "r-1").await.unwrap();
    let excluded = |mut one: WindowFigures| {
        one.usage[0].disposition = Disposition::NotBillable;
        one
    };
    let parked = WindowFigures { status: WindowStatus::Parked, ..figures("cold", september, &[]) };
    let of_september = [
        figures("acme", september, &[("calls", "7", None), ("seats", "12", Some("4"))]),
        excluded(figures("bulk", september, &[("calls", "9", None)])),
        parked,
        figures("zero", september, &[]),
    ];
    write.save_windows(period("2026-09"), &of_september, "r-2").await.unwrap();
    write.commit().await.unwrap();
}

#[test]
fn history_is_the_closed_windows_of_some_labels_with_what_was_billed_for_the_newest_first() {
    on_both(async |store, _| {
        close(&store, &term(&store).await).await;
        let [august, september] = months();
        let mut view = store.books().snapshot().await.unwrap();
        let labels = ["2026-09", "2026-08", "2026-07", "2026-06", "2026-05", "2026-04"].map(period);
        let expected = [
            past("acme", september, &[("calls", "7"), ("seats", "4")]),
            past("acme", august, &[("calls", "1.5")]),
            past("bulk", september, &[]),
            past("zero", september, &[]),
        ];
        assert_eq!(view.past_windows(labels, ["acme", "zero"]).await.unwrap(), expected);
        assert_eq!(view.past_windows(labels, ["bulk", "cold"]).await.unwrap(), expected[2..3]);
        let only = [period("2026-08"); 6];
        assert_eq!(view.past_windows(only, ["acme", "zero"]).await.unwrap(), expected[1..2]);
    });
}

/// The statement as it stands in the source, with the values of a run.
fn history_statement() -> String {
    let source = include_str!("../../../src/store/books/limits.rs");
    let start = source.find("SELECT w.tenant_id").unwrap();
    let sql = source[start..].split("\";").next().unwrap();
    let mut values =
        ["billable", "2026-09", "2026-08", "2026-07", "2026-06", "2026-05", "2026-04", "a", "z"].iter();
    let bound: String = sql
        .chars()
        .map(|one| if one == '?' { format!("'{}'", values.next().unwrap()) } else { one.to_string() })
        .collect();
    assert_eq!(values.next(), None);
    bound.replace("{exact:quantity}", "0").replace("{exact:readings}", "0")
}

async fn plan_of(side: &Side) -> String {
    let sql = history_statement();
    let lines: Vec<String> = match side.engine {
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(&side.url).await.unwrap();
            let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get("detail")).collect()
        }
        Engine::Postgres => {
            let mut connection = PgConnection::connect(&side.url).await.unwrap();
            // Tables of a few rows are always scanned, unless that is forbidden.
            connection.execute("SET enable_seqscan = off").await.unwrap();
            let sql = AssertSqlSafe(format!("EXPLAIN {sql}"));
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
    };
    lines.join("\n")
}

#[test]
fn history_is_looked_up_by_label_and_key_and_never_by_reading_a_whole_table() {
    on_both(async |store, side| {
        close(&store, &term(&store).await).await;
        let plan = plan_of(&side).await;
        for index in match side.engine {
            Engine::Sqlite => ["billing_windows_by_period", "sqlite_autoindex_window_usage_1"],
            Engine::Postgres => ["billing_windows_", "window_usage_pkey"],
        } {
            assert!(plan.contains(index), "{:?}: {plan}", side.engine);
        }
        assert!(
            !plan.lines().any(|line| line.starts_with("SCAN")) && !plan.contains("Seq Scan"),
            "{:?}: {plan}",
            side.engine
        );
    });
}
