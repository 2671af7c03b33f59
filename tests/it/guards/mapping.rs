//! A tenant whose customer, subscription, item or cycle at Stripe is not what the ledger says is set aside whole.
//!
//! In: one tenant that fits and one that does not. Out: an exception that names the reason, nothing sent for that tenant,
//! everything sent for the other one.

use serde_json::Value;

use super::{COLUMNS, FINAL, METER, OPEN, START, Site, meter, metered, outcome, price, table, tenant, usage};
use crate::sandbox::id;
use crate::support::{ENGINES, Engine};

/// `good` fits; `odd` is yet to be given ids. Both have used 130 on 5 October.
struct Pair {
    site: Site,
    good: (String, String),
}

impl Pair {
    fn new(engine: Engine) -> Self {
        let site = Site::new(engine);
        let good = site.subscribe(&[&site.base, &site.shadow]);
        site.import("catalog", &site.catalog());
        Self { site, good }
    }

    fn tenants(&self, customer: &str, subscription: &str) {
        let good = tenant("good", &self.good.0, &self.good.1);
        self.site.import("tenants", &format!("{COLUMNS}{good}{}", tenant("odd", customer, subscription)));
    }

    /// Runs with these ids: only `odd` is set aside, whatever else Stripe shows of it.
    #[track_caller]
    fn parks(&self, customer: &str, subscription: &str, reason: &str) -> Value {
        self.tenants(customer, subscription);
        if self.site.workspace.number("SELECT COUNT(*) FROM usage_ledger") == 0 {
            self.site.import("usage", &usage(&[("good", "130"), ("odd", "130")]));
        }
        let october = outcome(&self.site.run(OPEN).expect(3), "2026-10");
        assert_eq!(exceptions(&self.site, &october), [format!("odd parked {reason}")]);
        assert_eq!((&october["counts"]["pushed"], &october["counts"]["parked"]), (&1.into(), &1.into()));
        assert_eq!(self.site.total(&self.good.0), "130");
        let sent = "SELECT COUNT(*) FROM intents WHERE tenant_id = 'odd'";
        assert_eq!(self.site.workspace.number(sent), 0);
        october
    }
}

fn exceptions(site: &Site, outcome: &Value) -> Vec<String> {
    table(site, outcome, "exceptions", ["tenant_id", "kind", "reason"])
}

/// What subscriptions of nobody are reported.
fn orphans(site: &Site, outcome: &Value) -> Vec<String> {
    let rows = table(site, outcome, "reconciliation", ["class", "source", "meter", "reason", "evidence"]);
    rows.into_iter().filter(|row| row.starts_with("missing_in_ledger")).collect()
}

#[test]
fn a_subscription_of_another_customer_is_not_billed() {
    for engine in ENGINES {
        let pair = Pair::new(engine);
        let (_, subscription) = pair.site.subscribe(&[&pair.site.base, &pair.site.shadow]);
        let stranger = pair.site.stripe.customer();
        pair.parks(&stranger, &subscription, "mapping");
        assert_eq!(pair.site.total(&stranger), pair.site.total(&pair.site.stripe.customer()));
    }
}

/// Stripe would bill a meter of which the ledger has nothing to say for this tenant.
#[test]
fn a_subscription_with_an_item_that_no_plan_of_the_tenant_sells_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let site = &pair.site;
    let other = meter(&site.stripe, "exports", &[]);
    let zero = price(&site.stripe, &metered(&other, &[("unit_amount", "0")]));
    let more = format!(
        "\n[[meter]]\nkey = \"exports\"\naggregation = \"sum\"\n[[plan]]\nkey = \"max\"\ncurrency = \"try\"\n\
         [[plan.usage]]\nmeter = \"exports\"\nshadow_price_id = \"{zero}\"\nprice = {{ unit_amount = 5 }}\n\
         [[plan]]\nkey = \"none\"\ncurrency = \"try\"\n"
    );
    site.import("catalog", &(site.catalog() + &more));
    let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow, &zero]);
    pair.parks(&customer, &subscription, "mapping");
    // Neither is one whose plan sells no usage at all.
    let (customer, subscription) = site.subscribe(&[&site.base, &zero]);
    let none = tenant("none", &customer, &subscription).replace(",pro,", ",none,");
    site.import("tenants", &format!("{COLUMNS}{none}"));
    let october = outcome(&site.run("2026-10-20T11:00:00Z").expect(3), "2026-10");
    assert_eq!(exceptions(site, &october), ["none parked mapping", "odd parked mapping"]);
}

