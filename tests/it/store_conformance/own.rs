//! An own ledger beyond what it shares with ours: what may stand in a table of somebody else's, and how it is asked.
//!
//! In: rows by SQL, in tables and views of each shape. Out: totals without the rows that no import would take, and those counted
//! with their reasons. Types that cannot be read exactly, and roles that see too little, are refused.

use std::collections::{BTreeMap, BTreeSet};

use billrecon::domain::catalog::{Aggregation, Meter};
use billrecon::domain::period::{Period, Window};
use billrecon::domain::rule::Rule;
use billrecon::domain::usage::UsageTotal;
use billrecon::store::ledger::{LedgerSnapshot, OwnLedger, SetAside, TableName};
use billrecon::store::{Access, Database, Store, StoreError};

use super::ledger::record;
use super::{Side, now, on_own, window};
use crate::support::own::{OwnTable, Shape};
use crate::support::postgres::{TestDatabase, rows};
use crate::support::{Engine, Workspace, block_on};

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

fn meters() -> BTreeMap<String, Meter> {
    let meter = |key: &str, aggregation| {
        let (event_name, rule) = (key.to_owned(), Rule::parse(&[]).unwrap());
        (key.to_owned(), Meter { key: key.to_owned(), aggregation, per_source: false, rule, event_name })
    };
    [meter("calls", Aggregation::Sum), meter("devices", Aggregation::Last)].into()
}

fn all(meters: &BTreeMap<String, Meter>) -> SetAside<'_> {
    let period = Period::parse("2026-10").unwrap();
    SetAside { period, month: october(), tenants: BTreeSet::from(["acme", "beta"]), meters }
}

/// `tenant meter reason records`.
async fn set_aside(snapshot: &mut LedgerSnapshot) -> Vec<String> {
    let counts = snapshot.quarantine(&all(&meters())).await.unwrap();
    let told = |one: &billrecon::domain::report::QuarantineCount| {
        format!("{} {} {} {}", one.tenant_id, one.meter, one.reason, one.records)
    };
    counts.iter().map(told).collect()
}

/// `tenant meter records quantity` of all tenants, by the meters of now.
async fn totals(snapshot: &mut LedgerSnapshot, range: Window) -> Vec<String> {
    snapshot.know(&meters());
    let totals = snapshot.totals(&meters(), range, ["", "~"]).await.unwrap();
    let told = |tenant: &str, meter: &str, total: UsageTotal| {
        format!("{tenant} {meter} {} {}", total.records, total.quantity)
    };
    let all = totals.iter().flat_map(|(tenant, by_meter)| {
        by_meter.iter().map(move |(meter, usage)| told(tenant, meter, usage.billable))
    });
    all.collect()
}

