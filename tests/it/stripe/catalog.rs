//! Prices, meters, subscriptions and meter totals over one page and over many.
//!
//! In: lists of a server that pages well, badly or forever. Out: every element once, or an error; never a part of a list.

use billrecon::domain::catalog::PriceRef;
use billrecon::domain::invoice::MeterTotal;
use billrecon::domain::period::Window;
use billrecon::stripe::{StripeError, Total};

use super::fake::{Asked, Fake, Reply, error, list, ok};
use super::stripe;

fn price(id: &str, lookup_key: &str) -> String {
    format!(
        r#"{{"id": "{id}", "active": true, "livemode": false, "currency": "try", "lookup_key": "{lookup_key}",
             "billing_scheme": "tiered", "tiers_mode": "graduated", "recurring": {{"interval": "month", "meter": "mtr_1"}},
             "tiers": [{{"up_to": 100, "unit_amount": 0}}, {{"up_to": null, "unit_amount": 700}}]}}"#
    )
}

fn subscription(id: &str, has_more_items: bool) -> String {
    format!(
        r#"{{"id": "{id}", "customer": "cus_{id}", "status": "active",
             "items": {{"data": [{}], "has_more": {has_more_items}}}}}"#,
        item(&format!("si_{id}"))
    )
}

fn item(id: &str) -> String {
    format!(
        r#"{{"id": "{id}", "price": {{"id": "price_1"}}, "current_period_start": 1790812800, "current_period_end": 1793491200}}"#
    )
}

fn counted(answer: Result<Total, StripeError>) -> MeterTotal {
    let Ok(Total::Counted(total)) = answer else { panic!("{answer:?}") };
    total
}

fn cursors(asked: &[Asked]) -> Vec<Option<&str>> {
    asked.iter().map(|asked| asked.query.get("starting_after").map(String::as_str)).collect()
}

#[tokio::test]
async fn a_price_comes_with_its_tiers_by_id_and_by_lookup_key() {
    let fake =
        Fake::in_turn([ok(price("price_1", "pro")), ok(list(&[price("price_1", "pro")], false))]).await;
    let stripe = stripe(&fake);
    let by_id = stripe.price(&PriceRef::Id("price_1".to_owned())).await.unwrap().unwrap();
    let by_key = stripe.price(&PriceRef::LookupKey("pro".to_owned())).await.unwrap().unwrap();
    assert_eq!(by_id, by_key);
    assert_eq!(by_id.free_units().unwrap().to_string(), "100");
    let asked = fake.asked();
    assert_eq!(
        (asked[0].path.as_str(), asked[0].query["expand[0]"].as_str()),
        ("/v1/prices/price_1", "tiers")
    );
    assert_eq!(asked[1].path, "/v1/prices");
    assert_eq!(asked[1].query["lookup_keys[0]"], "pro");
    assert_eq!(asked[1].query["expand[0]"], "data.tiers");
    assert_eq!(asked[1].query["active"], "true");
}

#[tokio::test]
async fn a_price_that_stripe_does_not_have_is_none_and_a_wrong_one_is_an_error() {
    let missing = error(404, "invalid_request_error", "resource_missing", "No such price: 'price_1'");
    let replies = [
        missing,
        ok(list(&[], false)),
        // A server of another kind, and one that ignores what was asked.
        error(404, "", "", "no route"),
        ok(price("price_2", "pro")),
        ok(list(&[price("price_2", "other")], false)),
    ];
    let fake = Fake::in_turn(replies).await;
    let stripe = stripe(&fake);
    let (id, key) = (PriceRef::Id("price_1".to_owned()), PriceRef::LookupKey("pro".to_owned()));
    assert_eq!(stripe.price(&id).await, Ok(None));
    assert_eq!(stripe.price(&key).await, Ok(None));
    assert!(matches!(stripe.price(&id).await, Err(StripeError::Refused { status: 404, .. })));
    assert!(matches!(stripe.price(&id).await, Err(StripeError::Undecodable { .. })));
    assert!(matches!(stripe.price(&key).await, Err(StripeError::Undecodable { .. })));
}

#[tokio::test]
async fn all_pages_are_read_and_an_element_on_two_of_them_counts_once() {
    let pages = [
        ok(list(&[subscription("1", false), subscription("2", false)], true)),
        // One was created while we read: the second page begins with the end of the first.
        ok(list(&[subscription("2", false), subscription("3", false)], true)),
        ok(list(&[], false)),
    ];
    let fake = Fake::in_turn(pages).await;
    let found = stripe(&fake).subscriptions_with_price("price_1").await.unwrap();
    assert!(found.unread.is_empty());
    let ids: Vec<&str> = found.read.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let asked = fake.asked();
    assert_eq!(cursors(&asked), [None, Some("2"), Some("3")]);
    for one in &asked {
        assert_eq!(one.path, "/v1/subscriptions");
        let query = ["limit", "price", "status"].map(|name| one.query[name].as_str());
        assert_eq!(query, ["100", "price_1", "all"]);
    }
}

