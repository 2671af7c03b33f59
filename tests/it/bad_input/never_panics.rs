//! Any bytes at all: the readers of usage, tenants and catalog answer, and never panic.
//!
//! In: arbitrary bytes, and valid files with arbitrary changes. Out: a value or an error, with every judged line in its
//! order, whatever the chunks in which the bytes arrive. Never a record that breaks the ledger's rules.

use std::io::{self, Read};

use billrecon::domain::catalog::{Aggregation, Meter};
use billrecon::domain::rule::Rule;
use billrecon::domain::usage::{Known, UsageRecord};
use billrecon::ingest::usage::{Judge, JudgedLine};
use billrecon::ingest::{catalog, price_lines, tenants};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::support::{CATALOG, TENANTS, USAGE};

const NDJSON: &str = "\
{\"tenant_id\":\"acme\",\"meter\":\"calls\",\"quantity\":1.5,\"occurred_at\":\"2026-09-10T00:00:00Z\",\"source_event_id\":\"1\"}
{\"tenant_id\":\"beta\",\"meter\":\"calls\",\"quantity\":\"2e-3\",\"occurred_at\":\"2026-09-10T00:00:00+03:00\",\"source_event_id\":\"2\",\"x\":[{}]}
";

const PRICES: &str = "\
{\"id\":[1,{}],\"currency\":\"usd\",\"price\":{\"billing_scheme\":\"tiered\",\"tiers_mode\":\"graduated\",\"tiers\":[{\"up_to\":5,\"unit_amount\":1},{\"up_to\":null,\"flat_amount_decimal\":\"0.5\"}]},\"quantity\":7.25}
{\"id\":\"b\",\"price\":{\"currency\":\"jpy\",\"unit_amount_decimal\":\"999999999999999\",\"transform_quantity\":{\"divide_by\":3,\"round\":\"up\"}},\"quantity\":\"999999999999999\"}
";

fn judge() -> Judge {
    let meter = |key: &str| {
        let (aggregation, rule) = (Aggregation::Sum, Rule::default());
        let meter =
            Meter { key: key.to_owned(), aggregation, per_source: false, rule, event_name: key.to_owned() };
        (key.to_owned(), meter)
    };
    Judge {
        known: Known {
            meters: ["b2b.match_request", "storage_gb", "calls"].map(meter).into(),
            tenants: ["acme", "beta", "dodo"].map(str::to_owned).into(),
        },
        zone: TimeZone::get("Europe/Istanbul").unwrap(),
        now: "2026-11-21T00:00:00Z".parse().unwrap(),
        file: "usage".to_owned(),
    }
}

/// What the judge makes of the bytes, as text that can be compared.
fn judged(input: impl Read) -> (Vec<String>, String) {
    let mut lines = Vec::new();
    let mut last = 0;
    let read = judge().read(input, |JudgedLine { number, outcome }| {
        // A lone carriage return ends a record of a CSV file, but not a line.
        assert!(number >= last, "line {number} comes after line {last}");
        last = number;
        if let Ok(judged) = &outcome {
            keeps_the_rules(&judged.record, judged.corrects.is_some());
        }
        lines.push(format!("{number}: {outcome:?}"));
        true
    });
    (lines, read.err().map(|error| error.to_string()).unwrap_or_default())
}

fn keeps_the_rules(record: &UsageRecord, is_correction: bool) {
    for id in [&record.tenant_id, &record.source_event_id, &record.meter] {
        assert!(!id.is_empty() && id.len() <= 255 && !id.chars().any(char::is_control), "{record:?}");
    }
    assert_eq!(record.quantity.is_negative(), is_correction, "{record:?}");
    let year = record.occurred_at.to_zoned(TimeZone::UTC).year();
    assert!((2000..=2026).contains(&year), "{record:?}");
    assert!(serde_json::from_str::<serde_json::Value>(&record.properties).unwrap().is_object(), "{record:?}");
}

/// Hands out at most so many bytes at once, as a pipe may.
struct Dribble<'a> {
    bytes: &'a [u8],
    at_once: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.at_once.min(buffer.len());
        self.bytes.read(&mut buffer[..length])
    }
}

