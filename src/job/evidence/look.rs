//! The second look: reads more about the meter totals that differ for no reason that is known.
//!
//! In: compared windows of an account where the application sends. Out: the same, compared once more with what days, neighbours
//! and single records tell; evidence lines. A few calls a tenant, for so many tenants a run, those with the most money first. What
//! cannot be read names no cause, and never stops the run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::domain::aggregation::Reading;
use crate::domain::catalog::Meter;
use crate::domain::intent::PushMode;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;
use crate::domain::reconcile::{
    Asked, Cause, Look, ReconciliationRow, Seen, Source, Span, ZONES, whole_days,
};
use crate::job::compare::{Compared, Looks, Sides, invoice};
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::line;
use crate::job::stage::Stage;
use crate::job::standing::MeterAtStripe;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, LedgerSnapshot};
use crate::stripe::{StripeError, Total};

/// Whoever has more differences than that has one cause for most of them, and finds it in these.
const TENANTS_PER_RUN: usize = 200;
/// Records of a window and of the time beside it that are looked at one by one.
const MOST_RECORDS: u64 = 50_000;
/// How much of the time beside a window is looked at.
const LONGEST_NEIGHBOUR: SignedDuration = SignedDuration::from_hours(31 * 24);

pub struct SecondLook<'a> {
    pub sides: Sides<'a>,
    pub meters: &'a BTreeMap<String, Meter>,
    pub ledger: &'a Ledger,
    pub settle_delay: SignedDuration,
}

/// Why a look says nothing.
#[derive(Debug, thiserror::Error)]
enum Blind {
    #[error(
        "it has more than {MOST_RECORDS} records with those beside it, and no more are looked at one by one"
    )]
    TooMany,
    #[error(
        "a run looks at {TENANTS_PER_RUN} tenants once more; those that close now and those with more money come first"
    )]
    NotAmongTheWorst,
    #[error("the customer is not there")]
    NoCustomer,
    #[error("the ledger's records are not what Stripe is to see")]
    OtherRecords,
    #[error("{0}")]
    Stripe(#[from] StripeError),
    #[error("the ledger cannot be read: {0}")]
    Ledger(#[from] StoreError),
    #[error("the sum of the records {0}")]
    Number(#[from] NumberError),
}

impl SecondLook<'_> {
    /// Looks, compares once more, and tells what was looked at and what was not.
    pub async fn look(&self, mapped: &[Mapped], compared: &mut [Compared]) -> anyhow::Result<Vec<String>> {
        let wanted = match self.sides.wire.push {
            PushMode::Push => Vec::new(),
            PushMode::Observe => worst_first(mapped, compared),
        };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut tenants: BTreeSet<String> = BTreeSet::new();
        let is_looked_at = |one: &Differing<'_>| {
            let (id, has_room) = (&one.window.tenant_id, tenants.len() < TENANTS_PER_RUN);
            tenants.contains(id) || (has_room && tenants.insert(id.clone()))
        };
        let (wanted, left): (Vec<_>, Vec<_>) = wanted.into_iter().partition(is_looked_at);
        // One for all: a connection each would take more than there are.
        let mut ledger = self.ledger.snapshot().await?;
        ledger.know(self.meters);
        let ledger = Mutex::new(ledger);
        let looks = wanted.iter().map(async |one| (one, self.window(one, &ledger).await));
        let mut looks = stream::iter(looks).buffered(self.sides.wire.stripe.at_a_time());
        let mut told = Vec::new();
        while let Some((one, (looks, lines))) = looks.next().await {
            told.extend(lines);
            compared[one.index] = self.sides.window(one.window, &looks)?;
        }
        told.extend(left.iter().flat_map(|one| self.not_looked_at(one)));
        warn_of(&left);
        Ok(told)
    }

    async fn window(&self, one: &Differing<'_>, ledger: &Mutex<LedgerSnapshot>) -> (Looks, Vec<String>) {
        let (mut looks, mut told) = (Looks::new(), Vec::new());
        for using in &one.meters {
            let Some(at_stripe) = self.sides.standing.meters.get(&using.meter) else { continue };
            let answer = match self.meter(one.window, using, at_stripe, ledger).await {
                Ok(look) => {
                    let answer = tell(&look.asked);
                    looks.insert(using.meter.clone(), look);
                    answer
                }
                Err(blind) => no_cause(&blind),
            };
            told.push(line(one.window, "second_look", &at_stripe.id, "", &answer));
        }
        (looks, told)
    }

    fn not_looked_at(&self, one: &Differing<'_>) -> Vec<String> {
        let meters = one.meters.iter().filter_map(|using| self.sides.standing.meters.get(&using.meter));
        let told = |meter: &MeterAtStripe| {
            line(one.window, "second_look", &meter.id, "", &no_cause(&Blind::NotAmongTheWorst))
        };
        meters.map(told).collect()
    }

    async fn meter(
        &self,
        one: &Mapped,
        using: &MeterUse,
        at_stripe: &MeterAtStripe,
        ledger: &Mutex<LedgerSnapshot>,
    ) -> Result<Look, Blind> {
        let now = self.sides.now;
        let [before, after] = neighbours(one, now);
        let days = days(one.window, before, after, now);
        let records = self.records(one, using, days, ledger).await?;
        let final_at = invoice(one, self.sides.standing)
            .filter(|invoice| one.stage == Stage::Final && invoice.has_left_draft())
            .and_then(|invoice| invoice.finalizes_at);
        let young_since = now.saturating_sub(self.settle_delay).unwrap_or(now);
        let mut look = Look::new(one.window, using.aggregation, records, final_at, young_since)?;
        if !look.speaks_of(using.expected.quantity) {
            return Err(Blind::OtherRecords);
        }
        let stripe = &self.sides.wire.stripe;
        look.asked = Asked {
            days: stripe.meter_days(&at_stripe.id, &one.customer_id, days).await?,
            before: self.span(one, at_stripe, before).await?,
            after: self.span(one, at_stripe, after).await?,
        };
        Ok(look)
    }

    /// Those that count, a day and more around all that Stripe is asked about.
    async fn records(
        &self,
        one: &Mapped,
        using: &MeterUse,
        days: Window,
        ledger: &Mutex<LedgerSnapshot>,
    ) -> Result<Vec<Seen>, Blind> {
        let wide = Window {
            start: days.start.checked_sub(ZONES).unwrap_or(days.start),
            end: days.end.checked_add(ZONES).unwrap_or(days.end),
        };
        let rule = self.meters.get(&using.meter).map(|meter| &meter.rule);
        let counting = |reading: Reading, recorded_at| {
            let counts = rule.is_none_or(|rule| rule.admits(&reading.outcome, &reading.properties));
            counts.then(|| Seen::new(reading, recorded_at))
        };
        let meter = (one.tenant_id.as_str(), using.meter.as_str());
        let records = ledger.lock().await.readings(wide, meter, MOST_RECORDS, counting).await?;
        records.ok_or(Blind::TooMany)
    }

    async fn span(
        &self,
        one: &Mapped,
        at_stripe: &MeterAtStripe,
        window: Option<Window>,
    ) -> Result<Option<Span>, Blind> {
        let Some(window) = window else { return Ok(None) };
        match self.sides.wire.stripe.meter_total(&at_stripe.id, &one.customer_id, window).await? {
            Total::Counted(total) => Ok(Some(Span { window, total: total.quantity })),
            Total::NoCustomer { .. } => Err(Blind::NoCustomer),
        }
    }
}

