//! What travels, what is asked again, and what a bad network or a bad server does to a run.
//!
//! In: answers that are wrong in every way that was thought of. Out: the right error after the right number of requests,
//! and the key nowhere but in the Authorization header.

use std::time::Duration;

use billrecon::exit_code::ExitCode;
use billrecon::stripe::{Limits, RateLimit, Stripe, StripeError};
use tokio::io::AsyncReadExt;

use super::fake::{Fake, Reply, answer, error, ok, with_header};
use super::{CANARY, limits, october, stripe, stripe_within, target};

const ACCOUNT: &str = r#"{"id": "acct_1", "object": "account", "charges_enabled": true}"#;
const HTML: &str = "<html><body>502 Bad Gateway</body></html>";

type Fits = fn(&StripeError) -> bool;

#[tokio::test]
async fn a_request_names_key_version_and_program_and_nothing_else() {
    let fake = Fake::in_turn([ok(ACCOUNT)]).await;
    let account = stripe(&fake).account().await.unwrap();
    assert_eq!((account.id.as_str(), account.livemode, account.is_sandbox()), ("acct_1", false, false));
    let asked = &fake.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/v1/account"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(asked.headers["stripe-version"], "2026-09-30.endive");
    assert_eq!(asked.headers["user-agent"], concat!("billrecon/", env!("CARGO_PKG_VERSION")));
    let names: Vec<&str> = asked.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["accept", "authorization", "host", "stripe-version", "user-agent"]);
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let fake = Fake::new(|_, _| ok(ACCOUNT)).await;
    let stripe = stripe(&fake);
    for _ in 0..20 {
        stripe.clone().account().await.unwrap();
    }
    let connections: Vec<usize> = fake.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [1; 20]);
}

