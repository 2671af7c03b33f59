//! `create_preview` with other items: what the next invoice would be, and nothing else.
//!
//! In: a subscription with usage, and items to be replaced, added or left out. Out: lines at the other prices, for the whole
//! window; the subscription and the journal as they were. What is not to be had here is refused with words.

use std::fs;

use serde_json::Value;

use super::{DAY, OCTOBER, Served, data, figures, id, pairs};

/// A subscription with a base of 50.00 and a metered price of 0; 130 requests are counted.
struct Site {
    sandbox: Served,
    meter: String,
    subscription: Value,
}

impl Site {
    fn new() -> Self {
        let sandbox = Served::new();
        let meter = sandbox.meter("requests", "sum");
        let zero = sandbox.metered_price(&meter, &[("unit_amount", "0")]);
        let customer = sandbox.customer();
        let subscription = sandbox.subscribe(&customer, &[&sandbox.base_price("5000"), &zero], &[]);
        sandbox.report("requests", &customer, "130", "e", OCTOBER).ok();
        // Days later: what is counted anew from now on would be nothing.
        sandbox.clock().advance(OCTOBER + 9 * DAY);
        Self { sandbox, meter, subscription }
    }

    /// A metered price with so many tiers of 20 units each, each one cent dearer.
    fn tiered(&self, tiers: usize, more: &[(&str, &str)]) -> String {
        let mut form = vec![("billing_scheme".to_owned(), "tiered".to_owned())];
        form.push(("tiers_mode".to_owned(), "graduated".to_owned()));
        for tier in 0..tiers {
            let up_to = if tier + 1 == tiers { "inf".to_owned() } else { ((tier + 1) * 20).to_string() };
            form.push((format!("tiers[{tier}][up_to]"), up_to));
            form.push((format!("tiers[{tier}][unit_amount]"), tier.to_string()));
            form.push((format!("tiers[{tier}][flat_amount]"), "1".to_owned()));
        }
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.sandbox.metered_price(&self.meter, &[&form[..], more].concat())
    }

    /// The item that has a meter, or the base fee's.
    fn item(&self, is_metered: bool) -> String {
        let items = data(&self.subscription["items"]);
        let of_kind = |item: &&Value| item["price"]["recurring"]["meter"].is_string() == is_metered;
        id(items.iter().find(of_kind).unwrap())
    }

    fn ask(&self, form: &[(&str, &str)]) -> super::Answer {
        let subscription = id(&self.subscription);
        let always = [("subscription", &*subscription)];
        self.sandbox.post("/v1/invoices/create_preview", &[&always[..], form].concat())
    }

    fn previewed(&self, items: &[(&str, &str)]) -> Value {
        let form = [&[("subscription_details[proration_behavior]", "none")][..], items].concat();
        self.ask(&form).ok()
    }
}

const ITEM: &str = "subscription_details[items][0][id]";
const PRICE: &str = "subscription_details[items][0][price]";

#[test]
fn a_replaced_price_is_charged_for_the_whole_window_and_nothing_is_changed() {
    let site = Site::new();
    let (item, price) = (site.item(true), site.tiered(2, &[]));
    let before = fs::read(site.sandbox.state()).unwrap();
    let shown = site.previewed(&[(ITEM, &item), (PRICE, &price)]);
    let mut found = figures(&shown);
    found.sort();
    // 20 at 0.00 and 110 at 0.01, a fee of 0.01 for each tier, and the base.
    assert_eq!(found, pairs(&[("0", 1), ("0", 1), ("1", 5000), ("110", 110), ("20", 0)]));
    let metered: Vec<&Value> = data(&shown["lines"]).iter().filter(|line| line["amount"] != 5000).collect();
    assert!(metered.iter().all(|line| {
        let item_of_line = &line["parent"]["subscription_item_details"]["subscription_item"];
        line["pricing"]["price_details"]["price"] == *price && *item_of_line == *item
    }));
    assert!(fs::read(site.sandbox.state()).unwrap() == before, "a preview was written down");
    let plain = site.sandbox.preview(&id(&site.subscription));
    assert_eq!(figures(&plain), pairs(&[("1", 5000), ("130", 0)]));
}