/// Each with what an import says of it: tenant, id, meter, quantity, time, result, source, properties.
const BAD: [(&str, &str); 27] = [
    ("NULL, 'n1', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", " calls missing_field"),
    ("'', 'n2', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", " calls missing_field"),
    ("'acme', NULL, 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calls missing_field"),
    ("'acme', '', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calls missing_field"),
    ("'acme', 'n5', NULL, 1, '2026-10-05Z', NULL, NULL, NULL", "acme  missing_field"),
    ("'acme', 'n6', 'calls', NULL, '2026-10-05Z', NULL, NULL, NULL", "acme calls missing_field"),
    ("'acme', 'n7', 'calls', 1, NULL, NULL, NULL, NULL", "acme calls missing_field"),
    ("'acme', E'a\\tb', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_text"),
    ("'acme', E'a\\u0085b', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_text"),
    ("'acme', repeat('x', 256), 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_text"),
    ("'acme', 'b4', 'calls', 1, '2026-10-05Z', E'\\x7f', NULL, NULL", "acme calls bad_text"),
    ("E'a\\x1b[2J', 'b5', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "a\u{fffd}[2J calls bad_text"),
    ("'acme', 'q1', 'calls', 'NaN', '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_quantity"),
    ("'acme', 'q2', 'calls', 1000000000000000, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_quantity"),
    ("'acme', 'q3', 'calls', -1000000000000000, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_quantity"),
    ("'acme', 'q4', 'calls', 0.0000000000001, '2026-10-05Z', NULL, NULL, NULL", "acme calls bad_quantity"),
    ("'acme', 'm1', 'calls', 1, '2026-10-05Z', NULL, NULL, '[1]'", "acme calls malformed"),
    ("'acme', 's1', 'calls', -1, '2026-10-05Z', NULL, NULL, NULL", "acme calls negative"),
    (
        "'acme', 's2', 'calls', -1, '2026-10-05Z', NULL, NULL, '{\"kind\": \"correction\"}'",
        "acme calls negative",
    ),
    (
        "'acme', 's3', 'calls', -1, '2026-10-05Z', NULL, NULL, '{\"kind\": \"correction\", \"corrects\": \"not there\"}'",
        "acme calls negative",
    ),
    (
        "'acme', 's4', 'calls', -1, '2026-10-05Z', NULL, NULL, '{\"kind\": \"correction\", \"corrects\": \"s4\"}'",
        "acme calls negative",
    ),
    (
        "'acme', 's5', 'devices', -1, '2026-10-05Z', NULL, NULL, '{\"kind\": \"correction\", \"corrects\": \"good\"}'",
        "acme devices negative",
    ),
    ("'acme', 't1', 'calls', 1, '1999-12-31 23:59:59Z', NULL, NULL, NULL", "acme calls bad_timestamp"),
    ("'acme', 't2', 'calls', 1, '-infinity', NULL, NULL, NULL", "acme calls bad_timestamp"),
    ("'acme', 't3', 'calls', 1, 'infinity', NULL, NULL, NULL", "acme calls bad_timestamp"),
    ("'acme', 'u1', 'calsl', 1, '2026-10-05Z', NULL, NULL, NULL", "acme calsl unknown_meter"),
    ("'acne', 'u2', 'calls', 1, '2026-10-05Z', NULL, NULL, NULL", "acne calls unknown_tenant"),
];

const GOOD: [&str; 4] = [
    "'acme', 'good', 'calls', 5.50, '2026-10-05Z', NULL, NULL, NULL",
    "'acme', 'back', 'calls', -1.500000000001, '2026-10-06Z', NULL, NULL, '{\"kind\": \"correction\", \"corrects\": \"good\"}'",
    "'beta', 'good', 'calls', 999999999999999.999999999999, '2026-10-05Z', 'ı', 'İ', '{\"a\": {\"b\": 1}}'",
    "'acme', 'dev', 'devices', 3, '2026-10-05Z', NULL, NULL, NULL",
];

#[test]
fn a_row_that_no_import_would_take_is_in_no_total_and_is_counted_with_the_same_reason() {
    on_own(async |store, side| {
        let own = side.own.as_ref().unwrap();
        let fits = |row: &&str| {
            own.shape != Shape::Keyed || !row.contains("NULL, 'n1'") && !row.contains("'acme', NULL")
        };
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for row in GOOD.into_iter().chain(BAD.map(|(row, _)| row)).filter(fits) {
            own.run(&own.statement(row)).await;
        }
        for (_, told) in BAD.iter().filter(|(row, _)| fits(row)) {
            *expected.entry(told).or_default() += 1;
        }
        let mut snapshot = store.clone().at(now()).ledger().snapshot().await.unwrap();
        let totals = totals(&mut snapshot, october()).await;
        // Nobody asks for those of a tenant that is none.
        let totals: Vec<_> = totals.iter().filter(|one| !one.starts_with("acne")).collect();
        let billed =
            ["acme calls 2 3.999999999999", "acme devices 1 3", "beta calls 1 999999999999999.999999999999"];
        assert_eq!(totals, billed);
        let expected: Vec<String> =
            expected.iter().map(|(told, records)| format!("{told} {records}")).collect();
        assert_eq!(set_aside(&mut snapshot).await, expected);
    });
}

#[test]
fn a_row_of_the_future_waits_until_its_time_has_come() {
    on_own(async |store, side| {
        let own = side.own.as_ref().unwrap();
        for row in [
            "'acme', 'a', 'calls', 1, '2026-10-31 10:05:00Z'",
            "'acme', 'b', 'calls', 10, '2026-10-31 10:05:00.000001Z'",
        ] {
            own.run(&own.statement(&format!("{row}, NULL, NULL, NULL"))).await;
        }
        let at = |instant: &str| store.clone().at(instant.parse().unwrap()).ledger();
        let mut early = at("2026-10-31T10:00:00Z").snapshot().await.unwrap();
        assert_eq!(totals(&mut early, october()).await, ["acme calls 1 1"]);
        assert_eq!(set_aside(&mut early).await, ["acme calls future 1"]);
        let mut later = at("2026-10-31T10:00:00.000001Z").snapshot().await.unwrap();
        assert_eq!(totals(&mut later, october()).await, ["acme calls 2 11"]);
        assert_eq!(set_aside(&mut later).await, [""; 0]);
    });
}

#[test]
fn a_copy_counts_once_and_an_id_with_two_contents_counts_not_at_all() {
    on_own(async |store, side| {
        let own = side.own.as_ref().unwrap();
        if own.shape == Shape::Keyed {
            return;
        }
        for row in [
            "'acme', 'one', 'calls', 1, '2026-10-05Z', NULL, NULL, '{\"a\": 1}'",
            "'acme', 'one', 'calls', 1.0, '2026-10-05Z', '', NULL, '{\"a\": 1}'",
            "'acme', 'two', 'calls', 10, '2026-10-05Z', NULL, NULL, NULL",
            "'acme', 'two', 'calls', 11, '2026-10-05Z', NULL, NULL, NULL",
            // The other content lies in another month.
            "'acme', 'three', 'calls', 100, '2026-10-05Z', NULL, NULL, NULL",
            "'acme', 'three', 'calls', 100, '2025-01-05Z', NULL, NULL, NULL",
            // A row that is none reserves no id, and ids are those of a tenant.
            "'acme', 'four', 'calls', 1000, '2026-10-05Z', NULL, NULL, NULL",
            "'acme', 'four', 'calls', 'NaN', '2026-10-05Z', NULL, NULL, NULL",
            "'beta', 'four', 'calls', 7, '2026-10-05Z', NULL, NULL, NULL",
        ] {
            own.run(&own.statement(row)).await;
        }
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        assert_eq!(totals(&mut snapshot, october()).await, ["acme calls 2 1001", "beta calls 1 7"]);
        assert_eq!(set_aside(&mut snapshot).await, ["acme calls bad_quantity 1", "acme calls conflict 3"]);
    });
}

#[test]
fn a_range_of_time_is_half_open_to_the_microsecond_and_bounds_between_two_of_them_cut_neither() {
    on_own(async |store, side| {
        let of = |id: &str, quantity: &str, instant: &str| record("acme", id, quantity, instant);
        let records = [
            of("before", "1", "2026-09-30T23:59:59.999999Z"),
            of("first", "10", "2026-10-01T00:00:00Z"),
            of("last", "100", "2026-10-31T23:59:59.999999Z"),
            of("after", "1000", "2026-11-01T00:00:00Z"),
        ];
        side.add(&store, &records).await;
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        for (start, end, sum) in [
            ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", Some("2 110")),
            ("2026-09-30T23:59:59.999999001Z", "2026-10-31T23:59:59.999999001Z", Some("2 110")),
            ("2026-09-30T23:59:59.999999Z", "2026-10-31T23:59:59.999999Z", Some("2 11")),
            ("2026-10-01T00:00:00.000000001Z", "2026-10-31T23:59:59.999998999Z", None),
            ("-009998-01-01T00:00:00Z", "9999-01-01T00:00:00Z", Some("4 1111")),
        ] {
            let expected: Vec<String> = sum.map(|sum| format!("acme calls {sum}")).into_iter().collect();
            assert_eq!(totals(&mut snapshot, window(start, end)).await, expected, "{start}");
        }
        let arrived = |day: &str| {
            let start: jiff::Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
            Window { start, end: start + jiff::SignedDuration::from_hours(24) }
        };
        let near = window("2026-10-01T12:00:00Z", "2026-11-01T00:00:00Z");
        let arrivals = snapshot.arrivals(Some(near)).await.unwrap();
        assert_eq!((arrivals.within(near), arrivals.reach(near)), (2, true));
        assert!(!arrivals.reach(arrived("2026-09-30")) && arrivals.is_partial());
        assert_eq!(arrivals.within(arrived("2026-10-31")), 1);
    });
}

#[test]
fn tenants_of_an_own_ledger_are_paged_by_the_bytes_of_their_ids() {
    let by_bytes = ["I", "Z", "a", "i", "i\u{307}", "~", "ä", "İ", "ı", "😀"];
    let turkish = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' ENCODING 'UTF8'";
    let case = async |store: Store, own: OwnTable| {
        own.add_records(&by_bytes.map(|id| record(id, id, "1", "2026-10-10T12:00:00Z")), now()).await;
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        for (from, first) in by_bytes.iter().enumerate() {
            for (to, last) in by_bytes.iter().enumerate() {
                let found = snapshot.totals(&meters(), october(), [first, last]).await.unwrap();
                let ids: Vec<&str> = found.keys().map(String::as_str).collect();
                assert_eq!(ids, by_bytes.get(from..=to).unwrap_or_default(), "from {first} to {last}");
            }
        }
        let page = ["I", "i", "ı"];
        let found = snapshot.totals_of(&meters(), october(), &page).await.unwrap();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), page);
    };
    for shape in [Shape::Keyed, Shape::View] {
        let (workspace, apart) = (Workspace::new(Engine::Sqlite), TestDatabase::create(turkish));
        apart.alter("ALTER DATABASE {} SET timezone TO 'Asia/Kathmandu'");
        apart.alter("ALTER DATABASE {} SET datestyle TO 'German, DMY'");
        apart.alter("ALTER DATABASE {} SET standard_conforming_strings TO off");
        let own = OwnTable::create(&apart.url(), shape);
        block_on(async {
            let store = Side::of(Engine::Sqlite, &workspace).open().await;
            let store = own.under(store, false);
            case(store.clone(), own).await;
            store.close().await;
        });
    }
}

