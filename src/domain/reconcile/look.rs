//! The second look: what days, neighbours and single records tell of a meter's total that differs.
//!
//! In: the ledger's records of a window and of the time around it, Stripe's sums of days and of the neighbours. Out: what each
//! cause accounts for. Only where another sends usage: of our own pushes more is known. What two things explain alike is
//! told by neither: a sum that only happens to fit is no evidence.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::account::Account;
use super::cause::Difference;
use super::evidence::OtherFormula;
use crate::domain::aggregation::Reading;
use crate::domain::catalog::Aggregation;
use crate::domain::invoice::MeterFormula;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;

/// Two instants that are one in other zones lie no further apart: from UTC-12 to UTC+14.
pub const ZONES: SignedDuration = SignedDuration::from_hours(26);
/// All offsets of zones in use are quarters of an hour; so many of them are in [`ZONES`].
const STEP: SignedDuration = SignedDuration::from_mins(15);
const STEPS: i32 = 4 * 26;
const DAY: i64 = 86_400;
/// Milliunits, thousands, and so on to pico and tera.
const MOST_POWERS_OF_TEN: u32 = 12;

/// A record that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub quantity: Quantity,
    pub occurred_at: Timestamp,
    /// When it was imported.
    pub recorded_at: Timestamp,
}

impl Seen {
    pub fn new(reading: Reading, recorded_at: Timestamp) -> Self {
        let Reading { source_event_id: id, quantity, occurred_at, .. } = reading;
        Self { id, quantity, occurred_at, recorded_at }
    }
}

/// What Stripe shows of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub window: Window,
    pub total: Quantity,
}

/// What Stripe was asked once more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its totals of whole UTC days by their start; a day without usage is not among them.
    pub days: BTreeMap<Timestamp, Quantity>,
    /// As long as the window, or a month; `None` where there is no usage yet.
    pub before: Option<Span>,
    pub after: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct Look {
    pub asked: Asked,
    window: Window,
    /// When the window's invoice took no more usage.
    final_at: Option<Timestamp>,
    /// What is younger may not be in a total yet.
    young_since: Timestamp,
    aggregation: Aggregation,
    /// By time.
    records: Vec<Seen>,
    /// The units of all records before each, and of all.
    sums: Vec<Quantity>,
}

impl Look {
    pub fn new(
        window: Window,
        aggregation: Aggregation,
        mut records: Vec<Seen>,
        final_at: Option<Timestamp>,
        young_since: Timestamp,
    ) -> Result<Self, NumberError> {
        records.sort_by(|one, other| (one.occurred_at, &one.id).cmp(&(other.occurred_at, &other.id)));
        let mut sums = vec![Quantity::ZERO];
        for record in &records {
            sums.push(sums[sums.len() - 1].checked_add(units(record, aggregation)?)?);
        }
        Ok(Self { window, asked: Asked::default(), final_at, young_since, aggregation, records, sums })
    }

    /// Whether its records are what the comparison speaks of: not where only usage above a quota is sent.
    pub fn speaks_of(&self, ledger: Quantity) -> bool {
        self.aggregation.is_gauge() || self.units_in(self.window) == Some(ledger)
    }

    /// The newest records, not in the total yet, and nowhere else.
    pub(super) fn latency(&self, difference: &Difference) -> Option<Account> {
        let young = Window { start: self.young_since.max(self.window.start), end: self.window.end };
        let is_elsewhere = !self.moves(difference).is_empty();
        if young.start >= young.end || self.aggregation.is_gauge() || is_elsewhere {
            return None;
        }
        let records = self.range(young);
        let lacking = Quantity::ZERO.checked_sub(difference.units()).ok()?;
        let start = (records.start..records.end)
            .rev()
            .find(|from| self.between(*from, records.end) == Some(lacking))?;
        Some(Account::of(difference.units()).with_ids(self.ids(start..records.end)))
    }

    /// Imported when the invoice was final, and exactly what is missing. A ledger that was filled afterwards tells nothing.
    pub(super) fn late(&self, difference: &Difference) -> Option<Account> {
        self.after_final(difference, false)
    }