#[test]
fn the_rest_of_its_lines_are_those_of_the_same_preview() {
    let site = Site::new();
    let price = site.tiered(7, &[]);
    let shown = site.previewed(&[(ITEM, &site.item(true)), (PRICE, &price)]);
    assert_eq!((data(&shown["lines"]).len(), &shown["lines"]["has_more"]), (10, &true.into()));
    let all = site.sandbox.get(&format!("{}?limit=100", shown["lines"]["url"].as_str().unwrap())).ok();
    assert_eq!(data(&all).len(), 15);
    assert_eq!(data(&all)[..10], data(&shown["lines"])[..]);
    let amounts = data(&all).iter().map(|line| line["amount"].as_i64().unwrap());
    // 20 × (0 + 1 + 2 + 3 + 4 + 5) + 10 × 6, seven fees, the base.
    assert_eq!(amounts.sum::<i64>(), 300 + 60 + 7 + 5000);
    // A later one of the subscription as it stands is not mixed up with it.
    let plain = site.sandbox.preview(&id(&site.subscription));
    assert_eq!(data(&plain["lines"]).len(), 2);
}

#[test]
fn an_item_may_be_left_out_have_another_quantity_or_be_added() {
    let site = Site::new();
    let (metered, base) = (site.item(true), site.item(false));
    let deleted = [(ITEM, &*metered), ("subscription_details[items][0][deleted]", "true")];
    assert_eq!(figures(&site.previewed(&deleted)), pairs(&[("1", 5000)]));
    let three = [(ITEM, &*base), ("subscription_details[items][0][quantity]", "3")];
    let mut found = figures(&site.previewed(&three));
    found.sort();
    assert_eq!(found, pairs(&[("130", 0), ("3", 15_000)]));
    // Something new counts from now on.
    let more = site.sandbox.base_price("700");
    let mut found = figures(&site.previewed(&[(PRICE, &more)]));
    found.sort();
    assert_eq!(found, pairs(&[("1", 700), ("1", 5000), ("130", 0)]));
}

#[test]
fn what_is_not_to_be_had_is_refused_with_its_name() {
    let site = Site::new();
    let (item, price) = (site.item(true), site.tiered(2, &[]));
    let yearly = site.sandbox.post(
        "/v1/prices",
        &[
            ("currency", "usd"),
            ("unit_amount", "7"),
            ("product_data[name]", "Requests"),
            ("recurring[interval]", "year"),
            ("recurring[usage_type]", "metered"),
            ("recurring[meter]", &site.meter),
        ],
    );
    let yearly = id(&yearly.ok());
    let good = [(ITEM, &*item), (PRICE, &*price)];
    let behaviour = "subscription_details[proration_behavior]";
    for (form, words) in [
        (good.to_vec(), "proration_behavior"),
        ([&good[..], &[(behaviour, "create_prorations")]].concat(), "proration_behavior"),
        ([&good[..], &[(behaviour, "never")]].concat(), "proration_behavior"),
        (vec![(behaviour, "none"), (ITEM, "si_of_nobody"), (PRICE, &*price)], "si_of_nobody"),
        (vec![(behaviour, "none"), (ITEM, &*item), (PRICE, "price_of_nobody")], "price_of_nobody"),
        (vec![(behaviour, "none"), (ITEM, &*item), (PRICE, &*yearly)], "recurring.interval"),
        (vec![("subscription_details[trial_end]", "now")], "trial_end"),
        (vec![("subscription_details[weather]", "fine")], "unknown parameter"),
        (vec![("schedule", "sub_sched_1")], "schedule"),
    ] {
        let refused = site.ask(&form).refused(400);
        assert!(refused.contains(words), "{form:?}: {refused}");
    }
}