#[test]
fn nothing_is_ever_written_to_an_own_ledger() {
    on_own(async |store, _| {
        let refused = store.ledger().begin().await.err().unwrap();
        assert!(matches!(refused, StoreError::OwnLedger(_)), "{refused}");
    });
}

/// A table by SQL, and a mapping of its five columns `t, i, m, q, a`.
fn plain(database: &TestDatabase, ddl: &str) -> OwnLedger {
    rows(&database.url(), ddl);
    let mut ledger = OwnTable { url: database.url(), shape: Shape::Loose }.ledger(false);
    ledger.table = TableName { schema: None, name: "u".to_owned() };
    let columns = &mut ledger.columns;
    let names = ["t", "i", "m", "q", "a"].map(str::to_owned);
    [columns.tenant_id, columns.source_event_id, columns.meter, columns.quantity, columns.occurred_at] =
        names;
    (columns.recorded_at, columns.outcome, columns.source, columns.properties) = (None, None, None, None);
    ledger
}

/// What the first look at it says.
fn refused(ledger: OwnLedger) -> StoreError {
    let workspace = Workspace::new(Engine::Sqlite);
    block_on(async {
        let books = Database::parse(&workspace.url, std::path::Path::new("")).unwrap();
        let store = Store::open(&books, Access::ReadOnly).await.unwrap().with_own_ledger(ledger);
        let refused = match store.ledger().snapshot().await {
            Err(error) => error,
            Ok(mut snapshot) => snapshot.totals(&meters(), october(), ["", "~"]).await.unwrap_err(),
        };
        store.close().await;
        refused
    })
}

