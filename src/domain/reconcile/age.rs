//! The age of differences: which are new, which are known, and which are gone since the last run.
//!
//! In: a period's comparison, the differences that earlier runs noted, the run's instant. Out: each difference with the run
//! that saw it first, and the notes for the next run. A run that is repeated at its own instant gives the same. Never judges:
//! what is tolerated is no difference here either.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::reconcile::{Cause, Class, ReconciliationRow, Source};

/// A difference as the last run that looked has noted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDifference {
    pub tenant_id: String,
    pub meter: String,
    pub source: Source,
    /// The start of its window, or the subscription that no tenant has.
    pub subject: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub gone_at: Option<Timestamp>,
    pub class: Class,
    pub reason: Option<Cause>,
}

/// What has become of a period's differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// All that are there now.
    pub seen: Vec<KnownDifference>,
    /// Those that were there in the last run.
    pub gone: Vec<KnownDifference>,
}

/// Whether a difference was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    New,
    Known,
}

impl Change {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
        }
    }
}

/// How old a difference is for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    pub first_seen: Timestamp,
    pub now: Timestamp,
}

impl Age {
    pub fn change(self) -> Change {
        if self.first_seen == self.now { Change::New } else { Change::Known }
    }

    /// Whole days of 24 hours. A run that looks at an earlier time than the last one sees no age.
    pub fn days(self) -> i64 {
        self.now.duration_since(self.first_seen).max(SignedDuration::ZERO).as_hours() / 24
    }
}

/// Notes on each difference among `rows` since when it is there. Rows of windows that closed before have it; theirs stays.
pub fn follow(
    earlier: &[ReconciliationRow],
    rows: &mut [&mut ReconciliationRow],
    known: Vec<KnownDifference>,
    now: Timestamp,
) -> Followed {
    let known: BTreeMap<Key, KnownDifference> = known.into_iter().map(|one| (one.key(), one)).collect();
    let mut seen: BTreeMap<Key, KnownDifference> = BTreeMap::new();
    for row in earlier.iter().filter(|row| row.is_difference()) {
        // One that closed before runs noted this has no such instant.
        if let Some(first_seen) = row.first_seen {
            seen.insert(key_of(row), note(row, first_seen, now));
        }
    }
    for row in rows.iter_mut().filter(|row| row.is_difference()) {
        let key = key_of(row);
        let there = known.get(&key).filter(|one| one.gone_at.is_none());
        let first_seen = there.map_or(now, |one| one.first_seen);
        row.first_seen = Some(first_seen);
        seen.insert(key, note(row, first_seen, now));
    }
    let rows = earlier.iter().chain(rows.iter().map(|row| &**row));
    let looked_at: BTreeMap<Key, Class> = rows.map(|row| (key_of(row), row.class)).collect();
    // What this very run noted as gone before it was killed is gone since this run.
    let was_there = |one: &KnownDifference| one.gone_at.is_none_or(|gone_at| gone_at == now);
    let gone = known
        .into_iter()
        .filter(|(key, one)| was_there(one) && !seen.contains_key(key) && is_gone(key, &looked_at));
    let gone = gone.map(|(_, one)| KnownDifference { gone_at: Some(now), ..one }).collect();
    Followed { seen: seen.into_values().collect(), gone }
}

/// Whether a difference that is not seen is none any more: of a tenant that is parked now, or of an answer that could not be
/// read, nothing is known, and it stays noted.
fn is_gone(key: &Key, looked_at: &BTreeMap<Key, Class>) -> bool {
    let (tenant_id, meter, source, subject) = key;
    match (looked_at.get(key), source) {
        (Some(class), _) => *class != Class::Incomplete,
        (None, Source::Subscription) => true,
        // The window has ended: its invoice tells now.
        (None, Source::Preview) => {
            let invoice = (tenant_id.clone(), meter.clone(), Source::Invoice, subject.clone());
            looked_at.contains_key(&invoice)
        }
        (None, Source::MeterTotal | Source::Invoice) => false,
    }
}

/// Tenant, meter, source, subject: the same from run to run.
type Key = (String, String, Source, String);

impl KnownDifference {
    fn key(&self) -> Key {
        (self.tenant_id.clone(), self.meter.clone(), self.source, self.subject.clone())
    }
}

fn key_of(row: &ReconciliationRow) -> Key {
    let subject = row.window.map_or_else(|| row.evidence.clone(), |window| window.start.to_string());
    (row.tenant_id.clone(), row.meter.clone(), row.source, subject)
}