#[test]
fn a_subscription_without_the_item_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let (customer, subscription) = pair.site.subscribe(&[&pair.site.base]);
    pair.parks(&customer, &subscription, "mapping");
}

#[test]
fn a_subscription_with_two_items_on_one_meter_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let site = &pair.site;
    let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow, &site.overage]);
    pair.parks(&customer, &subscription, "double_meter");
}

/// A meter counts for a customer: each of its items would bill all of it, whatever price or subscription it has.
#[test]
fn a_meter_that_another_price_or_another_subscription_bills_too_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let (base, shadow) = (&*pair.site.base, &*pair.site.shadow);
    let stray = price(&pair.site.stripe, &metered(&pair.site.meter, &[("unit_amount", "500")]));
    let (customer, subscription) = pair.site.subscribe(&[base, shadow, &stray]);
    pair.parks(&customer, &subscription, "double_meter");

    let pair = Pair::new(Engine::Sqlite);
    let (base, shadow) = (&*pair.site.base, &*pair.site.shadow);
    let (customer, subscription) = pair.site.subscribe(&[base, shadow]);
    pair.site.stripe.subscribe(&customer, &[base, shadow], &[]);
    pair.parks(&customer, &subscription, "double_meter");
}

#[test]
fn a_subscription_with_the_price_that_is_not_in_force_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let (customer, subscription) = pair.site.subscribe(&[&pair.site.base, &pair.site.overage]);
    pair.parks(&customer, &subscription, "mapping");
}

#[test]
fn a_subscription_that_stripe_does_not_know_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let customer = pair.site.stripe.customer();
    pair.parks(&customer, "sub_of_nobody", "mapping");
}

#[test]
fn a_subscription_with_another_anchor_is_not_billed() {
    let pair = Pair::new(Engine::Sqlite);
    let (customer, sixth) = (pair.site.stripe.customer(), pair.site.start.as_second() + 5 * 86_400);
    let prices = [&*pair.site.base, &pair.site.shadow];
    let anchored = [("billing_cycle_anchor", &*sixth.to_string())];
    let subscription = id(&pair.site.stripe.subscribe(&customer, &prices, &anchored));
    pair.parks(&customer, &subscription, "window_mismatch");
}

#[test]
fn a_customer_that_two_tenants_claim_is_billed_for_neither() {
    for engine in ENGINES {
        let pair = Pair::new(engine);
        let site = &pair.site;
        let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let second = id(&site.stripe.subscribe(&customer, &[&site.base, &site.shadow], &[]));
        let nothing = site.total(&customer);
        // On one subscription the twins' usage would run together; on two, each would be billed for both.
        for of_twin in [&subscription, &second] {
            let rows = [
                tenant("good", &pair.good.0, &pair.good.1),
                tenant("odd", &customer, &subscription),
                tenant("twin", &customer, of_twin),
            ];
            site.import("tenants", &format!("{COLUMNS}{}", rows.concat()));
            site.import("usage", &usage(&[("good", "130"), ("odd", "130"), ("twin", "20")]));
            let october = outcome(&site.run(OPEN).expect(3), "2026-10");
            assert_eq!(exceptions(site, &october), ["odd parked mapping", "twin parked mapping"]);
            assert_eq!([&customer, &pair.good.0].map(|one| site.total(one)), [&*nothing, "130"]);
        }
    }
}

#[test]
fn what_is_mended_in_time_is_billed_whole() {
    for engine in ENGINES {
        let pair = Pair::new(engine);
        let (customer, subscription) = pair.site.subscribe(&[&pair.site.base, &pair.site.shadow]);
        pair.parks(&customer, "sub_of_nobody", "mapping");
        pair.tenants(&customer, &subscription);
        outcome(&pair.site.run(OPEN).expect(0), "2026-10");
        assert_eq!(pair.site.total(&customer), "130");
        let closed = outcome(&pair.site.run(FINAL).expect(0), "2026-10");
        assert_eq!((&closed["status"], &closed["counts"]["closed"]), (&"closed".into(), &2.into()));
    }
}

