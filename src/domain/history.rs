//! History: what a tenant usually uses of a meter, and jumps against it.
//!
//! In: closed windows before a period, each with the catalog that it closed with. Out: means, exact, and [`Jump`]s. Only
//! closed figures count: what came late to them does not. Never another tenant's figures, and never a division before a
//! comparison.

use std::collections::BTreeMap;

use crate::domain::catalog::{Catalog, PlanId};
use crate::domain::figures::{SegmentUsage, Stretch, WindowFigures, WindowStatus};
use crate::domain::number::QuantitySum;
use crate::domain::period::{Interval, Period, Window};
use crate::domain::ratio::Ratio;

/// As many windows before this one are looked at: half a year of months, in which a season does not count yet.
pub const WINDOWS: usize = 6;
/// Fewer of them say nothing: after two windows everything is new.
const ENOUGH: u64 = 3;
/// A jump is at least so many times the mean, or at most that part of it. A good month or a holiday makes less.
const FACTOR: u64 = 3;

/// A closed window as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastWindow {
    pub tenant_id: String,
    pub window: Window,
    pub catalog_hash: String,
    pub stretches: Vec<Stretch>,
    /// By meter, as far as it was billed for; of a gauge, what it stood at.
    pub used: BTreeMap<String, QuantitySum>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    Up,
    Down,
}

impl Jump {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Whether a value is one. Where nothing was ever used, anything is.
    fn of(value: Ratio, mean: Ratio) -> Option<Self> {
        let (nothing, factor) = (Ratio::whole(0), Ratio::whole(FACTOR));
        if mean == nothing {
            return (value > nothing).then_some(Self::Up);
        }
        if value >= mean.checked_times(factor)? {
            return Some(Self::Up);
        }
        (value.checked_times(factor)? <= mean).then_some(Self::Down)
    }
}

/// What is known of a tenant and meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// How many windows stand behind the mean.
    pub windows: u64,
    sum: QuantitySum,
}

impl Past {
    /// `None`: there are too few windows.
    pub fn mean(self) -> Option<Ratio> {
        if self.windows < ENOUGH { None } else { Ratio::mean(self.sum, self.windows) }
    }

    pub fn jump(self, value: Ratio) -> Option<Jump> {
        Jump::of(value, self.mean()?)
    }
}

/// By tenant, interval and meter.
#[derive(Debug, Default)]
pub struct History(BTreeMap<(String, Interval, String), Past>);

/// The labels whose windows are history for a period: six windows back, months or years.
pub fn labels(period: Period, interval: Interval) -> [Period; WINDOWS] {
    let step = |label: Period| (0..interval.months()).fold(label, |label, _| label.previous());
    let mut label = period;
    [(); WINDOWS].map(|()| {
        label = step(label);
        label
    })
}

impl History {
    /// Only whole windows on one plan count, and only for the meters that the plan sold then. Windows whose catalog cannot be
    /// read say nothing. `past`: the windows of [`labels`] by their interval, a tenant's newest first; what is of another
    /// interval is left out.
    pub fn new<'a>(
        past: impl IntoIterator<Item = (Interval, &'a PastWindow)>,
        catalog_of: impl Fn(&str) -> Option<&'a Catalog>,
    ) -> Self {
        let mut history = Self::default();
        for (interval, one) in past {
            let plan = whole(&one.stretches, one.window).filter(|plan| plan.interval == interval);
            let plan = plan.and_then(|plan| catalog_of(&one.catalog_hash)?.plans.get(plan));
            for meter in plan.iter().flat_map(|plan| plan.usage.keys()) {
                history.add(one, interval, meter);
            }
        }
        history
    }

    pub fn of(&self, tenant_id: &str, interval: Interval, meter: &str) -> Past {
        self.0.get(&(tenant_id.to_owned(), interval, meter.to_owned())).copied().unwrap_or_default()
    }

