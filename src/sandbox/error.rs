//! What can go wrong: with the sandbox itself, and with one request.
//!
//! In: a fault. Out: words for a person ([`SandboxError`]), or an answer in the shape of Stripe's errors ([`ApiError`]).
//! Never repeats an API key.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::manners::Reason;
use super::objects::ACCOUNT;

/// The sandbox cannot start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox's journal {path} cannot be read or written: {cause}")]
    Journal { path: PathBuf, cause: std::io::Error },
    #[error("another sandbox works on {0}: stop it, or give this one a state file of its own")]
    InUse(PathBuf),
    #[error(
        "{path} line {line} is damaged ({problem}): restore the file from a copy, or begin with a new state file"
    )]
    Damaged { path: PathBuf, line: usize, problem: String },
    #[error("the sandbox cannot listen on {address}: {cause}")]
    Listen { address: String, cause: std::io::Error },
    #[error("the sandbox cannot be seeded: {0}")]
    Seed(String),
    #[error("the manners file {path} cannot be used: {problem}")]
    Manners { path: PathBuf, problem: String },
}

/// An error answer.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    pub headers: Vec<(&'static str, String)>,
}

impl ApiError {
    /// 400 `invalid_request_error`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            param: None,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// A 400 about one parameter.
    pub fn parameter(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: Some(code), param: Some(param.into()), ..Self::invalid(message) }
    }

    /// A 400 about one parameter for which Stripe has no code.
    pub fn about(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::invalid(message) }
    }

    pub fn missing_parameter(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("Missing required param: {param}.");
        Self::parameter("parameter_missing", param, message)
    }

    /// A path that names an object which does not exist.
    pub fn not_found(what: &str, id: &str) -> Self {
        Self { status: 404, ..Self::missing(what, id, "id") }
    }

    /// A parameter that names an object which does not exist.
    pub fn missing(what: &str, id: &str, param: &str) -> Self {
        Self::parameter("resource_missing", param, format!("No such {what}: '{}'", shown(id)))
    }

    pub fn unknown_path(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {}). The sandbox knows a subset of Stripe's billing API.",
            shown(path)
        );
        Self { status: 404, ..Self::invalid(message) }
    }

    pub fn unauthorized(message: &str) -> Self {
        Self { status: 401, ..Self::invalid(message) }
    }

    /// Never says which key.
    pub fn expired_key() -> Self {
        Self::unauthorized("Expired API Key provided: **********************").with_code("api_key_expired")
    }

    /// A restricted key that may not do this.
    pub fn forbidden(permission: impl std::fmt::Display) -> Self {
        let message = format!(
            "The provided key 'rk_test_**********' does not have the required permissions for this endpoint on account \
             '{ACCOUNT}'. Having the '{permission}' permission would allow this request to continue."
        );
        Self { status: 403, ..Self::invalid(message) }
    }

    pub fn rate_limited(reason: Reason, retry_after: Option<u64>) -> Self {
        let message = "Request rate limit exceeded. You can learn more about rate limits here \
                       https://stripe.com/docs/rate-limits.";
        let error = Self { status: 429, ..Self::invalid(message) }.with_code("rate_limit");
        let error = error.with_header("stripe-rate-limited-reason", reason.as_str());
        match retry_after {
            Some(seconds) => error.with_header("retry-after", seconds.to_string()),
            None => error,
        }
    }

    pub fn lock_timeout() -> Self {
        let message = "This object cannot be accessed right now because another API request or Stripe process is \
                       currently accessing it. If you see this error intermittently, retry the request.";
        let error = Self { status: 429, ..Self::invalid(message) }.with_code("lock_timeout");
        error.with_header("stripe-should-retry", "true")
    }

    pub fn other_parameters(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{}' if you meant to execute a different request.",
            shown(key)
        );
        Self { kind: "idempotency_error", ..Self::invalid(message) }
    }

    /// The sandbox itself has failed.
    pub fn internal(message: &str) -> Self {
        Self { status: 500, kind: "api_error", ..Self::invalid(message) }
    }

    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    #[must_use]
    pub fn never_retry(self) -> Self {
        self.with_header("stripe-should-retry", "false")
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(&self) -> Value {
        let mut error = json!({"message": self.message, "type": self.kind});
        if let Some(code) = self.code {
            error["code"] = json!(code);
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        json!({ "error": error })
    }
}

/// What a client sent, short enough to be repeated.
fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}
