//! The story: what happens to the company, in the order of its days, with the job's wakes between.
//!
//! In: settings of an empty folder. Out: a database, a sandbox's journal and reports, and the story on the terminal. Each
//! step takes its instant from the list; no clock is read.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use crate::commands::demo::JOURNAL;
use crate::commands::demo::company::{
    APPLICATION_SENDS, CATALOG, EVENT_NAME, mended_tenants, tenants, usage,
};
use crate::commands::demo::telling::Telling;
use crate::domain::invoice::PayloadKeys;
use crate::domain::number::Quantity;
use crate::job::import::{self, Input};
use crate::job::{self, RunOptions, Settings};
use crate::sandbox::{Clock, Sandbox, Seed, State};
use crate::stripe::{Delivery, MeterEvent, Stripe, Target};

enum Deed {
    /// The job wakes, after the month's export was imported as it is then.
    Wake(&'static str),
    /// The same when the month's invoices are final: it is judged, and Slack is told. The other wakes do without Slack,
    /// so that one that does not answer holds up the demo twice at most.
    LastWake(&'static str),
    /// The company's own application sends usage to Stripe.
    ApplicationSends,
    /// The team mends what September has shown.
    TeamMends,
}

const SEPTEMBER: &str = "2026-09";
const OCTOBER: &str = "2026-10";

/// The real job wakes every hour; these are the hours in which something happens.
const STORY: [(&str, Deed); 12] = [
    ("2026-09-03T06:05:00Z", Deed::Wake(SEPTEMBER)),
    ("2026-09-16T06:05:00Z", Deed::Wake(SEPTEMBER)),
    ("2026-09-20T15:30:00Z", Deed::ApplicationSends),
    ("2026-09-30T22:05:00Z", Deed::Wake(SEPTEMBER)),
    // The invoices of September are drafts for an hour.
    ("2026-10-01T00:05:00Z", Deed::Wake(SEPTEMBER)),
    ("2026-10-01T02:05:00Z", Deed::LastWake(SEPTEMBER)),
    ("2026-10-02T09:00:00Z", Deed::TeamMends),
    ("2026-10-05T06:05:00Z", Deed::Wake(OCTOBER)),
    ("2026-10-16T06:05:00Z", Deed::Wake(OCTOBER)),
    ("2026-10-31T22:05:00Z", Deed::Wake(OCTOBER)),
    ("2026-11-01T00:05:00Z", Deed::Wake(OCTOBER)),
    ("2026-11-01T02:05:00Z", Deed::LastWake(OCTOBER)),
];

pub async fn play(settings: &Settings, folder: &Path) -> anyhow::Result<()> {
    let first: Timestamp = STORY[0].0.parse()?;
    let last = STORY[STORY.len() - 1].0;
    import::catalog(settings, input(folder, "catalog.toml", CATALOG)?, Duration::ZERO, first).await?;
    let tenants =
        import::tenants(settings, input(folder, "tenants.csv", &tenants())?, Duration::ZERO, first).await?;
    let mut telling = Telling::begin(settings, tenants.tenants)?;
    for (at, deed) in STORY {
        let now: Timestamp = at.parse()?;
        match deed {
            Deed::Wake(month) | Deed::LastWake(month) => {
                let mut settings = settings.clone();
                let told = settings.slack.destination.take();
                settings.slack.destination = told.filter(|_| matches!(deed, Deed::LastWake(_)));
                let export = input(folder, &format!("usage-{month}.csv"), &usage(month, at))?;
                let accepted = import::usage(&settings, export, now, |_| ()).await?.counts.accepted;
                // The steps of a wake hold much; the story should not.
                let wake = Box::pin(job::run(&settings, &RunOptions::default(), now)).await?;
                telling.wake(wake, month, accepted, at == last)?;
            }
            Deed::ApplicationSends => {
                application_sends(&folder.join(JOURNAL), now).await?;
                let (_, units) = APPLICATION_SENDS;
                telling.happens(
                    now,
                    &format!("the application sends {units} requests of t225 to Stripe itself"),
                )?;
            }
            Deed::TeamMends => {
                let mended = input(folder, "tenants-mended.csv", &mended_tenants())?;
                let mended = import::tenants(settings, mended, Duration::ZERO, now).await?;
                let text = format!(
                    "the team mends {} tenants from October on (tenants-mended.csv), and the application stops \
                     sending usage",
                    mended.tenants
                );
                telling.happens(now, &text)?;
            }
        }
    }
    telling.end()
}

/// Keeps the file for the person who looks, and hands its text to the importer.
fn input(folder: &Path, name: &str, text: &str) -> anyhow::Result<Input> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Input { name: path.display().to_string(), reader: Box::new(Cursor::new(text.to_owned())) })
}

/// Somebody else's push, past the job, on the way that the application would take.
async fn application_sends(journal: &Path, now: Timestamp) -> anyhow::Result<()> {
    let (customer_id, units) = APPLICATION_SENDS;
    let sandbox = Sandbox::start(State::File(journal.to_owned()), Clock::At(now), &Seed::default()).await?;
    let api_key = "sk_test_billrecon_demo_application".to_owned().into();
    let stripe = Stripe::new(Target { api_base: sandbox.base_url(), api_key })?;
    let event = MeterEvent {
        event_name: EVENT_NAME.to_owned(),
        payload_keys: PayloadKeys::default(),
        customer_id: customer_id.to_owned(),
        identifier: "application-2026-09-20".to_owned(),
        further_key: String::new(),
        value: Quantity::parse(units)?,
        timestamp: now,
    };
    let delivery = stripe.send_event(&event).await;
    sandbox.stop().await;
    match delivery? {
        Delivery::Accepted { .. } => Ok(()),
        refused => anyhow::bail!("the sandbox does not take the application's event: {refused:?}"),
    }
}
