//! Manners: keys, paths, parameters, idempotency, errors in Stripe's shape.

use serde_json::Value;

use super::{KEY, OCTOBER, Served, data, id};

#[test]
fn any_test_key_is_the_same_account_and_any_other_is_refused() {
    let sandbox = Served::new();
    let customer = sandbox.customer();
    let ask =
        |headers: &[(&str, &str)]| sandbox.send("GET", &format!("/v1/customers/{customer}"), &[], headers);
    // `sk_test_x:` and `rk_test_x:`
    for key in ["Bearer rk_test_other", "Basic c2tfdGVzdF94Og==", "Basic cmtfdGVzdF94Og=="] {
        assert_eq!(ask(&[("Authorization", key)]).ok()["id"], *customer);
    }
    let live = ask(&[("Authorization", "Bearer sk_live_0123456789")]);
    assert!(!live.text.contains("0123456789"), "a key is never repeated: {}", live.text);
    live.refused(401);
    ask(&[("Authorization", "Bearer nonsense")]).refused(401);
    let none = ask(&[]);
    assert_eq!(none.body["error"]["type"], "invalid_request_error");
    none.refused(401);
    let account = sandbox.get("/v1/account").ok();
    assert!(id(&account).starts_with("acct_sandbox"));
}

#[test]
fn every_answer_has_a_request_id_and_any_version_is_accepted() {
    let sandbox = Served::new();
    let mut seen = Vec::new();
    for path in ["/v1/account", "/v1/account", "/v1/nothing", "/v1/customers/cus_nobody"] {
        let answer = sandbox.send("GET", path, &[], &[KEY, ("Stripe-Version", "2019-01-01")]);
        assert_eq!(answer.headers["stripe-version"], "2019-01-01");
        seen.push(answer.headers["request-id"].clone());
    }
    assert!(seen.iter().all(|one| one.starts_with("req_")));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn what_is_unknown_is_named() {
    let sandbox = Served::new();
    let path = sandbox.get("/v1/usage_records");
    assert!(path.refused(404).starts_with("Unrecognized request URL (GET: /v1/usage_records)"));
    let removed = sandbox.get("/v1/invoices/upcoming?customer=cus_1").refused(404);
    assert!(removed.starts_with("Unrecognized request URL"), "{removed}");
    sandbox.get("/").refused(404);
    let gone = sandbox.get("/v1/customers/cus_nobody");
    assert_eq!(gone.refused(404), "No such customer: 'cus_nobody'");
    assert_eq!(gone.body["error"]["code"], "resource_missing");
    let strange = sandbox.post("/v1/customers", &[("name", "A"), ("colour", "red")]);
    assert_eq!(strange.refused(400), "Received unknown parameter: colour");
    assert_eq!(strange.body["error"]["code"], "parameter_unknown");
    assert_eq!(strange.body["error"]["param"], "colour");
    let nested = sandbox.post(
        "/v1/prices",
        &[("currency", "usd"), ("recurring[interval]", "month"), ("recurring[aggregate_usage]", "max")],
    );
    assert_eq!(nested.refused(400), "Received unknown parameter: recurring[aggregate_usage]");
    let missing = sandbox.post("/v1/subscriptions", &[("customer", &sandbox.customer())]);
    assert_eq!(missing.refused(400), "Missing required param: items.");
}

#[test]
fn what_was_done_is_not_refused_for_what_was_to_be_shown() {
    let sandbox = Served::new();
    sandbox.post("/v1/customers", &[("expand[]", "colour")]).ok();
    assert_eq!(data(&sandbox.get("/v1/customers").ok()).len(), 1);
}

#[test]
fn the_first_answer_to_a_key_is_repeated() {
    let sandbox = Served::new();
    let create = |name: &str, key: &str| {
        sandbox.send("POST", "/v1/customers", &[("name", name)], &[KEY, ("Idempotency-Key", key)])
    };
    let first = create("Acme", "one");
    assert_eq!(first.headers.get("idempotent-replayed"), None);
    let again = create("Acme", "one");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.text, first.text);
    let other = create("Other", "one");
    assert_eq!(other.body["error"]["type"], "idempotency_error");
    other.refused(400);
    assert_ne!(create("Acme", "two").body["id"], first.body["id"]);
    assert_eq!(data(&sandbox.get("/v1/customers").ok()).len(), 2);
    // A refusal is not kept.
    let wrong = sandbox.send("POST", "/v1/customers", &[("x", "y")], &[KEY, ("Idempotency-Key", "three")]);
    wrong.refused(400);
    create("Acme", "three").ok();
    sandbox.get("/v1/customers").ok();
    let clock = sandbox.clock();
    clock.advance(OCTOBER + 86_401);
    assert_ne!(create("Acme", "one").body["id"], first.body["id"], "forgotten after 24 hours");
}

#[test]
fn a_preview_with_a_key_is_repeated_though_usage_has_come_in() {
    let sandbox = Served::new();
    let meter = sandbox.meter("requests", "sum");
    let price = sandbox.metered_price(&meter, &[("unit_amount", "10")]);
    let customer = sandbox.customer();
    let subscription = id(&sandbox.subscribe(&customer, &[&price], &[]));
    let preview = || {
        let form = [("subscription", &*subscription)];
        let headers = [KEY, ("Idempotency-Key", "stale")];
        sandbox.send("POST", "/v1/invoices/create_preview", &form, &headers).text
    };
    let before = preview();
    sandbox.report("requests", &customer, "5", "e", OCTOBER).ok();
    assert_eq!(preview(), before, "as at Stripe: a preview must not have a key");
    assert_eq!(sandbox.preview(&subscription)["subtotal"], 50);
}

