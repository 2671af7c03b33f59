//! One object of a list that is not understood: kept apart with its id, its request and what is wrong; the others go on.
//!
//! In: lists with a broken, a new or a strange element. Out: what was read, and what was not. Never an error for the whole
//! list, unless the list itself is broken.

use billrecon::domain::invoice::{Invoice, Unread};
use billrecon::stripe::{StripeError, Total};

use super::fake::{Fake, error, list, ok};
use super::{CANARY, october, stripe};

/// An invoice of `sub_ID` with one line of usage.
fn invoice(id: &str) -> String {
    format!(
        r#"{{"id": "in_{id}", "status": "paid", "customer": "cus_{id}", "billing_reason": "subscription_cycle",
             "created": 1793491200, "currency": "try", "total": 0, "amount_due": 0, "parent": {{"subscription_details": {{"subscription": "sub_{id}"}}}},
             "lines": {{"has_more": false, "data": [{{"id": "il_{id}", "amount": 700, "currency": "try", "quantity": 1,
               "pricing": {{"price_details": {{"price": "price_1"}}}},
               "period": {{"start": 1790812800, "end": 1793491200}}}}]}}}}"#
    )
}

fn subscription(id: &str) -> String {
    format!(
        r#"{{"id": "sub_{id}", "customer": "cus_{id}", "status": "active", "items": {{"has_more": false, "data": [
             {{"id": "si_{id}", "price": "price_1", "current_period_start": 1790812800,
               "current_period_end": 1793491200}}]}}}}"#
    )
}

fn changed(object: &str, from: &str, to: &str) -> String {
    assert!(object.contains(from), "{from}");
    object.replacen(from, to, 1)
}

async fn invoices(elements: &[String]) -> (Vec<Invoice>, Vec<Unread>) {
    let fake = Fake::in_turn([ok(list(elements, false))]).await;
    let listing = stripe(&fake).invoices(october(), |_| true).await.unwrap();
    (listing.read, listing.unread)
}

fn unread(id: Option<&str>, subscription_id: Option<&str>, what: &str) -> Unread {
    Unread {
        id: id.map(str::to_owned),
        subscription_id: subscription_id.map(str::to_owned),
        what: what.to_owned(),
        request_id: "req_fake".to_owned(),
    }
}