    pub(super) fn corrected(&self, difference: &Difference) -> Option<Account> {
        self.after_final(difference, true)
    }

    /// What is missing here stands beside the window, or the reverse, and its records lie at the edge; or Stripe's windows are
    /// ours, moved by a zone's offset.
    pub(super) fn boundary(&self, difference: &Difference) -> Option<Account> {
        if self.aggregation.is_gauge() {
            return None;
        }
        let moves = self.moves(difference);
        let at_edge = moves.iter().filter_map(|one| Some((one, self.run_at_edge(one)?)));
        let (mut units, mut ids) = (Quantity::ZERO, Vec::new());
        for (one, run) in at_edge {
            units = units.checked_add(one.units).ok()?;
            ids.extend(self.ids(run));
        }
        let account = Account::of(units).with_ids(ids);
        if !account.is_exact(difference) && self.is_moved_by_a_zone(difference) {
            return Some(Account::of(difference.units()));
        }
        (!units.is_zero()).then_some(account)
    }

    /// What is missing here stands in another window, or the reverse.
    pub(super) fn shifted(&self, difference: &Difference) -> Option<Account> {
        if self.aggregation.is_gauge() {
            return None;
        }
        let moves = self.moves(difference);
        let offs = moves.iter().try_fold(Quantity::ZERO, |sum, one| sum.checked_add(one.off)).ok()?;
        within(offs, difference)
    }

    /// On each day with too much the surplus is some records again.
    pub(super) fn duplicates(&self, difference: &Difference) -> Option<Account> {
        if self.aggregation.is_gauge() {
            return None;
        }
        let (mut units, mut ids) = (Quantity::ZERO, Vec::new());
        for (day, stripe) in self.days() {
            let surplus = stripe.checked_sub(self.units_in(day)?).ok()?;
            if surplus <= Quantity::ZERO {
                continue;
            }
            let Some(again) = self.of_day(day, surplus) else { continue };
            units = units.checked_add(surplus).ok()?;
            ids.extend(again);
        }
        within(units, difference).map(|account| account.with_ids(ids))
    }

    /// The total is 0, or on each day with too little some records are missing, or all.
    pub(super) fn unsent(&self, difference: &Difference) -> Option<Account> {
        if difference.stripe.is_zero() && !difference.ledger.is_negative() {
            return Some(Account::of(difference.units()));
        }
        if self.aggregation.is_gauge() {
            return None;
        }
        let (mut units, mut ids) = (Quantity::ZERO, Vec::new());
        for (day, stripe) in self.days() {
            let day = day.intersection(self.window)?;
            let lack = self.units_in(day)?.checked_sub(stripe).ok()?;
            if lack <= Quantity::ZERO {
                continue;
            }
            let lost =
                if stripe.is_zero() { Some(self.ids(self.range(day))) } else { self.of_day(day, lack) };
            let Some(lost) = lost else { continue };
            units = units.checked_sub(lack).ok()?;
            ids.extend(lost);
        }
        within(units, difference).map(|account| account.with_ids(ids))
    }

    /// Another formula, which makes of the records what Stripe shows; or another unit.
    pub(super) fn aggregated(&self, difference: &Difference, other: Option<OtherFormula>) -> Option<Account> {
        if let Some(OtherFormula(formula)) = other {
            let shown = formula.and_then(|formula| self.by_formula(formula));
            let units = shown.and_then(|shown| shown.checked_sub(difference.ledger).ok());
            return Some(Account { is_certain: true, ..Account::of(units.unwrap_or_default()) });
        }
        let formulas = [MeterFormula::Sum, MeterFormula::Count, MeterFormula::Last].into_iter();
        let made = formulas.filter_map(|formula| self.by_formula(formula)).chain(self.highest());
        let shows = |made: Quantity| made.at_float_precision() == difference.stripe && !made.is_zero();
        let is_it = made.into_iter().any(shows) || is_power_of_ten(difference.ledger, difference.stripe);
        is_it.then(|| Account::of(difference.units()))
    }