#[test]
fn a_column_that_cannot_be_read_exactly_is_refused_with_the_way_out() {
    for (types, words) in [
        (
            "t text, i text, m text, q float8, a timestamptz",
            ["column `q` (ledger.columns.quantity)", "binary float", "numeric"],
        ),
        ("t text, i text, m text, q real, a timestamptz", ["column `q`", "binary float", "round("]),
        ("t text, i text, m text, q money, a timestamptz", ["column `q`", "money", "numeric"]),
        (
            "t text, i text, m text, q numeric, a timestamp",
            ["column `a` (ledger.columns.occurred_at)", "which instant", "AT TIME ZONE"],
        ),
        ("t text, i text, m text, q numeric, a date", ["column `a`", "which instant", "timestamptz"]),
        ("t text, i text, m text, q numeric, a bigint", ["column `a`", "numbers", "to_timestamp(a)"]),
        ("t bytea, i text, m text, q numeric, a timestamptz", ["column `t`", "bytea", "uuid"]),
        (
            "t text, \"I\" text, m text, q numeric, a timestamptz",
            ["column `i`", "is not there", "There are: I, a, m, q, t"],
        ),
    ] {
        let database = TestDatabase::empty();
        let error = refused(plain(&database, &format!("CREATE TABLE u ({types})")));
        let text = error.to_string();
        assert!(matches!(error, StoreError::OwnLedger(_)), "{text}");
        assert!(text.contains("u: its column") && words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_table_that_is_not_there_or_is_none_is_refused() {
    let database = TestDatabase::empty();
    let missing = OwnLedger {
        table: TableName { schema: Some("no".to_owned()), name: "a\"b".to_owned() },
        ..plain(&database, "CREATE SEQUENCE u")
    };
    assert!(refused(missing).to_string().contains("no.a\"b: there is no such table or view"));
    let none = OwnTable { url: database.url(), shape: Shape::Loose };
    let sequence =
        OwnLedger { table: TableName { schema: None, name: "u".to_owned() }, ..none.ledger(false) };
    assert!(refused(sequence).to_string().contains("neither a table nor a view"));
    let mut nameless = none.ledger(false);
    nameless.columns.meter = "a\nb".to_owned();
    assert!(
        refused(nameless)
            .to_string()
            .contains("ledger.columns.meter: the name `a\u{fffd}b` holds a control character")
    );
}

/// Ids as numbers, UUIDs, domains and enums, quantities as whole numbers and as text: each is read for what it says.
#[test]
fn columns_of_many_types_say_the_same() {
    let tenant = "0191d3a0-7a5c-7f00-8000-000000000001";
    for (ddl, values, tenant) in [
        ("t uuid, i bigint PRIMARY KEY, m kind, q int, a timestamptz", ("1", "2"), tenant),
        ("t int, i uuid, m name_of, q text, a moment", ("'1.50'", "'1e1'"), "42"),
        ("t name_of, i smallint, m varchar(9), q bigint, a timestamptz", ("1", "2"), "acme"),
    ] {
        let database = TestDatabase::empty();
        rows(&database.url(), "CREATE TYPE kind AS ENUM ('calls')");
        rows(&database.url(), "CREATE DOMAIN name_of AS text");
        rows(&database.url(), "CREATE DOMAIN moment AS timestamptz");
        let ledger = plain(&database, &format!("CREATE TABLE u ({ddl})"));
        let ids =
            if ddl.contains("i uuid") { [tenant_uuid(1), tenant_uuid(2)] } else { ["1".into(), "2".into()] };
        for (id, quantity) in ids.iter().zip([values.0, values.1]) {
            rows(
                &database.url(),
                &format!("INSERT INTO u VALUES ('{tenant}', '{id}', 'calls', {quantity}, '2026-10-05Z')"),
            );
        }
        let workspace = Workspace::new(Engine::Sqlite);
        let expected = if ddl.contains("q text") { "11.5" } else { "3" };
        block_on(async {
            let store = Side::of(Engine::Sqlite, &workspace).open().await.with_own_ledger(ledger);
            let mut snapshot = store.ledger().snapshot().await.unwrap();
            // Ids that are none of the column's type belong to nobody.
            let mut page = ["007", "no uuid", tenant];
            page.sort_unstable();
            let found = snapshot.totals_of(&meters(), october(), &page).await.unwrap();
            assert_eq!(found[tenant]["calls"].billable.quantity.to_string(), expected, "{ddl}");
            assert_eq!(snapshot.records(october(), tenant, "calls").await.unwrap().len(), 2);
            store.close().await;
        });
    }
}

fn tenant_uuid(number: u8) -> String {
    format!("0191d3a0-7a5c-7f00-8000-00000000000{number}")
}

#[test]
fn text_that_is_no_decimal_is_set_aside_whatever_it_is() {
    let database = TestDatabase::empty();
    let ledger = plain(&database, "CREATE TABLE u (t text, i text, m text, q text, a timestamptz)");
    let bad = ["", "x", "1,5", "1.", ".5", "0x10", "1e999999", "1e-13", "NaN", "Infinity", "१", "1 ", "1e15"];
    for (number, text) in bad.iter().chain(&["1.50", "+2", "1e2", "0.000000000001"]).enumerate() {
        rows(
            &database.url(),
            &format!("INSERT INTO u VALUES ('acme', 'i{number}', 'calls', '{text}', '2026-10-05Z')"),
        );
    }
    let workspace = Workspace::new(Engine::Sqlite);
    block_on(async {
        let store = Side::of(Engine::Sqlite, &workspace).open().await.with_own_ledger(ledger);
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        assert_eq!(totals(&mut snapshot, october()).await, ["acme calls 4 103.500000000001"]);
        let expected = ["acme calls bad_quantity 12", "acme calls missing_field 1"];
        assert_eq!(set_aside(&mut snapshot).await, expected);
        store.close().await;
    });
}
