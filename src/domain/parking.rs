//! What people have said about tenants: who is held, and what was released.
//!
//! In: holds and releases in force. Out: what they mean for a tenant's window. A hold goes on until a person ends it; a
//! release is for the window or the period that it was given for, and never for another. Never decides who is parked.

use jiff::Timestamp;

use crate::domain::period::{Period, Window};
use crate::domain::tenant::{ParkReason, Remedy};

/// What a person said, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub by: String,
    pub note: String,
    pub at: Timestamp,
}

/// A tenant that a person has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub tenant_id: String,
    /// `None`: every period from then on.
    pub period: Option<Period>,
    pub word: Word,
}

impl Hold {
    pub fn is_for(&self, period: Period) -> bool {
        self.period.is_none_or(|only| only == period)
    }
}

/// What was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub period: Period,
    /// A tenant's window; `None`: the period.
    pub window: Option<(String, Window)>,
    pub reason: ParkReason,
    pub word: Word,
}

/// All words that are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parking {
    pub holds: Vec<Hold>,
    pub releases: Vec<Release>,
}

impl Parking {
    pub fn hold(&self, tenant_id: &str, period: Period) -> Option<&Hold> {
        self.holds.iter().find(|one| one.tenant_id == tenant_id && one.is_for(period))
    }

    /// Tenants of which anything was released.
    pub fn released(&self) -> impl Iterator<Item = &str> {
        self.releases.iter().filter_map(|one| Some(one.window.as_ref()?.0.as_str()))
    }

    /// Whether what Stripe shows of the window stands. Of a window that was laid out anew any part is enough: nothing of
    /// what was given up may be sent after all.
    pub fn stands(&self, tenant_id: &str, window: Window) -> bool {
        let of_tenant = self.releases.iter().filter(|one| one.reason.remedy() == Remedy::LetStand);
        let mut windows = of_tenant.filter_map(|one| one.window.as_ref());
        windows.any(|(tenant, released)| tenant == tenant_id && released.intersection(window).is_some())
    }

    /// Whether the window is free of its own bound.
    pub fn allows(&self, tenant_id: &str, window: Window) -> bool {
        let key = (tenant_id.to_owned(), window);
        self.releases
            .iter()
            .any(|one| one.reason == ParkReason::OverageBound && one.window.as_ref() == Some(&key))
    }

    /// Whether the period is free of its bound.
    pub fn allows_period(&self, period: Period) -> bool {
        self.releases.iter().any(|one| one.reason == ParkReason::PeriodBound && one.period == period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn word() -> Word {
        Word { by: "ada".to_owned(), note: "looked at it".to_owned(), at: at("2026-10-20T00:00:00Z") }
    }

    fn month(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    fn window(start: &str, end: &str) -> Window {
        Window { start: at(start), end: at(end) }
    }

    fn october() -> Window {
        window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    }

    fn released(reason: ParkReason) -> Parking {
        let window = Some(("acme".to_owned(), october()));
        let release = Release { period: month("2026-10"), window, reason, word: word() };
        Parking { releases: vec![release], ..Parking::default() }
    }

    #[test]
    fn a_hold_is_for_every_period_or_for_one() {
        let hold = |period| Hold { tenant_id: "acme".to_owned(), period, word: word() };
        let always = Parking { holds: vec![hold(None)], ..Parking::default() };
        let once = Parking { holds: vec![hold(Some(month("2026-10")))], ..Parking::default() };
        for (period, of_always, of_once) in [("2026-10", true, true), ("2026-11", true, false)] {
            assert_eq!(always.hold("acme", month(period)).is_some(), of_always, "{period}");
            assert_eq!(once.hold("acme", month(period)).is_some(), of_once, "{period}");
        }
        assert!(always.hold("other", month("2026-10")).is_none());
    }

    #[test]
    fn a_release_is_for_its_window_and_its_reason_only() {
        let november = window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        let bound = released(ParkReason::OverageBound);
        assert!(bound.allows("acme", october()));
        assert!(!bound.allows("acme", november) && !bound.allows("other", october()));
        assert!(!bound.stands("acme", october()) && !bound.allows_period(month("2026-10")));
        for reason in ParkReason::ALL {
            let stands = released(reason).stands("acme", october());
            assert_eq!(stands, reason.remedy() == Remedy::LetStand, "{reason:?}");
            assert!(
                !released(reason).stands("acme", november) && !released(reason).stands("other", october())
            );
        }
    }

    #[test]
    fn a_window_that_was_laid_out_anew_still_stands_where_it_was_released() {
        let moved = window("2026-10-15T00:00:00Z", "2026-11-15T00:00:00Z");
        assert!(released(ParkReason::RejectedAsync).stands("acme", moved));
        assert!(!released(ParkReason::OverageBound).allows("acme", moved));
    }
}