    fn by_formula(&self, formula: MeterFormula) -> Option<Quantity> {
        let range = self.range(self.window);
        let records = self.records.get(range)?;
        match formula {
            MeterFormula::Sum => {
                records.iter().try_fold(Quantity::ZERO, |sum, one| sum.checked_add(one.quantity)).ok()
            }
            MeterFormula::Count => Quantity::whole(records.len() as u64).ok(),
            MeterFormula::Last => records.last().map(|one| one.quantity),
        }
    }

    fn highest(&self) -> Option<Quantity> {
        self.records.get(self.range(self.window))?.iter().map(|one| one.quantity).max()
    }

    fn after_final(&self, difference: &Difference, corrections: bool) -> Option<Account> {
        let final_at = self.final_at?;
        let records = self.records.get(self.range(self.window))?;
        let is_it = |one: &&Seen| one.recorded_at > final_at && one.quantity.is_negative() == corrections;
        if records.iter().all(|one| one.recorded_at > final_at) {
            return None;
        }
        let mut sum = Quantity::ZERO;
        for one in records.iter().filter(is_it) {
            sum = sum.checked_sub(units(one, self.aggregation).ok()?).ok()?;
        }
        let account = Account::of(sum).with_ids(records.iter().filter(is_it).map(|one| one.id.clone()));
        account.is_exact(difference).then_some(account)
    }

    /// The units that a neighbour has more than its records and the window less, or the reverse.
    fn moves(&self, difference: &Difference) -> Vec<Move> {
        let mut rest = difference.units();
        let mut moves = Vec::new();
        for span in [self.asked.before, self.asked.after].into_iter().flatten() {
            let ledger = self.units_in(span.window);
            let Some(beside) = ledger.and_then(|ledger| ledger.checked_sub(span.total).ok()) else {
                continue;
            };
            // What it has less is here, and the reverse.
            let units = if rest.is_negative() {
                beside.min(Quantity::ZERO).max(rest)
            } else {
                beside.max(Quantity::ZERO).min(rest)
            };
            rest = rest.checked_sub(units).unwrap_or_default();
            moves.push(Move { units, off: beside, window: span.window });
        }
        moves.retain(|one| !one.units.is_zero());
        moves
    }

    /// The records next to the edge, on the side that lacks them, that make up what has moved.
    fn run_at_edge(&self, one: &Move) -> Option<Run> {
        let (lacks, other) =
            if one.units.is_negative() { (self.window, one.window) } else { (one.window, self.window) };
        let moved = one.units.magnitude();
        if other.start < lacks.start {
            let end = lacks.start.checked_add(ZONES).ok()?.min(lacks.end);
            let near = self.range(Window { end, ..lacks });
            let mut ends = near.start..=near.end;
            let end = ends.find(|end| self.between(near.start, *end) == Some(moved))?;
            return Some(near.start..end);
        }
        let start = lacks.end.checked_sub(ZONES).ok()?.max(lacks.start);
        let near = self.range(Window { start, ..lacks });
        let from = (near.start..near.end).rev().find(|from| self.between(*from, near.end) == Some(moved))?;
        Some(from..near.end)
    }

    /// Whether all that Stripe shows is the ledger's, cut at other instants. A neighbour must say so too.
    fn is_moved_by_a_zone(&self, difference: &Difference) -> bool {
        let here = Span { window: self.window, total: difference.stripe };
        let beside: Vec<Span> = [self.asked.before, self.asked.after].into_iter().flatten().collect();
        let shows = |span: &Span, by: SignedDuration| {
            let moved = || {
                Some(Window {
                    start: span.window.start.checked_add(by).ok()?,
                    end: span.window.end.checked_add(by).ok()?,
                })
            };
            let units = moved().and_then(|window| self.units_in(window));
            units.is_some_and(|units| units.at_float_precision() == span.total)
        };
        if !beside.iter().any(|span| !shows(span, SignedDuration::ZERO)) {
            return false;
        }
        let mut offsets = (-STEPS..=STEPS).filter(|step| *step != 0).map(|step| STEP * step);
        offsets.any(|by| shows(&here, by) && beside.iter().all(|span| shows(span, by)))
    }

