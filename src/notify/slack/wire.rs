//! The connection to Slack: TLS, or plain to an address of this machine.
//!
//! In: an address, requests of slack-morphism. Out: its answers. An address is a secret, or may hold one: it is never shown.

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slack_morphism::ClientResult;
use slack_morphism::prelude::*;
use url::Url;

use crate::notify::slack::SlackError;

type Client<C> = SlackClient<SlackClientHyperConnector<C>>;

pub enum Wire {
    /// The configuration lets no address of another machine pass.
    Plain(Client<HttpConnector>),
    Tls(Client<HttpsConnector<HttpConnector>>),
}

/// The same words to either client.
macro_rules! ask {
    ($wire:expr, $client:ident => $answer:expr) => {
        match $wire {
            Wire::Plain($client) => $answer,
            Wire::Tls($client) => $answer,
        }
    };
}

impl Wire {
    /// `address` begins with the scheme; what follows is only the Web API's base.
    pub fn to(address: &str) -> Result<Self, SlackError> {
        match address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
            Some("http") => {
                let connector = SlackClientHyperConnector::with_connector(HttpConnector::new());
                Ok(Self::Plain(SlackClient::new(connector.with_slack_api_url(address))))
            }
            Some("https") => {
                let tls = HttpsConnectorBuilder::new()
                    .with_native_roots()
                    .map_err(|cause| SlackError::NoCertificates(cause.to_string()))?
                    .https_only()
                    .enable_http1()
                    .build();
                let connector = SlackClientHyperConnector::with_connector(tls);
                Ok(Self::Tls(SlackClient::new(connector.with_slack_api_url(address))))
            }
            _ => Err(SlackError::NoAddress),
        }
    }

    pub async fn webhook(&self, url: &Url, request: &SlackApiPostWebhookMessageRequest) -> ClientResult<()> {
        ask!(self, client => client.post_webhook_message(url, request).await.map(drop))
    }

    /// A method of the Web API; of its answer only what is asked for is read.
    pub async fn call<Q, A>(&self, token: &SlackApiToken, method: &str, request: &Q) -> ClientResult<A>
    where
        Q: Serialize + Send + Sync,
        A: DeserializeOwned + Send,
    {
        ask!(self, client => client.open_session(token).http_session_api.http_post(method, request, None).await)
    }

    pub async fn upload_address(
        &self,
        token: &SlackApiToken,
        request: &SlackApiFilesGetUploadUrlExternalRequest,
    ) -> ClientResult<SlackApiFilesGetUploadUrlExternalResponse> {
        ask!(self, client => client.open_session(token).get_upload_url_external(request).await)
    }

    pub async fn upload(
        &self,
        token: &SlackApiToken,
        request: &SlackApiFilesUploadViaUrlRequest,
    ) -> ClientResult<()> {
        ask!(self, client => client.open_session(token).files_upload_via_url(request).await.map(drop))
    }
}
