//! The outbox is emptied: what was decided on goes to Slack, each part of it once.
//!
//! In: messages that are not sent, or not wholly. Out: what has arrived, saved part by part, so that the next run goes on from
//! there. Its failure changes nothing but a warning. A bot's message takes the place of the one before about the same, and the
//! thread says so.

use std::path::Path;

use crate::job::Settings;
use crate::job::lease::Lease;
use crate::notify::slack::{self, Bot, Destination, Place, SlackError};
use crate::store::books::Unsent;
use crate::store::{Books, StoreError};

/// What goes into the thread, where the run has made it.
const FILES: [&str; 2] = ["report.html", "report.xlsx"];

/// What a person has to know of a message that did not arrive as it should.
enum Trouble {
    /// The next run goes on with it.
    Later(SlackError),
    /// The rest of it never will; the message itself has arrived.
    Never(SlackError),
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Oldest first. Where only one message is refused, the others go on. With a lease it ends when the lease does.
pub async fn send(settings: &Settings, lease: Option<&Lease>, books: &Books) -> anyhow::Result<()> {
    let Some(destination) = &settings.slack.destination else { return Ok(()) };
    for mut one in books.snapshot().await?.unsent_messages().await? {
        if let Some(lease) = lease {
            lease.term()?;
        }
        if !claim(&one, books).await? {
            continue;
        }
        let (is_sent, problem) = match send_one(destination, &mut one, books).await {
            Ok(()) => (true, None),
            Err(Trouble::Never(error)) => (true, Some(error)),
            Err(Trouble::Later(error)) => (false, Some(error)),
            Err(Trouble::Store(error)) => return Err(error.into()),
        };
        let words = problem.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut append = books.append().await?;
        append.settle_message(&one.message.message_id, is_sent, &words).await?;
        append.commit().await?;
        let Some(error) = problem else { continue };
        warn(&one, is_sent, &words);
        if !is_sent && !error.is_of_one_message() {
            break;
        }
    }
    Ok(())
}

fn warn(one: &Unsent, is_sent: bool, problem: &str) {
    let of = match one.message.run_id.as_str() {
        "" => one.message.topic.clone(),
        run_id => format!("run {run_id}"),
    };
    if is_sent {
        tracing::warn!("the Slack message of {of} was sent, and its files were not: {problem}");
    } else {
        tracing::warn!("the Slack message of {of} was not sent: {problem}; the next run sends it");
    }
}

async fn claim(one: &Unsent, books: &Books) -> Result<bool, StoreError> {
    let mut append = books.append().await?;
    let is_ours = append.claim_message(one).await?;
    append.commit().await?;
    Ok(is_ours)
}

async fn send_one(destination: &Destination, one: &mut Unsent, books: &Books) -> Result<(), Trouble> {
    match destination {
        Destination::Webhook(webhook) => {
            slack::post(webhook, &one.message.body).await.map_err(Trouble::Later)
        }
        Destination::Bot(bot) => send_by_bot(bot, one, books).await,
    }
}

/// Message, thread, files: each is saved when it has arrived.
async fn send_by_bot(bot: &Bot, one: &mut Unsent, books: &Books) -> Result<(), Trouble> {
    if one.steps == 0 {
        let place = post(bot, one, books).await?;
        (one.channel, one.ts) = (place.channel, place.ts);
        arrived(one, books).await?;
    }
    let place = Place { channel: one.channel.clone(), ts: one.ts.clone() };
    if one.steps == 1 {
        if !one.message.details.is_empty() {
            bot.reply(&place, &one.message.details, false).await.map_err(Trouble::Later)?;
        }
        arrived(one, books).await?;
    }
    if !bot.files || one.message.folder.is_empty() {
        return Ok(());
    }
    for (step, file) in (2..).zip(FILES) {
        let path = Path::new(&one.message.folder).join(file);
        // A run of an earlier version has no such file, and somebody may have taken the folder away.
        if one.steps > step || !path.is_file() {
            continue;
        }
        bot.upload(&place, &path).await.map_err(|error| {
            if error.is_lasting() { Trouble::Never(error) } else { Trouble::Later(error) }
        })?;
        one.steps = step;
        arrived(one, books).await?;
    }
    Ok(())
}

async fn arrived(one: &mut Unsent, books: &Books) -> Result<(), StoreError> {
    one.steps += 1;
    let mut append = books.append().await?;
    append.save_steps(one).await?;
    append.commit().await
}

/// In the place of what was said before about the same, so that nobody reads what no longer holds; or as a new message.
async fn post(bot: &Bot, one: &Unsent, books: &Books) -> Result<Place, Trouble> {
    let message = &one.message;
    let before = match message.followup.as_str() {
        "" => None,
        _ => books.snapshot().await?.place_of(&message.topic, &message.subject).await?,
    };
    if let Some((channel, ts)) = before.filter(|(channel, _)| *channel == bot.channel) {
        let place = Place { channel, ts };
        match bot.update(&place, &message.body).await {
            Ok(()) => {
                bot.reply(&place, &message.followup, true).await.map_err(Trouble::Later)?;
                return Ok(place);
            }
            // Somebody has deleted it, or it may no longer be changed.
            Err(SlackError::Gone) => {}
            Err(error) => return Err(Trouble::Later(error)),
        }
    }
    bot.post(&message.body).await.map_err(Trouble::Later)
}
