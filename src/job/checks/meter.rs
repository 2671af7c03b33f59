//! A meter of the catalog against Stripe's.
//!
//! In: a meter, all of Stripe's. Out: the one that is meant, and what is wrong with it. A meter that is told apart only by its
//! payload keys is no finding: events are sent with the keys that it has.

use crate::domain::catalog::{Aggregation, Meter};
use crate::domain::intent::PushMode;
use crate::domain::invoice::{MeterFormula, StripeMeter};

use super::{CheckName, Finding, Severity, Side};

/// Of several with the event's name, the active one: a name is free again once its meter is deactivated.
pub fn meter_of<'a>(meter: &Meter, meters: &'a [StripeMeter]) -> Option<&'a StripeMeter> {
    let of_name = || meters.iter().filter(|one| one.event_name == meter.event_name);
    of_name().find(|one| one.active).or(of_name().next())
}

pub fn check(meter: &Meter, meters: &[StripeMeter], side: Side, place: &str) -> Vec<Finding> {
    let finding = |severity, check, problem: &str| {
        let text = format!("Stripe's meter for the event `{}` {problem}", meter.event_name);
        Finding { severity, check, place: place.to_owned(), text }
    };
    let refused = |check, problem: &str| finding(Severity::Refuse, check, problem);
    let Some(found) = meter_of(meter, meters) else {
        let problem = "does not exist: make it, or mend event_name in the catalog";
        return vec![refused(CheckName::MeterExists, problem)];
    };
    let mut findings = Vec::new();
    if !found.active {
        findings.push(refused(CheckName::MeterActive, "is not active: reactivate it in Stripe"));
    }
    if let Some(problem) = wrong_formula(meter, found, side.push) {
        findings.push(finding(side.refuse_if_pushing(), CheckName::MeterFormula, &problem));
    }
    if let (Some(of_key), Some(of_meter)) = (side.livemode, found.livemode)
        && of_key != of_meter
    {
        findings.push(refused(CheckName::Mode, "is of another mode than the key: give a key of its mode"));
    }
    findings
}

/// What is pushed is a part of a sum, or the level of a gauge, of which the newest counts. Stripe's `count` would count our
/// events instead of their units. An application may well send one event for each record, and one for each hour.
fn wrong_formula(meter: &Meter, found: &StripeMeter, push: PushMode) -> Option<String> {
    let (needed, word) = match meter.aggregation {
        Aggregation::Sum | Aggregation::Count => (MeterFormula::Sum, "sum"),
        Aggregation::Max | Aggregation::Last => (MeterFormula::Last, "last"),
    };
    let counts_records =
        meter.aggregation == Aggregation::Count && found.formula == Some(MeterFormula::Count);
    let fits = found.formula == Some(needed) || (push == PushMode::Observe && counts_records);
    let overwrites = push == PushMode::Push && found.pre_aggregates;
    let problem = match found.formula {
        _ if overwrites => "keeps one event of each hour or day, so pushes would be lost",
        _ if fits => return None,
        Some(MeterFormula::Sum) => "has the formula sum",
        Some(MeterFormula::Count) => "has the formula count",
        Some(MeterFormula::Last) => "has the formula last",
        None => "has a formula that is not known here",
    };
    let aggregation = meter.aggregation.as_str();
    Some(format!(
        "{problem}: a meter with aggregation = \"{aggregation}\" needs one with the formula {word} and no \
         event_time_window. Stripe's meters cannot be changed: make another one and name its event in event_name"
    ))
}
