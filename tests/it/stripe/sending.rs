//! Meter events: what became of each, told by Stripe's answer and by nothing else.
//!
//! In: one event, and answers good, bad, lost or doubled. Out: the right [`Delivery`], and the same request each time.

use std::time::Duration;

use billrecon::domain::invoice::PayloadKeys;
use billrecon::domain::number::Quantity;
use billrecon::stripe::{Delivery, Limits, MeterEvent, StripeError};

use super::fake::{Asked, Fake, Reply, answer, error, ok, with_header};
use super::{limits, stripe, stripe_within};

/// The same answer to every attempt.
type Script = fn() -> Reply;

pub fn event() -> MeterEvent {
    MeterEvent {
        payload_keys: PayloadKeys::default(),
        event_name: "b2b_match_request".to_owned(),
        customer_id: "cus_1".to_owned(),
        identifier: "br-0123456789abcdef".to_owned(),
        further_key: String::from("further-key"),
        value: Quantity::parse("130.5").unwrap(),
        timestamp: "2026-10-31T23:59:00Z".parse().unwrap(),
    }
}

fn taken() -> Reply {
    ok(r#"{"object": "billing.meter_event", "identifier": "br-0123456789abcdef", "livemode": false}"#)
}

async fn delivery(replies: impl IntoIterator<Item = Reply>) -> (Delivery, Vec<Asked>) {
    let fake = Fake::in_turn(replies).await;
    let delivery = stripe(&fake).send_event(&event()).await.unwrap();
    (delivery, fake.asked())
}

#[tokio::test]
async fn an_event_carries_its_identifier_twice_and_its_value_in_full() {
    let (delivery, asked) = delivery([taken()]).await;
    assert_eq!(delivery, Delivery::Accepted { request_id: "req_fake".to_owned() });
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/v1/billing/meter_events"));
    assert_eq!(asked[0].headers["idempotency-key"], "br-0123456789abcdef");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    let form: Vec<(&str, &str)> =
        asked[0].form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        form,
        [
            ("event_name", "b2b_match_request"),
            ("identifier", "br-0123456789abcdef"),
            ("payload[stripe_customer_id]", "cus_1"),
            ("payload[value]", "130.5"),
            ("timestamp", "1793491140"),
        ]
    );
}

#[tokio::test]
async fn a_repetition_is_the_same_request_to_the_letter() {
    let troubles = [answer(500, "{}"), Reply::Cut("{}".repeat(100)), taken()];
    let (delivery, asked) = delivery(troubles).await;
    assert!(matches!(delivery, Delivery::Accepted { .. }), "{delivery:?}");
    assert_eq!(asked.len(), 3);
    for again in &asked[1..] {
        assert_eq!(again.headers["idempotency-key"], asked[0].headers["idempotency-key"]);
        assert_eq!(again.raw_body, asked[0].raw_body);
    }
}

#[tokio::test]
async fn a_stored_trouble_is_not_asked_for_again_but_got_round_with_another_key() {
    let stored = || with_header(answer(500, "{}"), "Idempotent-Replayed", "true");
    let there = || error(400, "invalid_request_error", "duplicate_meter_event", "duplicate");
    let (id, again) = ("br-0123456789abcdef", "further-key");
    for (replies, keys, expected) in [
        (vec![stored(), taken()], vec![id, again], "Accepted"),
        (vec![answer(500, "{}"), stored(), taken()], vec![id, id, again], "Accepted"),
        (vec![stored(), there()], vec![id, again], "AlreadyThere"),
        (vec![stored(), answer(500, "{}"), stored()], vec![id, again, again], "Unknown"),
        (vec![stored(), stored()], vec![id, again], "Unknown"),
    ] {
        let (delivery, asked) = delivery(replies).await;
        assert!(format!("{delivery:?}").starts_with(expected), "{delivery:?}");
        let sent: Vec<&str> = asked.iter().map(|one| one.headers["idempotency-key"].as_str()).collect();
        assert_eq!(sent, keys);
        // The event's own identifier, which protects from a second counting, never changes.
        assert!(asked.iter().all(|one| one.raw_body == asked[0].raw_body));
    }
}

