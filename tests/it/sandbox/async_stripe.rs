//! async-stripe decodes the sandbox: its generated types are strict about every required field of 2026-09-30.endive.
//!
//! In: generated requests, sent through the tests' own socket. Out: decoded answers; any missing field fails the decoding.

use std::collections::HashMap;

use bytes::Bytes;
use stripe_billing::billing_meter::{ListBillingMeter, RetrieveBillingMeter};
use stripe_billing::billing_meter_event::CreateBillingMeterEvent;
use stripe_billing::billing_meter_event_summary::ListIdBillingMeterEventSummary;
use stripe_billing::invoice::{CreatePreviewInvoice, ListInvoice, RetrieveInvoice};
use stripe_billing::subscription::{ListSubscription, RetrieveSubscription};
use stripe_client_core::{CustomizedStripeRequest, StripeBlockingClient, StripeClientErr, StripeMethod};
use stripe_product::price::{ListPrice, RetrievePrice};

use super::{HOUR, KEY, OCTOBER, Served, exchange, id};

#[derive(Debug)]
pub struct Fault(String);

impl StripeClientErr for Fault {
    fn deserialize_err(message: impl std::fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl StripeBlockingClient for Served {
    type Err = Fault;

    fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, Fault> {
        let (request, _) = request.into_pieces();
        let method = match request.method {
            StripeMethod::Get => "GET",
            StripeMethod::Post => "POST",
            StripeMethod::Delete => "DELETE",
        };
        let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("/v1{}{query}", request.path);
        let answer = exchange(&self.address, method, &path, &request.body.unwrap_or_default(), &[KEY]);
        if answer.status == 200 { Ok(answer.text.into()) } else { Err(Fault(answer.text)) }
    }
}

#[test]
fn every_answer_that_the_job_needs_is_decoded() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    let tiers = [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("tiers[0][up_to]", "100"),
        ("tiers[0][unit_amount]", "0"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount_decimal]", "700"),
        ("lookup_key", "pro"),
    ];
    let (usage, base) = (sandbox.metered_price(&meter, &tiers), sandbox.base_price("99900"));
    let subscription = id(&sandbox.subscribe(&customer, &[&base, &usage], &[]));

    let payload = [("stripe_customer_id", &*customer), ("value", "130")];
    let payload: HashMap<String, String> =
        payload.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
    let event = CreateBillingMeterEvent::new("requests", payload).identifier("e1").timestamp(OCTOBER);
    assert_eq!(event.send_blocking(&sandbox).unwrap().identifier, "e1");
    let refused = event.send_blocking(&sandbox).unwrap_err().0;
    assert!(refused.contains("An event already exists with identifier e1."), "{refused}");

    let summaries = ListIdBillingMeterEventSummary::new(&*meter, &*customer, OCTOBER + 60, OCTOBER);
    let summaries = summaries.send_blocking(&sandbox).unwrap();
    assert_eq!(summaries.data.iter().map(|one| one.meter.as_str()).collect::<Vec<_>>(), [&*meter]);

    let preview = CreatePreviewInvoice::new().subscription(&*subscription).send_blocking(&sandbox).unwrap();
    assert_eq!(preview.subtotal, 99_900 + 21_000);
    assert_eq!(preview.lines.data.len(), 3);

    let shown = RetrieveSubscription::new(&*subscription).send_blocking(&sandbox).unwrap();
    assert_eq!(shown.items.data[0].current_period_start, OCTOBER);
    let listed = ListSubscription::new().customer(&*customer).send_blocking(&sandbox).unwrap();
    assert_eq!(listed.data.len(), 1);

    let price = RetrievePrice::new(&*usage).expand(vec!["tiers".to_owned()]).send_blocking(&sandbox).unwrap();
    assert_eq!(price.tiers.unwrap().len(), 2);
    let found = ListPrice::new().lookup_keys(vec!["pro".to_owned()]).send_blocking(&sandbox).unwrap();
    assert_eq!(found.data.len(), 1);
    assert_eq!(RetrieveBillingMeter::new(&*meter).send_blocking(&sandbox).unwrap().event_name, "requests");
    assert_eq!(ListBillingMeter::new().send_blocking(&sandbox).unwrap().data.len(), 1);

    clock.advance(OCTOBER + 31 * 24 * HOUR);
    let invoices = ListInvoice::new().subscription(&*subscription).send_blocking(&sandbox).unwrap();
    let totals: Vec<i64> = invoices.data.iter().map(|one| one.subtotal).collect();
    assert_eq!(totals, [120_900, 99_900]);
    let newest = invoices.data[0].id.clone().unwrap();
    assert_eq!(RetrieveInvoice::new(newest).send_blocking(&sandbox).unwrap().subtotal, 120_900);
}
