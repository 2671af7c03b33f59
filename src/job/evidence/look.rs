//! The second look: reads more about the meter totals that differ for no reason that is known.
//!
//! In: compared windows of an account where the application sends. Out: the same, compared once more with what days, neighbours
//! and single records tell; evidence lines. A few calls a tenant, for so many tenants a run. What cannot be read names no cause,
//! and never stops the run.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use crate::domain::catalog::Meter;
use crate::domain::intent::PushMode;
use crate::domain::number::NumberError;
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
use crate::store::ledger::Ledger;
use crate::stripe::{StripeError, Total};

/// Whoever has more differences than that has one cause for most of them, and finds it in these.
const TENANTS_PER_RUN: usize = 200;
/// Records of a window that are looked at one by one.
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
    #[error("it has {0} records, more than are looked at one by one")]
    TooMany(u64),
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
    /// Looks, compares once more, and tells what was looked at.
    pub async fn look(
        &self,
        mapped: &[Mapped],
        compared: &mut [Compared],
    ) -> Result<Vec<String>, NumberError> {
        if self.sides.wire.push == PushMode::Push {
            return Ok(Vec::new());
        }
        let mut wanted: Vec<(usize, &Mapped, Vec<&MeterUse>)> = Vec::new();
        let (mut tenants, mut left) = (BTreeSet::new(), BTreeSet::new());
        for (index, (one, rows)) in mapped.iter().zip(compared.iter()).enumerate() {
            let differs = |using: &&MeterUse| rows.rows.iter().any(|row| is_open(row, &using.meter));
            let meters: Vec<&MeterUse> = one.meters.iter().filter(differs).collect();
            if meters.is_empty() {
                continue;
            }
            if tenants.len() == TENANTS_PER_RUN && !tenants.contains(&one.tenant_id) {
                left.insert(&one.tenant_id);
                continue;
            }
            tenants.insert(&one.tenant_id);
            wanted.push((index, one, meters));
        }
        let looks = wanted
            .into_iter()
            .map(async |(index, one, meters)| (index, one, self.window(one, &meters).await));
        let mut looks = stream::iter(looks).buffered(self.sides.wire.stripe.at_a_time());
        let mut told = Vec::new();
        while let Some((index, one, (looks, lines))) = looks.next().await {
            told.extend(lines);
            compared[index] = self.sides.window(one, &looks)?;
        }
        if !left.is_empty() {
            told.push(not_looked_at(left.len()));
        }
        Ok(told)
    }

    async fn window(&self, one: &Mapped, meters: &[&MeterUse]) -> (Looks, Vec<String>) {
        let (mut looks, mut told) = (Looks::new(), Vec::new());
        for using in meters {
            let Some(at_stripe) = self.sides.standing.meters.get(&using.meter) else { continue };
            let answer = match self.meter(one, using, at_stripe).await {
                Ok(look) => {
                    let answer = tell(&look.asked);
                    looks.insert(using.meter.clone(), look);
                    answer
                }
                Err(blind) => format!("no cause is looked for: {blind}"),
            };
            told.push(line(one, "second_look", &at_stripe.id, "", &answer));
        }
        (looks, told)
    }

    async fn meter(&self, one: &Mapped, using: &MeterUse, at_stripe: &MeterAtStripe) -> Result<Look, Blind> {
        let count = using.targets.iter().map(|target| target.records).sum();
        if count > MOST_RECORDS {
            return Err(Blind::TooMany(count));
        }
        let now = self.sides.now;
        let [before, after] = neighbours(one, now);
        let days = days(one.window, before, after, now);
        let records = self.records(one, using, days).await?;
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
    async fn records(&self, one: &Mapped, using: &MeterUse, days: Window) -> Result<Vec<Seen>, StoreError> {
        let wide = Window {
            start: days.start.checked_sub(ZONES).unwrap_or(days.start),
            end: days.end.checked_add(ZONES).unwrap_or(days.end),
        };
        let stored = self.ledger.snapshot().await?.records(wide, &one.tenant_id, &using.meter).await?;
        let rule = self.meters.get(&using.meter).map(|meter| &meter.rule);
        let counts = stored.into_iter().filter(|stored| {
            rule.is_none_or(|rule| rule.admits(&stored.reading.outcome, &stored.reading.properties))
        });
        Ok(counts.map(|stored| Seen::new(stored.reading, stored.recorded_at)).collect())
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

fn not_looked_at(tenants: usize) -> String {
    let answer = format!(
        "{tenants} more tenants differ for no reason that is known; a run looks at {TENANTS_PER_RUN} of them once more"
    );
    serde_json::json!({
        "tenant_id": "", "window_start": "", "source": "second_look", "id": "", "request_id": "", "answer": answer,
    })
    .to_string()
}