#[tokio::test]
async fn an_event_that_stripe_has_already_is_there() {
    let words = "An event already exists with identifier br-0123456789abcdef.";
    let by_words = error(400, "invalid_request_error", "", words);
    let by_code = error(400, "invalid_request_error", "duplicate_meter_event", "duplicate");
    // Taken, but the answer was lost; the second attempt finds it there.
    for (replies, in_doubt) in [(vec![by_words], false), (vec![Reply::Close, by_code], true)] {
        let (delivery, _) = delivery(replies).await;
        assert_eq!(delivery, Delivery::AlreadyThere { in_doubt, request_id: "req_fake".to_owned() });
    }
}

#[tokio::test]
async fn an_event_that_stripe_refuses_is_rejected_with_stripes_words() {
    let message = "The event timestamp cannot be more than 35 days in past.";
    let (delivery, asked) =
        delivery([error(400, "invalid_request_error", "timestamp_too_far_in_past", message)]).await;
    let code = "timestamp_too_far_in_past".to_owned();
    let expected =
        Delivery::Rejected { code, message: message.to_owned(), request_id: "req_fake".to_owned() };
    assert_eq!(delivery, expected);
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_tell_leaves_the_event_unknown() {
    let doubts: [(Script, usize, &str); 9] = [
        (|| answer(503, "<html>"), 3, "status 503"),
        (|| Reply::Close, 3, "cannot be reached"),
        (|| Reply::Cut("{}".repeat(100)), 3, "cannot be reached"),
        (|| error(429, "x", "rate_limit", "slow down"), 3, "slow down"),
        (|| error(409, "x", "idempotency_key_in_use", "in use"), 3, "in use"),
        (|| error(400, "idempotency_error", "", "other parameters"), 1, "other values before"),
        (|| ok("<html>Log in to this network</html>"), 1, "cannot be understood"),
        (|| ok(r#"{"identifier": "another"}"#), 1, "another event"),
        (|| answer(413, "<html>too large</html>"), 1, "status 413"),
    ];
    for (reply, attempts, expected) in doubts {
        let fake = Fake::new(move |_, _| reply()).await;
        let delivery = stripe(&fake).send_event(&event()).await.unwrap();
        assert!(matches!(&delivery, Delivery::Unknown { why } if why.contains(expected)), "{delivery:?}");
        assert_eq!(fake.asked().len(), attempts, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_silent_server_leaves_the_event_unknown() {
    let fake = Fake::new(|_, _| Reply::Hang).await;
    let short = Limits { attempt_timeout: Duration::from_millis(500), ..limits() };
    let delivery = stripe_within(&fake, short).send_event(&event()).await.unwrap();
    assert!(
        matches!(&delivery, Delivery::Unknown { why } if why.contains("no whole answer")),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn only_a_refused_key_stops_all_sending() {
    let refusal = with_header(error(401, "x", "", "no such key"), "Stripe-Should-Retry", "true");
    let fake = Fake::in_turn([refusal]).await;
    let error = stripe(&fake).send_event(&event()).await.unwrap_err();
    assert!(matches!(error, StripeError::Unauthorized { status: 401, .. }), "{error:?}");
    assert_eq!(fake.asked().len(), 1);
}

/// The first attempt may have arrived: what the second one is told proves nothing.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_a_doubt() {
    let refusal = || error(400, "invalid_request_error", "meter_event_exists", "taken already");
    let (first, _) = delivery([Reply::Close, refusal()]).await;
    assert!(matches!(first, Delivery::Unknown { .. }), "{first:?}");
    let (first, _) = delivery([refusal()]).await;
    assert!(matches!(first, Delivery::Rejected { .. }), "{first:?}");
}