#[test]
fn a_subscription_with_our_price_that_no_tenant_has_is_named_and_stops_the_launch() {
    for engine in ENGINES {
        let site = Site::new(engine);
        let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let (_, forgotten) = site.subscribe(&[&site.base, &site.shadow]);
        let (_, unmetered) = site.subscribe(&[&site.base]);
        site.import("catalog", &site.catalog());
        site.import("tenants", &format!("{COLUMNS}{}", tenant("acme", &customer, &subscription)));
        site.import("usage", &usage(&[("acme", "105")]));
        let expected = [format!("missing_in_ledger subscription {METER} mapping {forgotten}")];
        let open = outcome(&site.run(OPEN).expect(0), "2026-10");
        assert_eq!((orphans(&site, &open), site.total(&customer)), (expected.to_vec(), "105".to_owned()));
        let closed = outcome(&site.run(FINAL).expect(0), "2026-10");
        assert_eq!((orphans(&site, &closed), &closed["verdict"]), (expected.to_vec(), &"NO_GO".into()));
        assert!(!closed.to_string().contains(&unmetered));
    }
}

#[test]
fn a_customer_that_is_changed_after_the_push_gets_nothing_of_what_went_to_the_old_one() {
    for engine in ENGINES {
        let pair = Pair::new(engine);
        let site = &pair.site;
        let (old, old_subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let (new, new_subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let nothing = site.total(&new);
        pair.tenants(&old, &old_subscription);
        site.import("usage", &usage(&[("good", "130"), ("odd", "130")]));
        site.run(OPEN).expect(0);
        assert_eq!(site.total(&old), "130");

        pair.tenants(&new, &new_subscription);
        site.import("usage", &usage(&[("good", "4"), ("odd", "4")]));
        // Whenever it is looked at: in the month, in the draft hour, at the end.
        for instant in ["2026-10-25T00:00:00Z", "2026-11-01T00:30:00Z", FINAL] {
            let october = outcome(&site.run(instant).expect(3), "2026-10");
            assert_eq!(exceptions(site, &october), ["odd parked mapping"], "{instant}");
            let totals = [&old, &new, &pair.good.0].map(|customer| site.total(customer));
            assert_eq!(totals, ["130", &nothing, "134"], "{instant}");
        }
        let status = "SELECT status FROM billing_period_jobs WHERE period = '2026-10'";
        assert_eq!(site.workspace.sql(status), [["partial"]]);
    }
}

/// A plan that begins on 10 October, with the metered price of `pro` or another one.
fn with_gold(site: &Site, shadow: &str) -> String {
    let catalog = site.catalog();
    let (meters, pro) = catalog.split_once("[[plan]]").unwrap();
    let gold = pro.replace("\"pro\"", "\"gold\"").replace(&site.shadow, shadow);
    format!("{meters}[[plan]]{pro}[[plan]]{gold}")
}

#[test]
fn a_plan_change_that_is_learnt_of_after_the_push_sends_nothing_again() {
    for engine in ENGINES {
        let pair = Pair::new(engine);
        let site = &pair.site;
        let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let gold = price(&site.stripe, &metered(&site.meter, &[("unit_amount", "0")]));
        site.import("catalog", &with_gold(site, &gold));
        pair.tenants(&customer, &subscription);
        let later = format!("odd,{METER},30,2026-10-12T00:00:00Z,later\n");
        site.import("usage", &(usage(&[("good", "130"), ("odd", "100")]) + &later));
        site.run(OPEN).expect(0);
        assert_eq!(site.total(&customer), "130");

        let change = "2026-10-10T00:00:00Z";
        let other = tenant("good", &pair.good.0, &pair.good.1);
        let odd = tenant("odd", &customer, &subscription);
        let before = odd.replace(&format!("{START},"), &format!("{START},{change}"));
        let after = odd.replace("pro", "gold").replace(START, change);
        site.import("tenants", &format!("{COLUMNS}{other}{before}{after}"));
        let shown = site.stripe.get(&format!("/v1/subscriptions/{subscription}")).ok();
        let items = shown["items"]["data"].as_array().unwrap();
        let metered = items.iter().find(|item| item["price"]["id"] == *site.shadow).unwrap();
        let form = [("items[0][id]", metered["id"].as_str().unwrap()), ("items[0][price]", &gold)];
        site.stripe.post(&format!("/v1/subscriptions/{subscription}"), &form).ok();

        let october = outcome(&site.run("2026-10-25T00:00:00Z").expect(0), "2026-10");
        assert_eq!((&october["counts"]["pushed"], site.total(&customer)), (&0.into(), "130".to_owned()));
        // What is new is sent, once.
        let newest = format!("odd,{METER},7,2026-10-26T00:00:00Z,newest\n");
        site.import("usage", &(usage(&[]) + &newest));
        for pushed in [1, 0] {
            let october = outcome(&site.run("2026-10-27T00:00:00Z").expect(0), "2026-10");
            assert_eq!(october["counts"]["pushed"], pushed);
            assert_eq!(site.total(&customer), "137");
        }
    }
}
