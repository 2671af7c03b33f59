//! Aggregation: how the records of one tenant and meter become one number.
//!
//! In: records one by one in any order, or the sums that a database made of them. Out: a [`MeterUsage`]. Never depends on
//! the order of the records, never loses one: each is billable or excluded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::{Aggregation, Meter};
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::usage::UsageTotal;

/// What the ledger holds of one tenant and meter in a range of time. Its units are those of the meter: quantities, or for
/// `count` one for each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterUsage {
    pub billable: UsageTotal,
    /// What the meter's billable rule leaves out.
    pub excluded: UsageTotal,
    /// Units that corrections took back, without their sign.
    pub taken_back: QuantitySum,
    /// `max` and `last` only: the readings that count, one, or one per source, with their sum.
    pub readings: Option<UsageTotal>,
}

impl MeterUsage {
    /// All records with their units, whether they count or not.
    pub fn all(&self) -> Result<UsageTotal, NumberError> {
        self.billable.checked_add(self.excluded)
    }
}

/// Sums that a database made over records of a meter without a rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub all: UsageTotal,
    /// Those with a negative quantity.
    pub negative: UsageTotal,
}

impl Sums {
    /// For `sum` and `count`.
    pub fn usage(self, aggregation: Aggregation) -> Result<MeterUsage, NumberError> {
        let Self { all, negative } = self;
        let (quantity, taken_back) = match aggregation {
            Aggregation::Count => {
                let of = |records: u64| QuantitySum::from_parts(records.into(), 0);
                let taken_back = of(negative.records)?;
                (of(all.records)?.checked_sub(taken_back)?.checked_sub(taken_back)?, taken_back)
            }
            Aggregation::Sum | Aggregation::Max | Aggregation::Last => {
                (all.quantity, QuantitySum::ZERO.checked_sub(negative.quantity)?)
            }
        };
        let billable = UsageTotal { records: all.records, quantity };
        Ok(MeterUsage { billable, taken_back, ..MeterUsage::default() })
    }
}

/// One record of the ledger as far as aggregation looks at it.
#[derive(Clone, Debug)]
pub struct Reading {
    pub source_event_id: String,
    pub quantity: Quantity,
    pub occurred_at: Timestamp,
    pub outcome: String,
    pub source: String,
    pub properties: BTreeMap<String, String>,
}

/// Aggregates one tenant's records of one meter.
pub struct Tally<'a> {
    meter: &'a Meter,
    usage: MeterUsage,
    /// By source, or all under no source: the reading that counts so far.
    counted: BTreeMap<String, Counted>,
}

/// In the order in which the newest comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    occurred_at: Timestamp,
    source_event_id: String,
    quantity: Quantity,
}

impl<'a> Tally<'a> {
    pub fn new(meter: &'a Meter) -> Self {
        Self { meter, usage: MeterUsage::default(), counted: BTreeMap::new() }
    }

    pub fn add(&mut self, reading: Reading) -> Result<(), NumberError> {
        let units = match self.meter.aggregation {
            Aggregation::Count if reading.quantity.is_negative() => {
                Quantity::ZERO.checked_sub(Quantity::whole(1)?)?
            }
            Aggregation::Count => Quantity::whole(1)?,
            Aggregation::Sum | Aggregation::Max | Aggregation::Last => reading.quantity,
        };
        let one = UsageTotal { records: 1, quantity: units.into() };
        if !self.meter.rule.admits(&reading.outcome, &reading.properties) {
            self.usage.excluded = self.usage.excluded.checked_add(one)?;
            return Ok(());
        }
        self.usage.billable = self.usage.billable.checked_add(one)?;
        if units.is_negative() {
            self.usage.taken_back = self.usage.taken_back.checked_sub(units)?;
        }
        if self.meter.aggregation.is_gauge() {
            self.count(reading);
        }
        Ok(())
    }

    /// The ids of the readings that count so far.
    pub fn counted_ids(&self) -> BTreeSet<String> {
        self.counted.values().map(|counted| counted.source_event_id.clone()).collect()
    }

    pub fn finish(self) -> Result<MeterUsage, NumberError> {
        if !self.meter.aggregation.is_gauge() {
            return Ok(self.usage);
        }
        let mut readings = UsageTotal::default();
        for counted in self.counted.values() {
            let one = UsageTotal { records: 1, quantity: counted.quantity.into() };
            readings = readings.checked_add(one)?;
        }
        Ok(MeterUsage { readings: Some(readings), ..self.usage })
    }

