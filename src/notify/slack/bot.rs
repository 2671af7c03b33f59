//! A bot: it posts to a channel, knows where its message stands, and adds to its thread.
//!
//! In: a token, a channel, bodies and files. Out: the place of a message, or a [`SlackError`]. The token is a secret, and goes
//! to Slack only. A bot needs the scope `chat:write`, and `files:write` for files.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use slack_morphism::prelude::*;
use url::Url;

use crate::notify::slack::wire::Wire;
use crate::notify::slack::{Patience, SlackError};

/// Who posts, and where.
#[derive(Clone, Debug)]
pub struct Bot {
    pub token: SecretString,
    /// The channel's id.
    pub channel: String,
    /// Without a slash at its end.
    pub api_base: String,
    /// Whether reports go into the thread.
    pub files: bool,
}

/// Where a message stands, by Slack's own word.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    pub channel: String,
    pub ts: String,
}

/// Of an answer nothing is read but that it is there.
#[derive(Deserialize)]
struct Done {}

impl Bot {
    /// A new message.
    pub async fn post(&self, json: &str) -> Result<Place, SlackError> {
        let request = SlackApiChatPostMessageRequest::new(self.channel.clone().into(), content(json)?);
        self.post_message(&quiet(request)).await
    }

    /// A message in the thread of another; `broadcast`: the channel sees it as well.
    pub async fn reply(&self, place: &Place, json: &str, broadcast: bool) -> Result<(), SlackError> {
        let request = SlackApiChatPostMessageRequest::new(place.channel.clone().into(), content(json)?);
        let request = quiet(request).with_thread_ts(place.ts.clone().into()).with_reply_broadcast(broadcast);
        self.post_message(&request).await.map(drop)
    }

    /// Says something else in the same place.
    pub async fn update(&self, place: &Place, json: &str) -> Result<(), SlackError> {
        let (wire, token) = (self.wire()?, self.token());
        let channel = place.channel.clone().into();
        let request = SlackApiChatUpdateRequest::new(channel, content(json)?, place.ts.clone().into());
        let attempt = || async {
            let done = wire.call::<_, Done>(&token, "chat.update", &request).await;
            done.map(drop).map_err(|error| SlackError::of(&error))
        };
        Patience::default().tries(attempt).await
    }

    /// A file in the thread of a message.
    pub async fn upload(&self, place: &Place, path: &Path) -> Result<(), SlackError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let content = std::fs::read(path).map_err(|cause| SlackError::NoFile {
            file: path.display().to_string(),
            cause: cause.to_string(),
        })?;
        let wire = self.wire()?;
        Patience::for_files().tries(|| self.upload_once(&wire, place, &name, &content)).await
    }

    async fn upload_once(
        &self,
        wire: &Wire,
        place: &Place,
        name: &str,
        content: &[u8],
    ) -> Result<(), SlackError> {
        let (token, of) = (self.token(), |error| SlackError::of(&error));
        let request = SlackApiFilesGetUploadUrlExternalRequest::new(name.to_owned(), content.len());
        let given = wire.upload_address(&token, &request).await.map_err(of)?;
        if !self.is_slacks(given.upload_url.value()) {
            return Err(SlackError::Unclear);
        }
        let kind = "application/octet-stream".to_owned();
        let request = SlackApiFilesUploadViaUrlRequest::new(given.upload_url, content.to_vec(), kind);
        wire.upload(&token, &request).await.map_err(of)?;
        let file = SlackApiFilesComplete::new(given.file_id).with_title(name.to_owned());
        let request = SlackApiFilesCompleteUploadExternalRequest::new(vec![file])
            .with_channel_id(place.channel.clone().into())
            .with_thread_ts(place.ts.clone().into());
        let done = wire.call::<_, Done>(&token, "files.completeUploadExternal", &request).await;
        done.map(drop).map_err(of)
    }

    async fn post_message(&self, request: &SlackApiChatPostMessageRequest) -> Result<Place, SlackError> {
        let (wire, token) = (self.wire()?, self.token());
        let attempt = || async {
            let posted = wire.call(&token, "chat.postMessage", request).await;
            posted.map_err(|error| SlackError::of(&error))
        };
        Patience::default().tries(attempt).await
    }

    fn wire(&self) -> Result<Wire, SlackError> {
        Wire::to(&self.api_base)
    }

    fn token(&self) -> SlackApiToken {
        SlackApiToken::new(self.token.expose_secret().into())
    }

    /// The token goes with the file, so the address must be Slack's own, or that of the machine that stands for it.
    fn is_slacks(&self, url: &Url) -> bool {
        let base: Option<Url> = self.api_base.parse().ok();
        let same = |base: &Url| base.origin() == url.origin();
        let host = url.host_str().unwrap_or_default();
        let of_slack = url.scheme() == "https" && (host == "slack.com" || host.ends_with(".slack.com"));
        base.as_ref().is_some_and(same) || of_slack
    }
}

/// No previews of links below a message.
fn quiet(request: SlackApiChatPostMessageRequest) -> SlackApiChatPostMessageRequest {
    request.with_unfurl_links(false).with_unfurl_media(false)
}

/// The body of a webhook and the content of a message are the same.
fn content(json: &str) -> Result<SlackMessageContent, SlackError> {
    serde_json::from_str(json).map_err(|_| SlackError::NoMessage)
}
