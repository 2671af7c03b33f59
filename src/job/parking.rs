//! Parking, as a run sees it: who is held, what was released, and what is set aside now.
//!
//! In: people's words, the windows of a period, what the run before had set aside. Out: the same windows with what the words
//! mean for them, and the list of all that is parked. Pure; `words` is where people speak.

pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::figures::WindowFigures;
use crate::domain::parking::Parking;
use crate::domain::period::{Period, Window};
use crate::domain::tenant::ParkReason;
use crate::job::due::PeriodWindows;
use crate::job::mapping::Mapped;
use crate::store::books::ParkedWindow;

/// Sets those aside whom a person holds, whatever else may be wrong with them. What is closed stays closed.
pub fn hold(parking: &Parking, period: Period, windows: &mut PeriodWindows<'_>) {
    for window in windows.due.iter_mut().chain(&mut windows.open) {
        if parking.hold(window.tenant.id(), period).is_some() {
            window.park = Some(ParkReason::Held);
        }
    }
}

/// Marks what stands as it is at Stripe, and what was kept back by earlier runs.
pub fn mark(mapped: &mut [Mapped], parking: &Parking, before: &[ParkedWindow]) {
    let before = by_window(before);
    let released: BTreeSet<&str> = parking.released().collect();
    for one in mapped {
        one.was_parked = before.get(&(one.tenant_id.as_str(), one.window)).is_some_and(|one| one.kept_back);
        one.stands = released.contains(one.tenant_id.as_str()) && parking.stands(&one.tenant_id, one.window);
    }
}

/// All that is set aside now. Who was for the same reason keeps the run that found it first. An answer that is missing keeps
/// nothing back, and brings nothing forward that was.
pub fn parked<'a>(
    figures: impl Iterator<Item = &'a WindowFigures>,
    before: &[ParkedWindow],
    period: Period,
    run_id: &str,
    now: Timestamp,
) -> Vec<ParkedWindow> {
    let before = by_window(before);
    let parked = |one: &WindowFigures| {
        let reason = one.park?;
        let earlier = before.get(&(one.tenant_id.as_str(), one.window));
        Some(match earlier.filter(|one| one.reason == reason) {
            Some(known) => (*known).clone(),
            None => ParkedWindow {
                tenant_id: one.tenant_id.clone(),
                window: one.window,
                period,
                reason,
                since: now,
                run_id: run_id.to_owned(),
                kept_back: reason != ParkReason::Incomplete || earlier.is_some_and(|one| one.kept_back),
            },
        })
    };
    figures.filter_map(parked).collect()
}

fn by_window(parked: &[ParkedWindow]) -> BTreeMap<(&str, Window), &ParkedWindow> {
    parked.iter().map(|one| ((one.tenant_id.as_str(), one.window), one)).collect()
}