#[tokio::test]
async fn a_refused_key_is_asked_about_once_and_concerns_all() {
    for status in [401, 403] {
        let refusal =
            error(status, "invalid_request_error", "", &format!("Invalid API Key provided: {CANARY}"));
        let fake = Fake::in_turn([with_header(refusal, "Stripe-Should-Retry", "true")]).await;
        let error = stripe(&fake).account().await.unwrap_err();
        assert!(matches!(error, StripeError::Unauthorized { .. }), "{error:?}");
        assert!(error.concerns_all());
        assert_eq!(error.request_id(), "req_fake");
        assert_eq!(fake.asked().len(), 1);
        assert_eq!(ExitCode::of(&error.into()), ExitCode::Permission);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    let elsewhere = Fake::new(|_, _| ok(ACCOUNT)).await;
    for status in [301, 302, 307, 308] {
        let redirect = with_header(answer(status, ""), "Location", &format!("{}v1/account", elsewhere.url()));
        let fake = Fake::in_turn([redirect]).await;
        let error = stripe(&fake).account().await.unwrap_err();
        assert!(matches!(error, StripeError::Unavailable { status: Some(found), .. } if found == status));
        assert!(error.to_string().contains("redirect"), "{error}");
        assert_eq!(fake.asked().len(), 1);
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_passing_trouble_is_waited_out() {
    let troubles = [
        answer(502, HTML),
        Reply::Cut(ACCOUNT.to_owned()),
        error(429, "invalid_request_error", "rate_limit", "slow down"),
        Reply::Close,
    ];
    let fake = Fake::in_turn(troubles.into_iter().chain([ok(ACCOUNT)])).await;
    assert_eq!(stripe(&fake).account().await.unwrap().id, "acct_1");
    assert_eq!(fake.asked().len(), 5);
    let troubles =
        [answer(200, HTML), ok(""), error(409, "api_error", "lock_timeout", "busy"), answer(500, "{}")];
    let fake = Fake::in_turn(troubles.into_iter().chain([Reply::Slow(ACCOUNT.to_owned())])).await;
    assert_eq!(stripe(&fake).account().await.unwrap().id, "acct_1");
}

#[tokio::test]
async fn a_lasting_trouble_is_told_with_its_status_after_five_attempts() {
    let told = async |reply: fn() -> Reply| {
        let fake = Fake::new(move |_, _| reply()).await;
        let error = stripe(&fake).account().await.unwrap_err();
        assert!(!error.concerns_all());
        assert_eq!(ExitCode::of(&error.clone().into()), ExitCode::TryAgain, "{error}");
        (error, fake.asked().len())
    };
    let (error, asked) = told(|| answer(502, HTML)).await;
    assert!(matches!(&error, StripeError::Unavailable { status: Some(502), .. }), "{error:?}");
    assert_eq!((asked, error.request_id()), (5, "req_fake"));
    let (error, asked) = told(rate_limit).await;
    assert!(
        matches!(&error, StripeError::RateLimited { message, .. } if message == "slow down"),
        "{error:?}"
    );
    assert_eq!(asked, 5);
    let (error, asked) = told(|| ok(HTML)).await;
    assert!(matches!(&error, StripeError::Undecodable { .. }), "{error:?}");
    assert_eq!((asked, error.request_id()), (5, "req_fake"));
    let (error, asked) = told(|| Reply::Cut(ACCOUNT.to_owned())).await;
    assert!(matches!(&error, StripeError::Unavailable { status: Some(200), .. }), "{error:?}");
    assert_eq!(asked, 5);
}

fn rate_limit() -> Reply {
    error(429, "invalid_request_error", "rate_limit", "slow down")
}

#[tokio::test]
async fn an_answer_that_would_be_the_same_again_is_asked_for_once() {
    let same: [(Reply, Fits); 4] = [
        (
            error(404, "invalid_request_error", "resource_missing", "no"),
            |error| matches!(error, StripeError::Refused { status: 404, code, .. } if code == "resource_missing"),
        ),
        (with_header(answer(500, "{}"), "Stripe-Should-Retry", "false"), |error| {
            matches!(error, StripeError::Unavailable { status: Some(500), .. })
        }),
        (
            ok(r#"{"id": 7}"#),
            |error| matches!(error, StripeError::Undecodable { what, .. } if what.starts_with("id is not a text")),
        ),
        (with_header(rate_limit(), "Retry-After", "3600"), |error| {
            matches!(error, StripeError::RateLimited { .. })
        }),
    ];
    for (reply, fits) in same {
        let fake = Fake::in_turn([reply]).await;
        let error = stripe(&fake).account().await.unwrap_err();
        assert!(fits(&error), "{error:?}");
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_tells_what_its_headers_said() {
    let reasons = [
        ("global-rate", RateLimit::GlobalRate),
        ("global-concurrency", RateLimit::GlobalConcurrency),
        ("endpoint-rate", RateLimit::EndpointRate),
        ("endpoint-concurrency", RateLimit::EndpointConcurrency),
        ("resource-specific", RateLimit::ResourceSpecific),
        ("lunar-rate", RateLimit::Other("lunar-rate".to_owned())),
        ("", RateLimit::Unnamed),
    ];
    for (word, expected) in reasons {
        let refusal = with_header(rate_limit(), "Stripe-Should-Retry", "false");
        let fake = Fake::in_turn([with_header(refusal, "Stripe-Rate-Limited-Reason", word)]).await;
        let StripeError::RateLimited { reason, hints, .. } = stripe(&fake).account().await.unwrap_err()
        else {
            panic!("{word}")
        };
        assert_eq!((reason, hints.should_retry, hints.replayed), (expected, Some(false), false));
    }
    let locked = with_header(error(429, "x", "lock_timeout", "busy"), "Stripe-Should-Retry", "true");
    let fake = Fake::new(move |_, _| locked.clone()).await;
    let error = stripe(&fake).account().await.unwrap_err();
    assert!(
        matches!(error, StripeError::RateLimited { reason: RateLimit::ResourceSpecific, .. }),
        "{error:?}"
    );
    assert_eq!(fake.asked().len(), 5);
    let stored = with_header(answer(500, "{}"), "Idempotent-Replayed", "true");
    let fake = Fake::in_turn([stored]).await;
    let error = stripe(&fake).account().await.unwrap_err();
    let StripeError::Unavailable { status: Some(500), hints, .. } = error else { panic!("{error:?}") };
    assert_eq!((hints.should_retry, hints.replayed), (None, true));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_a_second_attempt() {
    let fake = Fake::new(|_, _| Reply::Hang).await;
    let short = Limits { attempt_timeout: Duration::from_millis(500), ..limits() };
    let error = stripe_within(&fake, short).account().await.unwrap_err();
    assert!(matches!(&error, StripeError::Unavailable { status: None, .. }), "{error:?}");
    assert!(error.to_string().contains("no whole answer within 500ms"), "{error}");
    assert!(fake.asked().len() <= 2);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let fake = Fake::new(|_, _| ok(format!(r#"{{"id": "{}"}}"#, "x".repeat(5_000)))).await;
    let small = Limits { answer_bytes: 4_096, ..limits() };
    let error = stripe_within(&fake, small).account().await.unwrap_err();
    assert!(
        matches!(&error, StripeError::Undecodable { what, .. } if what.contains("4096 bytes")),
        "{error:?}"
    );
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_unreachable() {
    let gone = {
        let fake = Fake::new(|_, _| Reply::Close).await;
        fake.url()
    };
    // Its port may be taken by another test in between, which then hangs up or answers nonsense: unreachable as well.
    let error = Stripe::with_limits(target(&gone), limits()).unwrap().account().await.unwrap_err();
    assert!(matches!(&error, StripeError::Unavailable { .. }), "{error:?}");
    assert_eq!(ExitCode::of(&error.into()), ExitCode::TryAgain);
}

#[tokio::test]
async fn a_secure_address_never_gets_a_plain_request() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_base = format!("https://{}/", listener.local_addr().unwrap());
    let first_bytes = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        bytes[..count].to_vec()
    });
    let error = Stripe::with_limits(target(&api_base), limits()).unwrap().account().await.unwrap_err();
    assert!(matches!(&error, StripeError::Unavailable { .. }), "{error:?}");
    let bytes = first_bytes.await.unwrap();
    // A TLS handshake record.
    assert_eq!(bytes[..2], [0x16, 0x03]);
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
}

#[tokio::test]
async fn the_key_is_in_no_error_and_in_no_debug_text() {
    let echoes: [Reply; 6] = [
        error(400, CANARY, CANARY, &format!("No such key: '{CANARY}'")),
        with_header(error(401, "x", "y", CANARY), "Request-Id", CANARY),
        ok(format!(r#"{{"id": ["{CANARY}"]}}"#)),
        ok(format!(r#"{{"data": "{CANARY}", "has_more": false}}"#)),
        with_header(error(429, "x", "y", CANARY), "Stripe-Should-Retry", "false"),
        error(404, "x", "y", &format!("{}{CANARY}", "x".repeat(280))),
    ];
    for reply in echoes {
        let fake = Fake::in_turn([reply]).await;
        let stripe = stripe(&fake);
        let error = stripe.invoices(october(), |_| true).await.unwrap_err();
        for text in
            [format!("{error}"), format!("{error:?}"), format!("{stripe:?}"), format!("{:?}", target("x"))]
        {
            assert!(!text.contains("canary51") && !text.contains("sk_test"), "{text}");
        }
    }
}