/// A change of some bytes somewhere: what the places hold is replaced by other bytes.
type Change = (prop::sample::Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let special = prop::sample::select(b"\"\\,\n\r\0{}[]:=.-+eE0 \xef\xbb\xbf\xff".to_vec());
    let bytes = prop::collection::vec(prop_oneof![special, any::<u8>()], 0..4);
    prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, bytes), 0..6)
}

fn changed(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, length, new) in changes {
        let start = place.index(bytes.len() + 1);
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, new.iter().copied());
    }
    bytes
}

proptest! {
    #[test]
    fn any_bytes_can_be_read_as_usage(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        judged(&bytes[..]);
        judged(&[b"{", &bytes[..]].concat()[..]);
        judged(&[USAGE.as_bytes(), &bytes].concat()[..]);
    }

    #[test]
    fn a_changed_usage_file_can_be_read_in_any_chunks(changes in changes(), at_once in 1..9usize) {
        for text in [USAGE, NDJSON] {
            let bytes = changed(text, &changes);
            let whole = judged(&bytes[..]);
            prop_assert_eq!(judged(Dribble { bytes: &bytes, at_once }), whole);
        }
    }

    #[test]
    fn any_bytes_can_be_read_as_tenants(
        bytes in prop::collection::vec(any::<u8>(), 0..600), changes in changes()
    ) {
        for file in [bytes, changed(TENANTS, &changes)] {
            let read = tenants::read(&file[..], "tenants", &TimeZone::UTC);
            let lines = file.split(|byte| *byte == b'\n').count();
            prop_assert!(read.map_or(0, |tenants| tenants.len()) <= lines);
        }
    }

    #[test]
    fn any_bytes_can_be_read_as_prices_and_each_line_has_one_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..600), changes in changes()
    ) {
        for file in [bytes, changed(PRICES, &changes)] {
            let expected = file.split(|byte| *byte == b'\n').filter(|line| {
                !line.trim_ascii().is_empty()
            }).count();
            let mut answered = 0;
            price_lines::read(&file[..], "prices", |asked, _| {
                answered += 1;
                // The id goes into the answer as it is, so it must be JSON.
                assert!(serde_json::from_str::<serde_json::Value>(asked.id).is_ok(), "{}", asked.id);
                if let Ok(one) = asked.request {
                    let _rated = one.price.rate(one.quantity, one.currency);
                }
                true
            }).unwrap();
            // A mark of the byte order alone is a line that says nothing.
            prop_assert!(expected - answered <= usize::from(file.starts_with(b"\xef\xbb\xbf")));
        }
    }

    #[test]
    fn any_text_can_be_read_as_a_catalog(text in "\\PC{0,200}", changes in changes()) {
        let _answered = catalog::read(&text, "catalog");
        let bytes = changed(CATALOG, &changes);
        let _answered = catalog::read(&String::from_utf8_lossy(&bytes), "catalog");
    }
}

#[test]
fn a_byte_order_mark_that_arrives_byte_by_byte_is_still_one() {
    for text in [USAGE, NDJSON] {
        let marked = format!("\u{feff}{text}");
        let expected = judged(text.as_bytes());
        assert_eq!(judged(marked.as_bytes()), expected);
        assert_eq!(judged(Dribble { bytes: marked.as_bytes(), at_once: 1 }), expected);
    }
}

#[test]
fn a_file_that_begins_with_many_empty_lines_is_read() {
    let empty_lines = 20_000;
    for text in [USAGE, NDJSON] {
        let file = "\n".repeat(empty_lines) + text;
        let (lines, error) = judged(file.as_bytes());
        assert_eq!((lines.len(), error.as_str()), (judged(text.as_bytes()).0.len(), ""));
    }
}