fn note(row: &ReconciliationRow, first_seen: Timestamp, now: Timestamp) -> KnownDifference {
    let (tenant_id, meter, source, subject) = key_of(row);
    KnownDifference {
        tenant_id,
        meter,
        source,
        subject,
        first_seen,
        last_seen: now,
        gone_at: None,
        class: row.class,
        reason: row.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::Window;
    use crate::domain::reconcile::orphan;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Subscriptions that no tenant has, seen by a run; what it notes, and `subscription change days` of each.
    fn run(ids: &[&str], known: &[KnownDifference], now: &str) -> (Followed, Vec<String>) {
        let mut rows: Vec<ReconciliationRow> = ids.iter().map(|id| orphan(id, "calls")).collect();
        let followed = follow(&[], &mut rows.iter_mut().collect::<Vec<_>>(), known.to_vec(), at(now));
        let told = rows.iter().map(|row| {
            let age = Age { first_seen: row.first_seen.unwrap(), now: at(now) };
            format!("{} {} {}", row.evidence, age.change().as_str(), age.days())
        });
        let told = told.collect();
        (followed, told)
    }

    fn all(followed: &Followed) -> Vec<KnownDifference> {
        [&followed.seen[..], &followed.gone].concat()
    }

    #[test]
    fn a_difference_is_new_once_then_known_and_its_days_are_counted_until_it_is_gone() {
        let (first, told) = run(&["sub_a", "sub_b"], &[], "2026-10-01T10:00:00Z");
        assert_eq!(told, ["sub_a new 0", "sub_b new 0"]);
        assert_eq!((first.seen.len(), first.gone.len()), (2, 0));
        let (second, told) = run(&["sub_b", "sub_c"], &all(&first), "2026-10-03T09:59:59Z");
        assert_eq!(told, ["sub_b known 1", "sub_c new 0"]);
        assert_eq!(second.gone.len(), 1);
        assert_eq!(second.gone[0].subject, "sub_a");
        assert_eq!(second.gone[0].gone_at, Some(at("2026-10-03T09:59:59Z")));
        assert_eq!(second.gone[0].last_seen, at("2026-10-01T10:00:00Z"), "it was not seen again");
        let (third, told) = run(&["sub_b"], &all(&second), "2026-10-03T10:00:00Z");
        assert_eq!(told, ["sub_b known 2"]);
        let gone: Vec<&str> = third.gone.iter().map(|one| &*one.subject).collect();
        assert_eq!(gone, ["sub_c"], "what was gone before is not told again");
    }

    #[test]
    fn one_that_comes_back_is_new_again() {
        let (first, _) = run(&["sub_a"], &[], "2026-10-01T00:00:00Z");
        let (second, _) = run(&[], &all(&first), "2026-10-02T00:00:00Z");
        let (_, told) = run(&["sub_a"], &all(&second), "2026-10-05T00:00:00Z");
        assert_eq!(told, ["sub_a new 0"]);
    }

    #[test]
    fn a_run_that_is_repeated_at_its_own_instant_tells_the_same() {
        let (first, _) = run(&["sub_a", "sub_b"], &[], "2026-10-01T00:00:00Z");
        let now = "2026-10-02T00:00:00Z";
        let (second, told) = run(&["sub_b", "sub_c"], &all(&first), now);
        let (again, told_again) = run(&["sub_b", "sub_c"], &all(&second), now);
        assert_eq!((second, told), (again, told_again));
    }

    #[test]
    fn what_closed_keeps_the_run_that_saw_it_first_and_agreement_has_none() {
        let closed =
            ReconciliationRow { first_seen: Some(at("2026-10-01T00:00:00Z")), ..orphan("sub_a", "c") };
        let before = ReconciliationRow { first_seen: None, ..orphan("sub_old", "c") };
        let mut agrees = ReconciliationRow { class: Class::Matched, ..orphan("sub_b", "c") };
        let now = at("2026-10-04T00:00:00Z");
        let followed = follow(&[closed, before], &mut [&mut agrees], Vec::new(), now);
        assert_eq!(agrees.first_seen, None);
        assert_eq!(followed.seen.len(), 1);
        assert_eq!(followed.seen[0].first_seen, at("2026-10-01T00:00:00Z"));
        assert!(followed.gone.is_empty());
    }

    #[test]
    fn of_what_is_not_looked_at_or_could_not_be_read_nobody_says_that_it_is_gone() {
        let window = Some(Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") });
        let row = |source, class| ReconciliationRow {
            tenant_id: "acme".to_owned(),
            window,
            source,
            class,
            ..orphan("", "calls")
        };
        let now = at("2026-11-01T02:00:00Z");
        let gone = |before: Source, after: &[(Source, Class)]| {
            let mut before = row(before, Class::QuantityMismatch);
            let known = follow(&[], &mut [&mut before], Vec::new(), at("2026-10-20T00:00:00Z")).seen;
            let mut after: Vec<_> = after.iter().map(|(source, class)| row(*source, *class)).collect();
            let followed = follow(&[], &mut after.iter_mut().collect::<Vec<_>>(), known, now);
            followed.gone.len()
        };
        assert_eq!(gone(Source::MeterTotal, &[(Source::MeterTotal, Class::Matched)]), 1);
        assert_eq!(gone(Source::MeterTotal, &[(Source::MeterTotal, Class::Incomplete)]), 0);
        assert_eq!(gone(Source::MeterTotal, &[]), 0, "the tenant is parked");
        assert_eq!(gone(Source::Preview, &[(Source::Invoice, Class::QuantityMismatch)]), 1);
        assert_eq!(gone(Source::Preview, &[(Source::MeterTotal, Class::Matched)]), 0);
        assert_eq!(gone(Source::Subscription, &[]), 1);
    }
}
