//! The age of differences: which are new, which are known, and which are gone since the last run.
//!
//! In: a period's comparison, the differences that earlier runs noted, whose windows there are, the run's instant. Out: each
//! difference with the number of runs that saw it, and the notes for the next run. A run that is repeated at its own instant
//! gives the same. Never judges: what is tolerated is no difference here either.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

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
    /// How many runs saw it.
    pub runs: u64,
    pub gone_at: Option<Timestamp>,
    pub class: Class,
    pub reason: Option<Cause>,
}

/// What has become of a period's differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// All that this run saw, in the order of their keys.
    pub seen: Vec<KnownDifference>,
    /// Gone, and the row of their comparison says so.
    pub agreed: Vec<KnownDifference>,
    /// Gone, and there is no such comparison any more.
    pub vanished: Vec<KnownDifference>,
    /// Of previews: the invoice tells now.
    pub superseded: Vec<KnownDifference>,
}

impl Followed {
    /// What the run noted of a row that is a difference.
    pub fn of(&self, row: &ReconciliationRow) -> Option<&KnownDifference> {
        let found = self.seen.binary_search_by_key(&key_of(row), KnownDifference::key).ok()?;
        self.seen.get(found)
    }

    pub fn gone(&self) -> usize {
        self.agreed.len() + self.vanished.len()
    }
}

/// How old a difference is, in runs that saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    New,
    Known {
        runs: u64,
    },
    /// It was there in the last run.
    Gone {
        runs: u64,
    },
}

impl Age {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known { .. } => "known",
            Self::Gone { .. } => "gone",
        }
    }

    pub fn runs(self) -> u64 {
        match self {
            Self::New => 1,
            Self::Known { runs } | Self::Gone { runs } => runs,
        }
    }
}

impl ReconciliationRow {
    /// Its age for the run that found it, from the number of runs.
    #[must_use]
    pub fn aged(self, runs: Option<u64>) -> Self {
        let is_difference = self.is_difference();
        let age = |runs| match runs {
            _ if !is_difference => Age::Gone { runs },
            1 => Age::New,
            _ => Age::Known { runs },
        };
        Self { age: runs.map(age), ..self }
    }

    /// For a run after the one that closed its window: what was new then is known, and what was gone then is told.
    #[must_use]
    pub fn of_closed(self) -> Self {
        let known = |age: Age| Age::Known { runs: age.runs() };
        Self { age: self.age.filter(|_| self.is_difference()).map(known), ..self }
    }
}

/// What the tenants say of a period.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Tenant and start of the windows that have something at Stripe.
    pub windows: BTreeSet<(String, Timestamp)>,
    /// The subscriptions of tenants that are parked.
    pub parked_subscriptions: BTreeSet<String>,
}

/// Notes on each difference among `rows` how many runs saw it, and which of them agree now. Rows of windows that closed before
/// have it.
pub fn follow(
    earlier: &[ReconciliationRow],
    rows: &mut [&mut ReconciliationRow],
    known: Vec<KnownDifference>,
    claims: &Claims,
    now: Timestamp,
) -> Followed {
    let known: BTreeMap<Key, KnownDifference> = known.into_iter().map(|one| (one.key(), one)).collect();
    let mut seen: BTreeMap<Key, KnownDifference> = BTreeMap::new();
    for row in rows.iter_mut() {
        let key = key_of(row);
        let noted = row.is_difference().then(|| {
            let there = known.get(&key).filter(|one| one.gone_at.is_none());
            note(row, there, now)
        });
        row.age = match &noted {
            Some(one) if one.runs == 1 => Some(Age::New),
            Some(one) => Some(Age::Known { runs: one.runs }),
            None => None,
        };
        seen.extend(noted.map(|one| (key, one)));
    }
    // What this very run noted as gone before it was killed is gone since this run.
    let was_there = |one: &KnownDifference| one.gone_at.is_none_or(|gone_at| gone_at == now);
    let lost = known.into_iter().filter(|(key, one)| was_there(one) && !seen.contains_key(key));
    let lost: Vec<(Key, KnownDifference)> = lost.collect();
    let heard = Heard::new(earlier, rows, &lost);
    let mut followed = Followed { seen: seen.into_values().collect(), ..Followed::default() };
    for (key, one) in lost {
        let one = KnownDifference { gone_at: Some(now), ..one };
        match heard.fate(&key, &one, claims) {
            Fate::Unknown => {}
            Fate::Superseded => followed.superseded.push(one),
            Fate::Gone(None) => followed.vanished.push(one),
            Fate::Gone(Some(position)) => {
                if let Some(row) = rows.get_mut(position) {
                    row.age = Some(Age::Gone { runs: one.runs });
                }
                followed.agreed.push(one);
            }
        }
    }
    followed
}

