//! What was planned to be sent, day by day.
//!
//! In: the runs of a period with what each of them planned. Out: a [`PushDay`] for each day and meter.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::controls::Measure;
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::report::Report;

/// The pushes of one UTC day and meter, whatever became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushDay {
    pub day: Date,
    pub meter: String,
    pub pushes: u64,
    /// Usage records that they stand for.
    pub records: u64,
    /// What they add up to; a gauge's readings do not add up to anything.
    pub quantity: QuantitySum,
}

impl PushDay {
    /// From the start of a run, a meter, and the pushes, records and units of both; in any order.
    pub fn of_runs(runs: Vec<(Timestamp, String, u64, u64, QuantitySum)>) -> Result<Vec<Self>, NumberError> {
        let mut days: BTreeMap<(Date, String), Self> = BTreeMap::new();
        for (started_at, meter, pushes, records, quantity) in runs {
            let day = started_at.to_zoned(TimeZone::UTC).date();
            let zero = Self { day, meter: meter.clone(), pushes: 0, records: 0, quantity: QuantitySum::ZERO };
            let sum = days.entry((day, meter)).or_insert(zero);
            sum.pushes = sum.pushes.checked_add(pushes).ok_or(NumberError::Overflow)?;
            sum.records = sum.records.checked_add(records).ok_or(NumberError::Overflow)?;
            sum.quantity = sum.quantity.checked_add(quantity)?;
        }
        Ok(days.into_values().collect())
    }
}

impl Report {
    /// Whether a meter's records are readings, of which one counts.
    pub fn is_gauge(&self, meter: &str) -> bool {
        self.controls.0.get(meter).is_some_and(|measures| measures.contains_key(&Measure::Aggregate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_of_one_day_and_meter_are_added_and_of_two_are_not() {
        let run = |at: &str, meter: &str, units: &str| {
            (at.parse().unwrap(), meter.to_owned(), 1, 2, QuantitySum::parse(units).unwrap())
        };
        let days = PushDay::of_runs(vec![
            run("2026-10-02T00:00:00Z", "a", "1"),
            run("2026-10-01T23:59:59Z", "a", "0.5"),
            run("2026-10-01T00:00:00Z", "a", "0.25"),
            run("2026-10-01T00:00:00Z", "b", "7"),
        ]);
        let told: Vec<String> = days
            .unwrap()
            .iter()
            .map(|one| format!("{} {} {} {} {}", one.day, one.meter, one.pushes, one.records, one.quantity))
            .collect();
        assert_eq!(told, ["2026-10-01 a 2 4 0.75", "2026-10-01 b 1 2 7", "2026-10-02 a 1 2 1"]);
    }
}
