//! The life of a subscription: windows, renewal invoices, trials, cancellations, late events.

use serde_json::Value;

use super::{Clock, DAY, HOUR, OCTOBER, Served, data, figures, id, pairs};

/// An instant in 2027 or 2026, in seconds.
fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn window(subscription: &Value) -> (i64, i64) {
    let item = &subscription["items"]["data"][0];
    (item["current_period_start"].as_i64().unwrap(), item["current_period_end"].as_i64().unwrap())
}

/// A customer on 10 minor units a request and a base fee of 5000, from now on.
struct Company<'a> {
    sandbox: &'a Served,
    clock: Clock<'a>,
    customer: String,
    subscription: String,
}

impl<'a> Company<'a> {
    fn new(sandbox: &'a Served) -> Self {
        Self::with(sandbox, &[])
    }

    fn with(sandbox: &'a Served, more: &[(&str, &str)]) -> Self {
        let clock = sandbox.clock();
        let meter = sandbox.meter("requests", "sum");
        let usage = sandbox.metered_price(&meter, &[("unit_amount", "10")]);
        let (customer, base) = (sandbox.customer(), sandbox.base_price("5000"));
        let subscription = id(&sandbox.subscribe(&customer, &[&base, &usage], more));
        Self { sandbox, clock, customer, subscription }
    }

    fn report(&self, value: &str, identifier: &str, instant: i64) {
        self.sandbox.report("requests", &self.customer, value, identifier, instant).ok();
    }

    fn invoices(&self) -> Vec<Value> {
        let path = format!("/v1/invoices?subscription={}&limit=100", self.subscription);
        data(&self.sandbox.get(&path).ok()).clone()
    }

    fn show(&self) -> Value {
        self.sandbox.get(&format!("/v1/subscriptions/{}", self.subscription)).ok()
    }
}

const NOVEMBER: i64 = OCTOBER + 31 * DAY;

#[test]
fn a_renewal_invoice_is_a_draft_for_an_hour_and_then_never_changes() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    company.clock.advance(OCTOBER + 20 * DAY);
    company.report("130", "in time", OCTOBER + 19 * DAY);
    company.clock.advance(NOVEMBER - 1);
    assert_eq!(company.invoices().len(), 1, "only the first one");
    company.clock.advance(NOVEMBER);
    let draft = company.invoices()[0].clone();
    assert_eq!(draft["status"], "draft");
    assert_eq!(draft["billing_reason"], "subscription_cycle");
    assert_eq!(draft["created"], NOVEMBER);
    assert_eq!(draft["automatically_finalizes_at"], NOVEMBER + HOUR);
    assert_eq!(draft["status_transitions"]["finalized_at"], Value::Null);
    company.clock.advance(NOVEMBER + HOUR - 1);
    company.report("7", "in the draft hour", NOVEMBER - 1);
    assert_eq!(company.invoices()[0]["status"], "draft");
    company.clock.advance(NOVEMBER + HOUR);
    let path = format!("/v1/invoices/{}", id(&draft));
    let paid = sandbox.get(&path);
    assert_eq!(paid.body["status"], "paid");
    assert_eq!(paid.body["automatically_finalizes_at"], Value::Null);
    assert_eq!(paid.body["status_transitions"]["finalized_at"], NOVEMBER + HOUR);
    assert_eq!(figures(&paid.body), pairs(&[("1", 5000), ("137", 1370)]));
    let periods = data(&paid.body["lines"]).iter().map(|line| line["period"]["start"].clone());
    assert_eq!(periods.collect::<Vec<_>>(), [NOVEMBER, OCTOBER], "the fee is for the next window");
    // Accepted, counted by the meter, billed by nobody.
    company.report("1000", "too late", NOVEMBER - 1);
    company.clock.advance(NOVEMBER + 10 * DAY);
    assert_eq!(sandbox.get(&path).text, paid.text);
    assert_eq!(figures(&sandbox.preview(&company.subscription)), pairs(&[("1", 5000), ("0", 0)]));
}

#[test]
fn the_first_invoice_takes_the_fee_and_shows_no_usage() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    company.report("3", "first", OCTOBER);
    let first = &company.invoices()[0];
    assert_eq!((&first["billing_reason"], &first["status"]), (&"subscription_create".into(), &"paid".into()));
    assert_eq!(figures(first), pairs(&[("1", 5000), ("0", 0)]));
    assert_eq!(company.show()["latest_invoice"], first["id"]);
}

#[test]
fn months_are_counted_from_the_anchor_and_clamped() {
    let sandbox = Served::new();
    let anchor = at("2027-01-31T10:00:00Z");
    let company = Company::with(&sandbox, &[("billing_cycle_anchor", &anchor.to_string())]);
    assert_eq!(window(&company.show()), (OCTOBER, at("2026-10-31T10:00:00Z")), "also before the anchor");
    let ends = ["2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z"].map(at);
    let mut start = anchor;
    for end in ends {
        company.clock.advance(start);
        assert_eq!(window(&company.show()), (start, end));
        start = end;
    }
}