    /// The days that lie in the window, whole or not, with what Stripe shows of each whole day.
    fn days(&self) -> impl Iterator<Item = (Window, Quantity)> {
        let days = whole_days(self.window);
        days.into_iter().map(|day| (day, self.asked.days.get(&day.start).copied().unwrap_or_default()))
    }

    /// Records of a day that come to so much: one, or a run of them such as a batch or the whole day. Their ids, where they
    /// can be told from others.
    fn of_day(&self, day: Window, units: Quantity) -> Option<Vec<String>> {
        let range = self.range(day);
        let (mut runs, mut starts) = (Vec::new(), BTreeMap::new());
        for end in range.start..=range.end {
            let sum = *self.sums.get(end)?;
            let start = sum.checked_sub(units).ok().and_then(|before| starts.get(&before));
            runs.extend(start.map(|start| *start..end));
            // The shortest of the runs that end here.
            starts.insert(sum, end);
        }
        let ones: Vec<Run> = runs.iter().filter(|run| run.len() == 1).cloned().collect();
        match (&ones[..], &runs[..]) {
            ([one], _) | ([], [one]) => Some(self.ids(one.clone())),
            ([], []) => None,
            _ => Some(Vec::new()),
        }
    }

    fn ids(&self, range: Run) -> Vec<String> {
        self.records.get(range).unwrap_or_default().iter().map(|one| one.id.clone()).collect()
    }

    fn range(&self, window: Window) -> Run {
        let before = |instant: Timestamp| self.records.partition_point(|one| one.occurred_at < instant);
        before(window.start)..before(window.end)
    }

    fn units_in(&self, window: Window) -> Option<Quantity> {
        let range = self.range(window);
        self.between(range.start, range.end)
    }

    fn between(&self, start: usize, end: usize) -> Option<Quantity> {
        self.sums.get(end)?.checked_sub(*self.sums.get(start)?).ok()
    }
}

/// What days or neighbours are off by. Where that is more than the difference, they are off for another reason too, such as usage
/// that lies on another day of the window: then they tell nothing.
fn within(units: Quantity, difference: &Difference) -> Option<Account> {
    let is_within = units.magnitude() <= difference.units().magnitude();
    (is_within && !units.is_zero()).then(|| Account::of(units))
}

/// Records one after the other.
type Run = std::ops::Range<usize>;

/// Units on the wrong side of an edge.
struct Move {
    /// As they are a part of the difference.
    units: Quantity,
    /// As far as the neighbour is off.
    off: Quantity,
    /// The neighbour.
    window: Window,
}

/// What a record adds to the total. A gauge's readings add up to nothing, and are not asked for it.
fn units(record: &Seen, aggregation: Aggregation) -> Result<Quantity, NumberError> {
    match aggregation {
        Aggregation::Count if record.quantity.is_negative() => {
            Quantity::ZERO.checked_sub(Quantity::whole(1)?)
        }
        Aggregation::Count => Quantity::whole(1),
        Aggregation::Sum => Ok(record.quantity),
        Aggregation::Max | Aggregation::Last => Ok(Quantity::ZERO),
    }
}

/// The UTC days that a window lies in, whole.
pub fn whole_days(window: Window) -> Vec<Window> {
    let (first, end) = (window.start.as_second().div_euclid(DAY), window.end.as_second());
    let days = (first..).take_while(|day| day * DAY < end);
    let day = |day: i64| {
        let at = |day: i64| Timestamp::from_second(day * DAY).ok();
        Some(Window { start: at(day)?, end: at(day + 1)? })
    };
    days.map_while(day).collect()
}

/// Whether one is the other in another unit.
fn is_power_of_ten(ledger: Quantity, stripe: Quantity) -> bool {
    let mut both = [ledger, stripe].map(|units| units.at_float_precision().scaled());
    both.sort_by_key(|units| units.unsigned_abs());
    let [small, great] = both;
    let is_it = |power: u32| small.checked_mul(10i128.pow(power)) == Some(great);
    small != 0 && (1..=MOST_POWERS_OF_TEN).any(is_it)
}