/// A window with totals that differ for no reason that is known.
struct Differing<'a> {
    /// Among those that were compared.
    index: usize,
    window: &'a Mapped,
    meters: Vec<&'a MeterUse>,
}

/// Those that close now, as nobody looks at them again, and among them those with the most money; where nothing is charged, with
/// the most units.
fn worst_first<'a>(mapped: &'a [Mapped], compared: &[Compared]) -> Vec<Differing<'a>> {
    let mut all = Vec::new();
    for (index, (window, Compared { rows, .. })) in mapped.iter().zip(compared).enumerate() {
        let differs = |using: &&MeterUse| rows.iter().any(|row| is_open(row, &using.meter));
        let meters: Vec<&MeterUse> = window.meters.iter().filter(differs).collect();
        if meters.is_empty() {
            continue;
        }
        let of_usage = rows.iter().filter(|row| meters.iter().any(|using| using.meter == row.meter));
        let money = of_usage.clone().filter_map(|row| row.difference_amount()?.checked_abs()).max();
        let units =
            of_usage.filter_map(ReconciliationRow::difference_quantity).map(Quantity::magnitude).max();
        let place = (window.stage != Stage::Final, Reverse((money, units)));
        all.push((place, Differing { index, window, meters }));
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, one)| one).collect()
}

/// Whether a meter's total differs by more than is explained.
fn is_open(row: &ReconciliationRow, meter: &str) -> bool {
    row.source == Source::MeterTotal
        && row.meter == meter
        && row.is_difference()
        && matches!(row.reason, None | Some(Cause::AggregationMismatch))
        && row.unexplained_quantity().is_some_and(|units| !units.is_zero())
}

/// The time before and after a window, as far as it has come.
fn neighbours(one: &Mapped, now: Timestamp) -> [Option<Window>; 2] {
    let Window { start, end } = one.window;
    let length = end.duration_since(start).min(LONGEST_NEIGHBOUR);
    let before = start.checked_sub(length).ok().map(|from| Window { start: from, end: start });
    let after = end.checked_add(length).ok().map(|to| Window { start: end, end: to.min(now) });
    [before, after.filter(|after| after.start < after.end)]
}

/// All of it in whole UTC days.
fn days(window: Window, before: Option<Window>, after: Option<Window>, now: Timestamp) -> Window {
    let start = before.map_or(window.start, |before| before.start);
    let end = after.map_or(window.end.min(now), |after| after.end);
    let days = whole_days(Window { start, end });
    match (days.first(), days.last()) {
        (Some(first), Some(last)) => Window { start: first.start, end: last.end },
        _ => window,
    }
}

fn tell(asked: &Asked) -> String {
    let beside = |span: Option<Span>| span.map_or("not asked for".to_owned(), |span| span.total.to_string());
    let (before, after) = (beside(asked.before), beside(asked.after));
    format!("{} days with usage; before the window {before}, after it {after}", asked.days.len())
}

fn no_cause(blind: &Blind) -> String {
    format!("no cause is looked for: {blind}")
}

fn warn_of(left: &[Differing<'_>]) {
    let tenants: BTreeSet<&str> = left.iter().map(|one| one.window.tenant_id.as_str()).collect();
    if let Some(first) = left.first() {
        tracing::warn!(
            "{} tenants differ for no reason that is known, beyond the {TENANTS_PER_RUN} that a run looks at once more; \
             the worst of them: {} (reconciliation.csv has their money, and no reason)",
            tenants.len(),
            first.window.tenant_id
        );
    }
}