#[test]
fn a_preview_of_a_customer_as_a_whole_is_refused() {
    let sandbox = Served::new();
    let refused = sandbox.post("/v1/invoices/create_preview", &[("customer", &sandbox.customer())]);
    assert_eq!(
        refused.refused(400),
        "The Preview Invoice API only supports previewing the upcoming invoice for a specific subscription or \
         subscription schedule, not for a customer as a whole"
    );
    sandbox.post("/v1/invoices/create_preview", &[]).refused(400);
    let unsupported = [("subscription", "sub_1"), ("subscription_details[cancel_now]", "true")];
    sandbox.post("/v1/invoices/create_preview", &unsupported).refused(400);
}

#[test]
fn a_price_that_stripe_would_refuse_is_refused() {
    let sandbox = Served::new();
    let meter = sandbox.meter("requests", "sum");
    let metered = [("recurring[interval]", "month"), ("recurring[usage_type]", "metered")];
    let with_meter = [&metered[..], &[("recurring[meter]", &*meter)]].concat();
    let licensed = [("recurring[interval]", "month"), ("recurring[meter]", &*meter), ("unit_amount", "1")];
    let tiered = [("billing_scheme", "tiered"), ("tiers_mode", "graduated")];
    let tier = |up_to: &'static str| [("tiers[0][up_to]", up_to), ("tiers[0][unit_amount]", "1")];
    let refused: [Vec<(&str, &str)>; 9] = [
        [&metered[..], &[("unit_amount", "700")]].concat(),
        licensed.to_vec(),
        with_meter.clone(),
        [&with_meter[..], &[("unit_amount", "1"), ("unit_amount_decimal", "1.5")]].concat(),
        [&with_meter[..], &[("unit_amount_decimal", "0.0000000000001")]].concat(),
        [&with_meter[..], &[("unit_amount", "-1")]].concat(),
        [&with_meter[..], &tiered, &tier("10")].concat(),
        [&with_meter[..], &tiered, &tier("inf"), &[("unit_amount", "1")]].concat(),
        [&with_meter[..], &tiered, &tier("0")].concat(),
    ];
    for form in refused {
        let common = [("currency", "usd"), ("product_data[name]", "x")];
        sandbox.post("/v1/prices", &[&common[..], &form].concat()).refused(400);
    }
    assert!(data(&sandbox.get("/v1/products").ok()).is_empty(), "a refusal leaves nothing behind");
}

#[test]
fn prices_are_found_by_their_lookup_key_and_show_tiers_only_when_asked() {
    let sandbox = Served::new();
    let meter = sandbox.meter("requests", "sum");
    let tiers = [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("tiers[0][up_to]", "100"),
        ("tiers[0][unit_amount]", "0"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount_decimal]", "0.5"),
        ("lookup_key", "pro"),
    ];
    let price = sandbox.metered_price(&meter, &tiers);
    let plain = sandbox.get(&format!("/v1/prices/{price}")).ok();
    assert!(plain.get("tiers").is_none());
    let shown = sandbox.get(&format!("/v1/prices/{price}?expand[]=tiers")).ok();
    assert_eq!(shown["tiers"][1]["unit_amount_decimal"], "0.5");
    assert_eq!(shown["tiers"][1]["unit_amount"], Value::Null);
    assert_eq!(shown["tiers"][0]["up_to"], 100);
    let list = sandbox.get("/v1/prices?lookup_keys%5B0%5D=pro&active=true&expand%5B0%5D=data.tiers").ok();
    assert_eq!((data(&list).len(), &data(&list)[0]["tiers"][0]["unit_amount"]), (1, &0.into()));
    assert!(data(&sandbox.get("/v1/prices?lookup_keys[]=none").ok()).is_empty());
    sandbox.get(&format!("/v1/prices/{price}?expand[]=colour")).refused(400);
    let flat = sandbox.get(&format!("/v1/prices/{}?expand[]=tiers", sandbox.base_price("1"))).ok();
    assert!(flat.get("tiers").is_none(), "{flat}");
    // The key moves only when it is told to.
    let common =
        [("currency", "usd"), ("product_data[name]", "x"), ("unit_amount", "1"), ("lookup_key", "pro")];
    sandbox.post("/v1/prices", &common).refused(400);
    let moved =
        id(&sandbox.post("/v1/prices", &[&common[..], &[("transfer_lookup_key", "true")]].concat()).ok());
    assert_eq!(data(&sandbox.get("/v1/prices?lookup_keys[]=pro").ok())[0]["id"], moved);
}

#[test]
fn a_list_shows_the_newest_first_and_a_subscription_can_be_expanded() {
    let sandbox = Served::new();
    let customers: Vec<String> = (0..3).map(|_| sandbox.customer()).collect();
    let list = sandbox.get("/v1/customers?limit=2").ok();
    assert_eq!(data(&list).iter().map(id).collect::<Vec<_>>(), [&*customers[2], &customers[1]]);
    assert_eq!(list["has_more"], true);
    let price = sandbox.base_price("100");
    let subscription = id(&sandbox.subscribe(&customers[0], &[&price], &[]));
    let path = format!(
        "/v1/subscriptions/{subscription}?expand[]=customer&expand[]=latest_invoice&expand[]=items.data.price.product"
    );
    let shown = sandbox.get(&path).ok();
    assert_eq!(shown["customer"]["name"], "Acme");
    assert_eq!(shown["latest_invoice"]["subtotal"], 100);
    assert_eq!(shown["items"]["data"][0]["price"]["product"]["name"], "Base");
    let by_price = sandbox.get(&format!("/v1/subscriptions?price={price}&customer={}", customers[0])).ok();
    assert_eq!(data(&by_price).len(), 1);
}