    fn add(&mut self, one: &PastWindow, interval: Interval, meter: &str) {
        let past = self.0.entry((one.tenant_id.clone(), interval, meter.to_owned())).or_default();
        let used = one.used.get(meter).copied().unwrap_or_default();
        // Closed figures are below 10¹⁸ each, so the sum fits. After a change of the anchor a label may have two windows.
        if past.windows < WINDOWS as u64
            && let Ok(sum) = past.sum.checked_add(used)
        {
            *past = Past { windows: past.windows + 1, sum };
        }
    }
}

/// The plan that a window was on from its first instant to its last, invoiced.
pub fn whole(stretches: &[Stretch], window: Window) -> Option<&PlanId> {
    let [Stretch { range, plan, invoiced: true }] = stretches else { return None };
    plan.as_ref().filter(|_| *range == window)
}

/// What a window that closes has used of a meter, where that is a jump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jumped<'a> {
    pub window: &'a WindowFigures,
    pub plan: &'a PlanId,
    pub meter: &'a str,
    pub records: u64,
    pub used: QuantitySum,
    pub jump: Jump,
    pub mean: Ratio,
    pub windows: u64,
}

/// The jumps of a window that closes. A trial is no window to compare.
pub fn jumps<'a>(window: &'a WindowFigures, catalog: &'a Catalog, history: &History) -> Vec<Jumped<'a>> {
    if window.status != WindowStatus::Closed || window.trial {
        return Vec::new();
    }
    let plan = whole(&window.stretches, window.window).and_then(|plan| catalog.plans.get(plan));
    let meters = plan.into_iter().flat_map(|plan| plan.usage.keys().map(move |meter| (&plan.id, meter)));
    let jumped = |(plan, meter): (&'a PlanId, &'a String)| {
        let usage = window.billable(window.window, meter);
        let used = usage.map_or(QuantitySum::ZERO, SegmentUsage::used);
        let past = history.of(&window.tenant_id, plan.interval, meter);
        let jump = past.jump(Ratio::from(used.to_quantity().ok()?))?;
        let (mean, windows) = (past.mean()?, past.windows);
        let records = usage.map_or(0, |usage| usage.total.records);
        Some(Jumped { window, plan, meter, records, used, jump, mean, windows })
    };
    meters.filter_map(jumped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(windows: u64, sum: &str) -> Past {
        Past { windows, sum: QuantitySum::parse(sum).unwrap() }
    }

    fn jump(past: Past, value: Ratio) -> &'static str {
        past.jump(value).map_or("", Jump::as_str)
    }

    #[test]
    fn a_jump_begins_exactly_at_three_times_the_mean_and_at_a_third_of_it() {
        let third = |numerator| Ratio::new(numerator, 3).unwrap();
        // The mean is 100 / 3.
        for (value, word) in [
            (Ratio::whole(100), "up"),
            (Ratio::new(99_999_999_999_999, 1_000_000_000_000).unwrap(), ""),
            (third(100), ""),
            (Ratio::new(100, 9).unwrap(), "down"),
            (Ratio::new(100_000_000_001, 9_000_000_000).unwrap(), ""),
            (Ratio::whole(0), "down"),
        ] {
            assert_eq!(jump(past(3, "100"), value), word, "{value}");
        }
    }

    #[test]
    fn two_windows_are_no_history_and_a_mean_of_nothing_makes_anything_a_jump_up() {
        assert_eq!(jump(past(2, "2"), Ratio::whole(1_000)), "");
        assert_eq!((past(2, "2").mean(), past(3, "6").mean()), (None, Some(Ratio::whole(2))));
        assert_eq!(jump(past(3, "0"), Ratio::new(1, u128::MAX).unwrap()), "up");
        assert_eq!(jump(past(6, "0"), Ratio::whole(0)), "");
    }

    #[test]
    fn history_is_six_months_or_six_years_back() {
        let period = Period::parse("2026-02").unwrap();
        let text = |interval| labels(period, interval).map(|label| label.to_string());
        assert_eq!(text(Interval::Month), ["2026-01", "2025-12", "2025-11", "2025-10", "2025-09", "2025-08"]);
        assert_eq!(text(Interval::Year), ["2025-02", "2024-02", "2023-02", "2022-02", "2021-02", "2020-02"]);
    }
}