#[tokio::test]
async fn an_invoice_that_is_not_understood_names_whose_it_is_and_what_is_wrong() {
    let (id, of) = (Some("in_b"), Some("sub_b"));
    for (from, to, expected) in [
        (
            r#""paid""#,
            r#""melted""#,
            unread(id, of, "data[1].status is not an invoice status that we know: `\"melted\"`"),
        ),
        ("700", r#""?""#, unread(id, of, "data[1].lines.data[0].amount is not a decimal number: `\"?\"`")),
        (r#""has_more": false, "data""#, r#""data""#, unread(id, of, "data[1].lines.has_more is missing")),
        (r#""in_b""#, "7", unread(None, of, "data[1].id is not a text: `7`")),
        (
            r#""sub_b""#,
            "7",
            unread(id, None, "data[1].parent.subscription_details.subscription is not a text: `7`"),
        ),
        (
            r#""created": 1793491200"#,
            r#""created": "soon""#,
            unread(id, of, "data[1].created is not a decimal number: `\"soon\"`"),
        ),
    ] {
        let broken = changed(&invoice("b"), from, to);
        let (read, found) = invoices(&[invoice("a"), broken, invoice("c")]).await;
        assert_eq!(read.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["in_a", "in_c"], "{from}");
        assert_eq!(found, [expected]);
    }
    let (read, found) = invoices(&["[1]".to_owned(), invoice("a")]).await;
    assert_eq!((read.len(), found), (1, vec![unread(None, None, "data[0] is not an object: `[1]`")]));
}

#[tokio::test]
async fn what_next_year_brings_is_read_where_it_is_of_no_matter() {
    for (from, to) in [
        (r#""subscription_cycle""#, r#""moon_phase""#),
        (
            r#""pricing": {"#,
            r#""parent": {"type": "tide_details", "tide_details": {"height": 1.5}}, "pricing": {"type": "tidal", "#,
        ),
        (r#""status": "paid","#, r#""status": "paid", "lunar": [{"x": 1e400}],"#),
    ] {
        let (read, found) = invoices(&[changed(&invoice("a"), from, to)]).await;
        assert_eq!((read.len(), found.len()), (1, 0), "{to}");
        assert_eq!(read[0].lines[0].price_id.as_deref(), Some("price_1"));
    }
}

#[tokio::test]
async fn a_page_that_is_no_page_is_an_error_of_the_whole_list() {
    for body in [r#"{"data": {}, "has_more": false}"#, r#"{"data": []}"#, "[]"] {
        let fake = Fake::in_turn([ok(body)]).await;
        let error = stripe(&fake).invoices(october(), |_| true).await.unwrap_err();
        assert!(matches!(error, StripeError::Undecodable { .. }), "{error:?}");
    }
    // Without its id nobody can ask for what comes after it.
    let fake = Fake::in_turn([ok(list(&["7".to_owned()], true))]).await;
    assert!(stripe(&fake).invoices(october(), |_| true).await.is_err());
}

#[tokio::test]
async fn what_is_wrong_is_told_without_the_key() {
    let (_, found) = invoices(&[changed(&invoice("a"), "paid", CANARY)]).await;
    assert!(!format!("{found:?}").contains("canary51"), "{found:?}");
}

#[tokio::test]
async fn only_invoices_of_interest_cost_a_request_for_their_lines() {
    let long = |id| changed(&invoice(id), r#""has_more": false"#, r#""has_more": true"#);
    let fake = Fake::new(move |asked, _| match asked.path.as_str() {
        "/v1/invoices" => ok(list(&[long("a"), long("b")], false)),
        "/v1/invoices/in_b/lines" => ok(list(
            &[r#"{"id": "il_1", "amount": 1, "currency": "try", "period": {"start": 1, "end": 2}}"#
                .to_owned()],
            false,
        )),
        path => panic!("{path}"),
    })
    .await;
    let is_b = |invoice: &Invoice| invoice.subscription_id.as_deref() == Some("sub_b");
    let read = stripe(&fake).invoices(october(), is_b).await.unwrap().read;
    assert_eq!(read.iter().map(|one| one.lines_complete).collect::<Vec<_>>(), [false, true]);
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn a_subscription_that_is_not_understood_or_not_wholly_is_named_and_the_others_are_read() {
    let elements = [
        changed(&subscription("a"), r#""cus_a""#, "null"),
        changed(&subscription("b"), "active", "hibernating"),
        subscription("c"),
        changed(&subscription("d"), r#""cus_d""#, r#"{"id": "cus_d", "deleted": true}"#),
    ];
    let fake = Fake::in_turn([ok(list(&elements, false))]).await;
    let listing = stripe(&fake).subscriptions_with_price("price_1").await.unwrap();
    let read: Vec<(&str, bool, bool)> =
        listing.read.iter().map(|one| (&*one.id, one.status.is_some(), one.customer_deleted)).collect();
    assert_eq!(read, [("sub_b", false, false), ("sub_c", true, false), ("sub_d", true, true)]);
    let expected = [
        unread(Some("sub_a"), None, "data[0].customer is missing"),
        unread(Some("sub_b"), None, "its status is none that we know"),
    ];
    assert_eq!(listing.unread, expected);
}

#[tokio::test]
async fn a_meter_that_is_not_understood_is_kept_apart() {
    let meter = |id: &str| format!(r#"{{"id": "{id}", "event_name": "calls", "status": "active"}}"#);
    let elements = [changed(&meter("mtr_1"), r#""calls""#, "null"), meter("mtr_2")];
    let fake = Fake::in_turn([ok(list(&elements, false))]).await;
    let listing = stripe(&fake).meters().await.unwrap();
    assert_eq!((listing.read.len(), &*listing.read[0].id), (1, "mtr_2"));
    assert_eq!(listing.unread, [unread(Some("mtr_1"), None, "data[0].event_name is missing")]);
}

#[tokio::test]
async fn a_customer_that_stripe_does_not_have_is_told_from_a_missing_meter() {
    let missing = |status, message: &str| error(status, "invalid_request_error", "resource_missing", message);
    let replies = [
        missing(404, "No such customer: 'cus_1'"),
        missing(400, "No such customer: 'cus_1'; a similar object exists in live mode"),
        missing(404, "No such billing meter: 'mtr_1'"),
        error(400, "invalid_request_error", "parameter_invalid", "customer cus_1 is odd"),
    ];
    let fake = Fake::in_turn(replies).await;
    let stripe = stripe(&fake);
    for is_gone in [true, true, false, false] {
        let answer = stripe.meter_total("mtr_1", "cus_1", october()).await;
        match answer {
            Ok(Total::NoCustomer { request_id }) => assert!(is_gone && request_id == "req_fake"),
            Err(StripeError::Refused { .. }) => assert!(!is_gone),
            other => panic!("{other:?}"),
        }
    }
}