#[tokio::test]
async fn a_list_that_does_not_advance_is_an_error_and_not_a_loop() {
    let again = || ok(list(&[subscription("1", false)], true));
    let empty = || ok(list(&[], true));
    for (reply, requests) in [(again as fn() -> Reply, 2), (empty as fn() -> Reply, 1)] {
        let fake = Fake::new(move |_, _| reply()).await;
        let error = stripe(&fake).subscriptions_with_price("price_1").await.unwrap_err();
        assert!(
            matches!(&error, StripeError::Undecodable { what, .. } if what.contains("nothing new")),
            "{error:?}"
        );
        assert_eq!(fake.asked().len(), requests);
    }
}

#[tokio::test]
async fn a_page_that_fails_fails_the_list() {
    let fake = Fake::in_turn([
        ok(list(&[subscription("1", false)], true)),
        error(400, "invalid_request_error", "resource_missing", "no such cursor"),
    ])
    .await;
    let error = stripe(&fake).subscriptions_with_price("price_1").await.unwrap_err();
    assert!(matches!(error, StripeError::Refused { status: 400, .. }), "{error:?}");
}

#[tokio::test]
async fn the_items_of_a_large_subscription_are_read_to_the_end_or_said_to_be_incomplete() {
    let reads = |fails: bool| {
        move |asked: &Asked, _: usize| match asked.path.as_str() {
            "/v1/subscriptions" => ok(list(&[subscription("1", true)], false)),
            "/v1/subscription_items" if fails => error(404, "x", "y", "no such path"),
            _ => ok(list(&[item("si_1"), item("si_2")], false)),
        }
    };
    for (fails, items, complete) in [(false, 2, true), (true, 1, false)] {
        let fake = Fake::new(reads(fails)).await;
        let found = stripe(&fake).subscriptions_with_price("price_1").await.unwrap();
        assert_eq!((found.read[0].items.len(), found.read[0].items_complete), (items, complete));
        let unread: Vec<_> = found.unread.iter().map(|one| (one.id.as_deref(), &*one.request_id)).collect();
        assert_eq!(unread, if fails { vec![(Some("1"), "req_fake")] } else { vec![] });
        assert_eq!(fake.asked()[1].query["subscription"], "1");
    }
}

#[tokio::test]
async fn a_meters_total_is_asked_for_in_whole_minutes_and_summed_exactly_over_all_pages() {
    let summary = |id: u8, value: &str| format!(r#"{{"id": "mtrusg_{id}", "aggregated_value": {value}}}"#);
    let fake = Fake::in_turn([
        ok(list(&[summary(1, "0.1"), summary(2, "1.3e2")], true)),
        ok(list(&[summary(3, "0.2")], false)),
    ])
    .await;
    let window = Window {
        start: "2026-10-01T00:00:30Z".parse().unwrap(),
        end: "2026-11-01T00:00:30Z".parse().unwrap(),
    };
    let total = counted(stripe(&fake).meter_total("mtr_1", "cus_1", window).await);
    assert_eq!((total.quantity.to_string().as_str(), total.request_id.as_str()), ("130.3", "req_fake"));
    let asked = fake.asked();
    assert_eq!(asked[0].path, "/v1/billing/meters/mtr_1/event_summaries");
    let query = ["customer", "start_time", "end_time", "limit"].map(|name| asked[0].query[name].as_str());
    assert_eq!(query, ["cus_1", "1790812800", "1793491260", "100"]);
    assert_eq!(cursors(&asked), [None, Some("mtrusg_2")]);
}

#[tokio::test]
async fn a_meter_that_counted_nothing_has_the_total_zero_and_an_unreadable_one_has_none() {
    let fake =
        Fake::in_turn([ok(list(&[], false)), ok(list(&[r#"{"aggregated_value": null}"#.into()], false))])
            .await;
    let stripe = stripe(&fake);
    let nothing = counted(stripe.meter_total("mtr_1", "cus_1", super::october()).await);
    assert!(nothing.quantity.is_zero());
    let error = stripe.meter_total("mtr_1", "cus_1", super::october()).await.unwrap_err();
    assert!(
        matches!(&error, StripeError::Undecodable { what, .. } if what.starts_with("data[0].aggregated_value"))
    );
}

#[tokio::test]
async fn meters_are_listed_to_the_last_page() {
    let meter = |id: &str| {
        format!(
            r#"{{"id": "{id}", "event_name": "calls", "status": "active", "default_aggregation": {{"formula": "sum"}}}}"#
        )
    };
    let fake = Fake::in_turn([ok(list(&[meter("mtr_1")], true)), ok(list(&[meter("mtr_2")], false))]).await;
    let meters = stripe(&fake).meters().await.unwrap();
    assert_eq!(meters.read.iter().map(|meter| meter.id.as_str()).collect::<Vec<_>>(), ["mtr_1", "mtr_2"]);
    assert_eq!(fake.asked()[0].path, "/v1/billing/meters");
}