#[test]
fn a_trial_is_one_window_that_shows_usage_and_charges_nothing() {
    let sandbox = Served::new();
    let trial_end = OCTOBER + 45 * DAY;
    let company = Company::with(&sandbox, &[("trial_end", &trial_end.to_string())]);
    assert_eq!(company.show()["status"], "trialing");
    assert_eq!(window(&company.show()), (OCTOBER, trial_end));
    company.report("9", "in trial", OCTOBER);
    assert_eq!(figures(&sandbox.preview(&company.subscription)), pairs(&[("1", 5000), ("9", 0)]));
    assert_eq!(figures(&company.invoices()[0]), pairs(&[("1", 0), ("0", 0)]));
    company.clock.advance(trial_end);
    assert_eq!(company.show()["status"], "active");
    assert_eq!(window(&company.show()), (trial_end, at("2026-12-15T00:00:00Z")));
    assert_eq!(figures(&company.invoices()[0]), pairs(&[("1", 5000), ("9", 0)]));
}

#[test]
fn a_cancellation_bills_the_usage_until_then_and_nothing_more() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    company.clock.advance(OCTOBER + 9 * DAY);
    company.report("99", "used", OCTOBER + 8 * DAY);
    sandbox.delete(&format!("/v1/subscriptions/{}", company.subscription)).ok();
    let show = company.show();
    assert_eq!((&show["status"], &show["ended_at"]), (&"canceled".into(), &(OCTOBER + 9 * DAY).into()));
    let last = company.invoices()[0].clone();
    assert_eq!((&last["created"], &last["status"]), (&(OCTOBER + 9 * DAY).into(), &"draft".into()));
    assert_eq!(figures(&last), pairs(&[("99", 990)]));
    let refused = sandbox.post("/v1/invoices/create_preview", &[("subscription", &company.subscription)]);
    assert_eq!(refused.body["error"]["code"], "invoice_upcoming_none");
    refused.refused(400);
    company.clock.advance(OCTOBER + 90 * DAY);
    assert_eq!(company.invoices().len(), 2);
    // It is hidden from lists that do not ask for it.
    let listed = |query: &str| {
        data(&sandbox.get(&format!("/v1/subscriptions?customer={}{query}", company.customer)).ok()).len()
    };
    assert_eq!(
        [listed(""), listed("&status=active"), listed("&status=all"), listed("&status=canceled")],
        [0, 0, 1, 1]
    );
}

#[test]
fn an_end_at_the_period_end_leaves_no_next_fee() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    let path = format!("/v1/subscriptions/{}", company.subscription);
    let shown = sandbox.post(&path, &[("cancel_at_period_end", "true")]).ok();
    assert_eq!((&shown["cancel_at"], &shown["status"]), (&NOVEMBER.into(), &"active".into()));
    company.report("1", "used", OCTOBER);
    assert_eq!(figures(&sandbox.preview(&company.subscription)), pairs(&[("1", 10)]));
    company.clock.advance(NOVEMBER + HOUR);
    assert_eq!(company.show()["status"], "canceled");
    assert_eq!(figures(&company.invoices()[0]), pairs(&[("1", 10)]));
}

#[test]
fn an_item_that_comes_later_counts_from_then_on_and_one_that_goes_is_never_billed() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    company.report("5", "early", OCTOBER);
    company.clock.advance(OCTOBER + DAY);
    let meter =
        company.show()["items"]["data"][1]["price"]["recurring"]["meter"].as_str().unwrap().to_owned();
    let dearer = sandbox.metered_price(&meter, &[("unit_amount", "20")]);
    let old_item = id(&company.show()["items"]["data"][1]);
    let path = format!("/v1/subscriptions/{}", company.subscription);
    let form = [("items[0][id]", &*old_item), ("items[0][deleted]", "true"), ("items[1][price]", &*dearer)];
    sandbox.post(&path, &form).ok();
    company.report("3", "late", OCTOBER + DAY);
    let lines = figures(&sandbox.preview(&company.subscription));
    assert_eq!(lines, pairs(&[("3", 60), ("1", 5000)]), "the newest item comes first");
}

#[test]
fn invoices_are_filtered_by_status_and_creation_and_come_in_pages() {
    let sandbox = Served::new();
    let company = Company::new(&sandbox);
    company.clock.advance(at("2027-10-01T00:30:00Z"));
    let list =
        |query: &str| sandbox.get(&format!("/v1/invoices?subscription={}{query}", company.subscription)).ok();
    assert_eq!(data(&list("&limit=100")).len(), 13);
    assert_eq!(data(&list("&status=draft")).len(), 1);
    assert_eq!(data(&list("&limit=100&status=paid")).len(), 12);
    let november = format!("&created%5Bgte%5D={NOVEMBER}&created%5Blt%5D={}", NOVEMBER + 1);
    assert_eq!(data(&list(&november))[0]["created"], NOVEMBER);
    assert_eq!(data(&list(&november)).len(), 1);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = list(&format!("&limit=5{after}"));
        seen.extend(data(&page).iter().map(id));
        after = format!("&starting_after={}", seen.last().unwrap());
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, data(&list("&limit=100")).iter().map(id).collect::<Vec<_>>());
    let back = list(&format!("&limit=2&ending_before={}", seen[4]));
    assert_eq!(data(&back).iter().map(id).collect::<Vec<_>>(), seen[2..4]);
    for wrong in ["&limit=0", "&limit=101", "&limit=x", "&starting_after=in_nobody"] {
        sandbox.get(&format!("/v1/invoices?subscription={}{wrong}", company.subscription)).refused(400);
    }
}
