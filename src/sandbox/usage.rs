//! What a meter says about one customer between two instants.
//!
//! In: counted events. Out: one exact number. An event belongs to where its timestamp is, start included, end not; what
//! came in too late for an invoice, or is not shown yet, is left out by what the caller may know.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;

use super::records::{Formula, Meter, Window};
use super::world::{Usage, World};

/// Which events somebody knows of at an instant.
#[derive(Clone, Copy, Debug)]
pub enum Known {
    /// All that had come in before.
    Received(i64),
    /// Those that previews, summaries and drafts show by then.
    Shown(i64),
}

impl Known {
    fn holds(self, event: &Usage) -> bool {
        match self {
            Self::Received(before) => event.received < before,
            Self::Shown(at) => event.shown <= at,
        }
    }
}

/// The meter's aggregate; `None` where no event is in the window.
pub fn aggregate(
    world: &World,
    meter: &Meter,
    customer: &str,
    window: Window,
    known: Known,
) -> Option<BigDecimal> {
    let events = world.usage(&meter.id, customer).iter().filter(|event| {
        window.start <= event.timestamp && event.timestamp < window.end && known.holds(event)
    });
    let events = match meter.event_time_window {
        None => events.collect(),
        Some(bucket) => newest_of_each(events, bucket.seconds()),
    };
    let first = events.first()?;
    Some(match meter.formula {
        Formula::Sum => events.iter().map(|event| &event.value).sum(),
        Formula::Count => BigDecimal::from(events.len() as u64),
        // Of two with one timestamp, the one that came in later.
        Formula::Last => {
            let newest = events.iter().max_by_key(|event| event.timestamp).unwrap_or(first);
            newest.value.clone()
        }
    })
}

/// In a pre-aggregating meter a newer event of the same hour or day replaces the older one.
fn newest_of_each<'a>(events: impl Iterator<Item = &'a Usage>, seconds: i64) -> Vec<&'a Usage> {
    let mut newest = BTreeMap::new();
    for event in events {
        let kept = newest.entry(event.timestamp.div_euclid(seconds)).or_insert(event);
        if event.timestamp >= kept.timestamp {
            *kept = event;
        }
    }
    newest.into_values().collect()
}
