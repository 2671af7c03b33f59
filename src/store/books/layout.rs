//! The layout of a window as text: the time that it accounts for, and its segments and gaps.
//!
//! In: ranges and stretches. Out: the same, to the nanosecond. A text that nobody has written here is an error.

use jiff::Timestamp;

use crate::domain::catalog::PlanId;
use crate::domain::figures::Stretch;
use crate::domain::money::Currency;
use crate::domain::period::{Interval, Window};
use crate::store::books::rules::word;
use crate::store::connection::nanoseconds;
use crate::store::error::StoreError;

/// `start..end start..end`, in nanoseconds.
pub(super) fn ranges_text(ranges: &[Window]) -> String {
    let texts =
        ranges.iter().map(|range| format!("{}..{}", nanoseconds(range.start), nanoseconds(range.end)));
    texts.collect::<Vec<_>>().join(" ")
}

pub(super) fn ranges_of(text: &str) -> Result<Vec<Window>, StoreError> {
    let wrong = || StoreError::inconsistent("the accounted time of a window", text);
    let instant =
        |text: &str| Timestamp::from_nanosecond(text.parse().map_err(|_| wrong())?).map_err(|_| wrong());
    let range = |text: &str| {
        let (start, end) = text.split_once("..").ok_or_else(wrong)?;
        Ok(Window { start: instant(start)?, end: instant(end)? })
    };
    text.split_whitespace().map(range).collect()
}

/// One part a line: `start..end invoiced interval currency plan`, the last three empty in a gap.
pub(super) fn stretches_text(stretches: &[Stretch]) -> String {
    let text = |one: &Stretch| {
        let (range, invoiced) = (ranges_text(&[one.range]), i64::from(one.invoiced));
        let plan = one.plan.as_ref();
        let plan = plan.map(|plan| format!("{} {} {}", plan.interval.as_str(), plan.currency, plan.key));
        format!("{range} {invoiced} {}", plan.unwrap_or_default())
    };
    stretches.iter().map(text).collect::<Vec<_>>().join("\n")
}

pub(super) fn stretches_of(text: &str) -> Result<Vec<Stretch>, StoreError> {
    let wrong = || StoreError::inconsistent("the layout of a window", text);
    let stretch = |line: &str| {
        let mut words = line.splitn(5, ' ');
        let mut next = || words.next().ok_or_else(wrong);
        let range = ranges_of(next()?)?.pop().ok_or_else(wrong)?;
        let invoiced = next()? == "1";
        let interval = next()?;
        let plan = if interval.is_empty() {
            None
        } else {
            let interval = word(interval, Interval::parse)?;
            let currency = Currency::parse(next()?).map_err(|_| wrong())?;
            Some(PlanId { key: next()?.to_owned(), interval, currency })
        };
        Ok(Stretch { range, plan, invoiced })
    };
    text.lines().map(stretch).collect()
}
