//! What the records of each kind of meter come to: the same on both databases, in any collation, and the same as a plain
//! walk over the records.
//!
//! In: records of several tenants, sources and outcomes. Out: the usage of each meter. The witness is computed here from
//! texts, in plain integers.

use std::collections::BTreeMap;

use billrecon::domain::aggregation::MeterUsage;
use billrecon::domain::catalog::{Aggregation, Meter};
use billrecon::domain::rule::Rule;
use billrecon::domain::usage::UsageRecord;

use super::ledger::{add, record};
use super::{on_all_and_in_turkish, on_both_and_in_turkish, window};

fn meter(key: &str, aggregation: Aggregation, per_source: bool, rule: &[&str]) -> (String, Meter) {
    let conditions: Vec<String> = rule.iter().map(|&text| text.to_owned()).collect();
    let rule = Rule::parse(&conditions).unwrap();
    (key.to_owned(), Meter { key: key.to_owned(), aggregation, per_source, rule, event_name: key.to_owned() })
}

fn meters() -> BTreeMap<String, Meter> {
    [
        meter("sum", Aggregation::Sum, false, &[]),
        meter("count", Aggregation::Count, false, &[]),
        meter("max", Aggregation::Max, false, &[]),
        meter("max_by_source", Aggregation::Max, true, &[]),
        meter("last", Aggregation::Last, false, &[]),
        meter("last_by_source", Aggregation::Last, true, &[]),
        meter("good", Aggregation::Sum, false, &["outcome = success", "ms >= 5000"]),
        meter("good_count", Aggregation::Count, false, &["ms <= 0.5"]),
    ]
    .into()
}

/// One line: `id source second quantity outcome ms`.
const RECORDS: [&str; 8] = [
    "e1 east 10 5 success 5000",
    "e2 east 20 3.000000000001 success 4999.999999999999",
    "e3 west 20 9.5 failure 6000",
    "e4 west 15 999999999999999.999999999999 success 5e3",
    "I5 west 30 0.000000000001 success -",
    "i5 north 30 7 success 0.5",
    "e6 north 5 0 success 0.500000000001",
    "e7 north 4 1 success 1e-12",
];

fn records(tenant: &str, key: &str) -> Vec<UsageRecord> {
    let parse = |line: &&str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let instant = format!("2026-10-10T12:00:{:0>2}Z", parts[2]);
        let properties =
            if parts[5] == "-" { "{}".to_owned() } else { format!("{{\"ms\":\"{}\"}}", parts[5]) };
        UsageRecord {
            meter: key.to_owned(),
            source: parts[1].to_owned(),
            outcome: parts[4].to_owned(),
            properties,
            ..record(tenant, &format!("{key}/{}", parts[0]), parts[3], &instant)
        }
    };
    RECORDS.iter().map(parse).collect()
}

fn told(usage: &MeterUsage) -> String {
    let total = |total: billrecon::domain::usage::UsageTotal| format!("{}:{}", total.records, total.quantity);
    let readings =
        usage.readings.map_or_else(String::new, |readings| format!(" counted {}", total(readings)));
    format!("{} excluded {}{readings}", total(usage.billable), total(usage.excluded))
}

const SUM: &str = "8:1000000000000025.500000000001";

#[test]
fn each_kind_of_meter_comes_to_the_same_on_both_databases() {
    on_all_and_in_turkish(async |store, side| {
        let meters = meters();
        for tenant in ["acme", "beta"] {
            for key in meters.keys() {
                side.add(&store, &records(tenant, key)).await;
            }
        }
        // Outside of the range, or of a meter that the catalog has forgotten.
        let late =
            UsageRecord { meter: "max".into(), ..record("acme", "late", "77", "2026-11-01T00:00:00Z") };
        let forgotten =
            UsageRecord { meter: "gone".into(), ..record("acme", "gone", "4.5", "2026-10-10T00:00:00Z") };
        side.add(&store, &[late, forgotten]).await;
        let range = window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        let totals = snapshot.totals(&meters, range, ["acme", "beta"]).await.unwrap();
        let expected = [
            ("sum", format!("{SUM} excluded 0:0")),
            ("count", "8:8 excluded 0:0".to_owned()),
            ("max", format!("{SUM} excluded 0:0 counted 1:999999999999999.999999999999")),
            ("max_by_source", format!("{SUM} excluded 0:0 counted 3:1000000000000011.999999999999")),
            // At one instant `i5` is greater than `I5`, by bytes.
            ("last", format!("{SUM} excluded 0:0 counted 1:7")),
            ("last_by_source", format!("{SUM} excluded 0:0 counted 3:10.000000000002")),
            ("good", "2:1000000000000004.999999999999 excluded 6:20.500000000002".to_owned()),
            ("good_count", "2:2 excluded 6:6".to_owned()),
        ];
        for (key, expected) in &expected {
            for tenant in ["acme", "beta"] {
                assert_eq!(told(&totals[tenant][*key]), *expected, "{key}");
            }
        }
        assert_eq!(told(&totals["acme"]["gone"]), "1:4.5 excluded 0:0");
        assert_eq!(totals["beta"].len(), expected.len());
        let only_beta = snapshot.totals(&meters, range, ["b", "c"]).await.unwrap();
        assert_eq!(only_beta.keys().collect::<Vec<_>>(), ["beta"]);
    });
}

#[test]
fn what_corrections_take_back_is_told_beside_the_sum() {
    on_all_and_in_turkish(async |store, side| {
        let meters = meters();
        for key in ["sum", "count"] {
            let of = |id: &str, quantity: &str| UsageRecord {
                meter: key.to_owned(),
                // An own ledger takes back only what corrects a record.
                properties: format!("{{\"corrects\":\"{key}/a\",\"kind\":\"correction\"}}"),
                ..record("acme", &format!("{key}/{id}"), quantity, "2026-10-10T00:00:00Z")
            };
            side.add(&store, &[of("a", "10"), of("b", "-2.5"), of("c", "-0.000000000001"), of("d", "1")])
                .await;
        }
        let range = window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let mut snapshot = store.ledger().snapshot().await.unwrap();
        let totals = snapshot.totals(&meters, range, ["acme", "acme"]).await.unwrap();
        let of = |key: &str| {
            let usage = totals["acme"][key];
            (usage.billable.records, usage.billable.quantity.to_string(), usage.taken_back.to_string())
        };
        assert_eq!(of("sum"), (4, "8.499999999999".into(), "2.500000000001".into()));
        assert_eq!(of("count"), (4, "0".into(), "2".into()));
    });
}

#[test]
fn a_correction_is_founded_on_a_record_of_its_own_tenant_only() {
    on_both_and_in_turkish(async |store, _| {
        add(&store, &[record("acme", "one", "1", "2026-10-10T00:00:00Z")]).await;
        let mut batch = store.ledger().begin().await.unwrap();
        let founded = batch.founded(&[("acme", "one"), ("acme", "two"), ("beta", "one")]).await.unwrap();
        assert_eq!(founded.into_iter().collect::<Vec<_>>(), [("acme".to_owned(), "one".to_owned())]);
        assert!(batch.founded(&[]).await.unwrap().is_empty());
    });
}
