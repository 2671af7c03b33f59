//! Tests of the proofs: sums that do not depend on an order, words for what was changed.

use super::*;
use crate::domain::number::Quantity;
use proptest::prelude::*;

fn record(id: &str, quantity: &str) -> UsageRecord {
    UsageRecord {
        tenant_id: "acme".to_owned(),
        source_event_id: id.to_owned(),
        meter: "calls".to_owned(),
        quantity: Quantity::parse(quantity).unwrap(),
        occurred_at: "2026-10-01T00:00:00Z".parse().unwrap(),
        outcome: String::new(),
        source: String::new(),
        properties: "{}".to_owned(),
    }
}

fn sum(records: &[UsageRecord]) -> RecordSum {
    let mut sum = RecordSum::default();
    for record in records {
        sum.add(record);
    }
    sum
}

#[test]
fn a_sum_is_read_back_as_it_was_written() {
    let one = sum(&[record("a", "1.5")]);
    assert_eq!(RecordSum::parse(&one.records.to_string(), &one.sum()), Some(one));
    for (records, text) in [("1", "12"), ("x", &*one.sum()), ("1", &"z".repeat(64)), ("1", &"+1".repeat(32))]
    {
        assert_eq!(RecordSum::parse(records, text), None);
    }
}

#[test]
fn records_of_a_run_are_read_back_and_a_fault_names_the_table() {
    let mut lines = LinesHash::default();
    lines.add("[\"acme\",\"1\"]");
    let closed = ClosedRecords([("window_lines".to_owned(), lines.clone().finish(2))].into());
    assert_eq!(ClosedRecords::parse(&closed.to_string()), Some(closed.clone()));
    assert_eq!(closed.faults(&closed), []);
    lines.add("[\"acme\",\"2\"]");
    let more = ClosedRecords([("window_lines".to_owned(), lines.finish(2))].into());
    let mut other = LinesHash::default();
    other.add("[\"acme\",\"3\"]");
    let other = ClosedRecords([("window_lines".to_owned(), other.finish(2))].into());
    for (now, words) in [
        (more, "window_lines holds 2 rows of this run, which wrote 1"),
        (other, "window_lines holds a row that was changed"),
        (ClosedRecords::default(), "window_lines is not there"),
    ] {
        assert!(closed.faults(&now)[0].1.starts_with(words), "{:?}", closed.faults(&now));
    }
    for text in ["window_lines:2:1", "window_lines:2:1:a:b", "window_lines:x:1:a"] {
        assert_eq!(ClosedRecords::parse(text), None);
    }
}

#[test]
fn a_row_of_accruals_stands_for_one_window_and_its_amount_for_its_minor_units() {
    let good = [
        ("tenant_id", "acme"),
        ("plan", "pro"),
        ("interval", "month"),
        ("meter", "calls"),
        ("window_start", "2026-09-20T00:00:00Z"),
        ("window_end", "2026-10-20T00:00:00Z"),
        ("accrued_until", "2026-10-01T00:00:00Z"),
        ("records", "1"),
        ("quantity", "120"),
        ("amount_minor", "14000"),
        ("amount", "140.00"),
        ("currency", "try"),
    ];
    let row = |changed: Option<(&'static str, &'static str)>| {
        let mut by_column = BTreeMap::from(good);
        by_column.extend(changed);
        Cells { file: "accruals.csv", line: 2, by_column }
    };
    let mut proof = FilesProof::default();
    assert_eq!(proof.accrual(&row(None)), Ok(()));
    assert_eq!(proof.accrual(&row(None)).unwrap_err().column, "meter");
    for (column, text, named) in [
        ("amount", "140.01", "amount"),
        ("amount_minor", "14001", "amount"),
        ("quantity", "x", "quantity"),
        ("records", "-1", "records"),
        ("accrued_until", "2026-10-20T00:00:00Z", "accrued_until"),
    ] {
        let fault = FilesProof::default().accrual(&row(Some((column, text)))).unwrap_err();
        assert_eq!(fault.column, named, "{fault}");
    }
}

proptest! {
    #[test]
    fn a_sum_of_records_is_the_same_in_any_order_and_another_for_other_records(
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(), changed in 0usize..6, column in 0usize..8,
    ) {
        let records: Vec<UsageRecord> =
            (0..6).map(|number| record(&format!("e-{number}"), &format!("{number}.5"))).collect();
        let shuffled: Vec<UsageRecord> = order.iter().map(|at| records[*at].clone()).collect();
        prop_assert_eq!(sum(&records), sum(&shuffled));
        let (left, right) = records.split_at(changed);
        prop_assert_eq!(sum(left).plus(sum(right)), sum(&records));
        let mut other = records.clone();
        let one = &mut other[changed];
        match column {
            0 => one.tenant_id.push('x'),
            1 => one.source_event_id.push('x'),
            2 => one.meter.push('x'),
            3 => one.quantity = Quantity::parse("7").unwrap(),
            4 => one.occurred_at += jiff::SignedDuration::from_nanos(1),
            5 => one.outcome.push('x'),
            6 => one.source.push('x'),
            _ => one.properties.push('x'),
        }
        prop_assert_ne!(sum(&records), sum(&other));
    }
}
