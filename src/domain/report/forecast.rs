//! The table of forecasts, and jumps as exceptions.
//!
//! In: forecasts of open windows, jumps of windows that close. Out: `forecast.csv` with `n/a` for what cannot be said, and a
//! row of `exceptions.csv` for each jump. Never a decision: nothing stops for a forecast or a jump.

use crate::domain::forecast::Forecast;
use crate::domain::history::{Jump, Jumped};
use crate::domain::report::{Cell, Exception, ExceptionKind, Report, Table, number, text, word};

/// A window that closed with far more or far less than its tenant's others.
pub fn jumped(one: &Jumped<'_>) -> Exception {
    let (side, ask) = match one.jump {
        Jump::Up => ("at least three times", "ask the tenant, or look for records that are there twice"),
        Jump::Down => ("at most a third of", "look whether its records still arrive"),
    };
    let (mean, windows) = (one.mean, one.windows);
    Exception {
        tenant_id: one.window.tenant_id.clone(),
        kind: ExceptionKind::Jump,
        reason: one.jump.as_str().to_owned(),
        plan: one.plan.key.clone(),
        meter: one.meter.to_owned(),
        tenant_name: one.window.tenant_name.clone(),
        records: one.records,
        quantity: one.used.to_string(),
        next_step: format!("{side} {mean}, the mean of the {windows} closed windows before it: {ask}"),
        amount: None,
    }
}

impl Report {
    pub(super) fn forecast_rows(&self) -> Table<'_> {
        let period = self.period;
        Table {
            name: "forecast",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "elapsed_share",
                "used",
                "quota",
                "forecast_quantity",
                "forecast_share",
                "forecast_amount_minor",
                "forecast_amount",
                "currency",
                "history_windows",
                "history_mean",
                "jump",
                "interval",
                "segment_start",
                "segment_end",
            ],
            rows: Box::new(self.forecasts.iter().map(move |one| {
                vec![
                    word(period.to_string()),
                    text(&one.tenant_id),
                    text(&one.plan.key),
                    text(&one.meter),
                    Cell::Instant(one.window.start.to_string()),
                    Cell::Instant(one.window.end.to_string()),
                    Cell::Number(one.elapsed.to_string()),
                    Cell::Number(one.used.to_string()),
                    number(one.quota),
                    said(one.quantity),
                    share(one),
                    said(one.amount.map(|amount| amount.minor)),
                    said(one.amount),
                    word(one.plan.currency.to_string()),
                    Cell::Number(one.past.windows.to_string()),
                    number(one.past.mean()),
                    text(one.jump.map_or("", Jump::as_str)),
                    text(one.plan.interval.as_str()),
                    Cell::Instant(one.range.start.to_string()),
                    Cell::Instant(one.range.end.to_string()),
                ]
            })),
        }
    }
}

/// Without a quota there is no share; with one it may be that nobody can say.
fn share(one: &Forecast) -> Cell<'_> {
    if one.quota.is_none() { number(None::<u64>) } else { said(one.share) }
}

fn said<'a>(value: Option<impl ToString>) -> Cell<'a> {
    Cell::Number(value.map_or("n/a".to_owned(), |value| value.to_string()))
}