/// What becomes of a difference that is not seen.
enum Fate {
    /// Of a tenant that is parked now, or of an answer that could not be read, nothing is known: it stays noted.
    Unknown,
    Superseded,
    /// With the position of the row that agrees.
    Gone(Option<usize>),
}

/// The rows of the tenants that have lost a difference.
#[derive(Default)]
struct Heard {
    /// Whether all agree, and which of them are this run's.
    by_key: BTreeMap<Key, (bool, Option<usize>)>,
    /// By tenant, source and subject, whatever the meter: whether all could be read.
    by_source: BTreeMap<(String, Source, String), bool>,
}

impl Heard {
    fn new(
        earlier: &[ReconciliationRow],
        rows: &[&mut ReconciliationRow],
        lost: &[(Key, KnownDifference)],
    ) -> Self {
        let tenants: BTreeSet<&str> = lost.iter().map(|(_, one)| one.tenant_id.as_str()).collect();
        let now = rows.iter().enumerate().map(|(position, row)| (&**row, Some(position)));
        let all = earlier.iter().map(|row| (row, None)).chain(now);
        let mut heard = Self::default();
        for (row, position) in all.filter(|(row, _)| tenants.contains(row.tenant_id.as_str())) {
            let key = key_of(row);
            let is_read = row.class != Class::Incomplete;
            let of_source = (key.0.clone(), key.2, key.3.clone());
            *heard.by_source.entry(of_source).or_insert(true) &= is_read;
            let (agree, matched) = heard.by_key.entry(key).or_insert((true, None));
            *agree &= is_read && !row.is_difference();
            *matched = matched.or(position.filter(|_| row.class == Class::Matched));
        }
        heard
    }

    fn fate(&self, key: &Key, one: &KnownDifference, claims: &Claims) -> Fate {
        match self.by_key.get(key) {
            Some((true, matched)) => return Fate::Gone(*matched),
            Some((false, _)) => return Fate::Unknown,
            None => {}
        }
        let of = |source| self.by_source.get(&(one.tenant_id.clone(), source, one.subject.clone()));
        let is_gone = match one.source {
            // A tenant has it now: where that is parked, it is not mended.
            Source::Subscription => !claims.parked_subscriptions.contains(&one.subject),
            // The window has ended: its invoice tells now.
            Source::Preview if of(Source::Invoice).is_some() => return Fate::Superseded,
            // Something else was compared there, or the tenant has no such window any more.
            source => match of(source) {
                Some(is_read) => *is_read,
                None => !claims.has_window(one),
            },
        };
        if is_gone { Fate::Gone(None) } else { Fate::Unknown }
    }
}

impl Claims {
    fn has_window(&self, one: &KnownDifference) -> bool {
        let start = one.subject.parse::<Timestamp>();
        start.is_ok_and(|start| self.windows.contains(&(one.tenant_id.clone(), start)))
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
    let subject = row.window.map_or_else(|| row.evidence.first(), |window| window.start.to_string());
    (row.tenant_id.clone(), row.meter.clone(), row.source, subject)
}

/// A run at the instant of the one that saw it last is that run again, and does not count.
fn note(row: &ReconciliationRow, there: Option<&KnownDifference>, now: Timestamp) -> KnownDifference {
    let (tenant_id, meter, source, subject) = key_of(row);
    KnownDifference {
        tenant_id,
        meter,
        source,
        subject,
        first_seen: there.map_or(now, |one| one.first_seen),
        last_seen: now,
        runs: there.map_or(1, |one| one.runs.saturating_add(u64::from(one.last_seen != now))),
        gone_at: None,
        class: row.class,
        reason: row.reason,
    }
}

#[cfg(test)]
mod tests;