    fn count(&mut self, reading: Reading) {
        let Reading { source_event_id, quantity, occurred_at, source, .. } = reading;
        let source = if self.meter.per_source { source } else { String::new() };
        let new = Counted { occurred_at, source_event_id, quantity };
        let wins = |old: &Counted| match self.meter.aggregation {
            Aggregation::Max => (new.quantity, &new) > (old.quantity, old),
            Aggregation::Last | Aggregation::Sum | Aggregation::Count => new > *old,
        };
        if self.counted.get(&source).is_none_or(wins) {
            self.counted.insert(source, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rule::Rule;

    fn meter(aggregation: Aggregation, per_source: bool, rule: &[&str]) -> Meter {
        let conditions: Vec<String> = rule.iter().map(|&text| text.to_owned()).collect();
        Meter {
            key: "m".into(),
            aggregation,
            per_source,
            rule: Rule::parse(&conditions).unwrap(),
            event_name: "m".into(),
        }
    }

    /// `source id second quantity`.
    fn reading(text: &str) -> Reading {
        let parts: Vec<&str> = text.split_whitespace().collect();
        Reading {
            source: parts[0].to_owned(),
            source_event_id: parts[1].to_owned(),
            occurred_at: Timestamp::from_second(parts[2].parse().unwrap()).unwrap(),
            quantity: Quantity::parse(parts[3]).unwrap(),
            outcome: "success".to_owned(),
            properties: BTreeMap::new(),
        }
    }

    fn tally(meter: &Meter, readings: Vec<Reading>) -> MeterUsage {
        let mut tally = Tally::new(meter);
        for one in readings {
            tally.add(one).unwrap();
        }
        tally.finish().unwrap()
    }

    fn counted(aggregation: Aggregation, per_source: bool, readings: &[&str]) -> (u64, String) {
        let usage =
            tally(&meter(aggregation, per_source, &[]), readings.iter().map(|text| reading(text)).collect());
        let readings = usage.readings.unwrap();
        (readings.records, readings.quantity.to_string())
    }

    const TWO_CLUSTERS: [&str; 5] =
        ["east a 10 5", "east b 20 3", "west c 15 4", "west d 15 9", "west e 12 7.5"];

    #[test]
    fn a_gauge_counts_its_highest_or_newest_reading_and_with_per_source_one_of_each_source() {
        assert_eq!(counted(Aggregation::Max, false, &TWO_CLUSTERS), (1, "9".into()));
        assert_eq!(counted(Aggregation::Max, true, &TWO_CLUSTERS), (2, "14".into()));
        assert_eq!(counted(Aggregation::Last, false, &TWO_CLUSTERS), (1, "3".into()));
        assert_eq!(counted(Aggregation::Last, true, &TWO_CLUSTERS), (2, "12".into()));
    }

    #[test]
    fn of_two_newest_readings_at_one_instant_the_greater_id_counts() {
        assert_eq!(counted(Aggregation::Last, false, &["x a2 7 1", "x a10 7 2", "x a1 7 3"]).1, "1");
    }

    #[test]
    fn a_count_takes_a_record_back_for_each_negative_one() {
        let readings = ["x a 1 5", "x b 2 0", "x c 3 -5"].map(reading).to_vec();
        let usage = tally(&meter(Aggregation::Count, false, &[]), readings);
        assert_eq!((usage.billable.records, usage.billable.quantity.to_string()), (3, "1".into()));
        assert_eq!(usage.taken_back.to_string(), "1");
    }

    #[test]
    fn what_the_rule_leaves_out_is_counted_apart() {
        let mut failed = reading("x b 2 2.5");
        failed.outcome = "failure".to_owned();
        let usage =
            tally(&meter(Aggregation::Sum, false, &["outcome = success"]), vec![reading("x a 1 4"), failed]);
        assert_eq!((usage.billable.records, usage.billable.quantity.to_string()), (1, "4".into()));
        assert_eq!((usage.excluded.records, usage.excluded.quantity.to_string()), (1, "2.5".into()));
    }

    fn any_readings() -> impl Strategy<Value = Vec<Reading>> {
        let one = (0u8..3, 0i64..20, -500i64..5_000);
        prop::collection::vec(one, 0..40).prop_map(|all| {
            let text = |(id, (source, second, tenths)): (usize, (u8, i64, i64))| {
                let sign = if tenths < 0 { "-" } else { "" };
                reading(&format!(
                    "s{source} e{id} {second} {sign}{}.{}",
                    tenths.abs() / 10,
                    tenths.abs() % 10
                ))
            };
            all.into_iter().enumerate().map(text).collect()
        })
    }

    proptest! {
        #[test]
        fn the_order_of_the_records_never_matters(readings in any_readings(), turn in 0usize..40, per_source: bool) {
            for aggregation in Aggregation::ALL {
                let meter = meter(aggregation, per_source, &[]);
                let mut turned = readings.clone();
                turned.rotate_left(turn.min(readings.len()));
                turned.reverse();
                prop_assert_eq!(tally(&meter, readings.clone()), tally(&meter, turned));
            }
        }

        #[test]
        fn the_sums_of_a_database_say_the_same_as_the_records(readings in any_readings()) {
            let add = |sum: UsageTotal, one: &Reading| sum.checked_add(UsageTotal { records: 1, quantity: one.quantity.into() }).unwrap();
            let all = readings.iter().fold(UsageTotal::default(), add);
            let negative = readings.iter().filter(|one| one.quantity.is_negative()).fold(UsageTotal::default(), add);
            for aggregation in [Aggregation::Sum, Aggregation::Count] {
                let of_records = tally(&meter(aggregation, false, &[]), readings.clone());
                prop_assert_eq!(Sums { all, negative }.usage(aggregation).unwrap(), of_records);
            }
        }
    }
}
