"""Drives a billrecon sandbox with bad manners with Stripe's official SDK: what it sees, and what it survives by itself.

In: the sandbox's address; its clock stands at 2026-10-01T00:00:00Z; its faults are those of python_sdk.rs. Out: "all as
expected", or a failed assertion.
"""

import sys

import stripe

assert stripe.VERSION == "16.1.0", stripe.VERSION
NOW = 1_790_812_800


def client(key, retries):
    return stripe.StripeClient(key, base_addresses={"api": sys.argv[1]}, max_network_retries=retries)


def error(call, kind):
    try:
        call()
    except stripe.StripeError as seen:
        assert type(seen) is kind, (kind, seen)
        return seen
    raise AssertionError("this should have failed")


patient, hasty, restricted = client("sk_test_judge", 2), client("sk_test_judge", 0), client("rk_test_judge", 0)

# A lock timeout says that it may be tried again, and the SDK does.
customer = patient.v1.customers.create({"name": "Acme"})
meter = patient.v1.billing.meters.create({
    "display_name": "Requests", "event_name": "requests", "default_aggregation": {"formula": "sum"},
})
# The connection breaks after the effect; the SDK repeats its own key and is given the first answer.
event = {"event_name": "requests", "payload": {"stripe_customer_id": customer.id, "value": "5"}}
patient.v1.billing.meter_events.create({**event, "identifier": "e1"})
window = {"customer": customer.id, "start_time": NOW, "end_time": NOW + 60}
summaries = patient.v1.billing.meters.event_summaries.list(meter.id, window)
assert [one.aggregated_value for one in summaries.data] == [5]
# A 500 is repeated under its key for a day: with that key the SDK never gets through, though all was done.
failed = error(lambda: patient.v1.billing.meter_events.create({**event, "identifier": "e2"}), stripe.APIError)
assert failed.http_status == 500 and failed.headers["Idempotent-Replayed"] == "true"
assert patient.v1.billing.meters.event_summaries.list(meter.id, window).data[0].aggregated_value == 10

limited = error(hasty.v1.products.list, stripe.RateLimitError)
assert limited.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate" and limited.headers["Retry-After"] == "1"
page = error(hasty.v1.prices.list, stripe.APIError)
assert page.http_status == 502 and "<html>" in page.http_body
error(hasty.v1.subscriptions.list, stripe.APIConnectionError)
rolled = error(hasty.v1.accounts.retrieve_current, stripe.AuthenticationError)
assert rolled.json_body["error"]["code"] == "api_key_expired"
lacking = error(restricted.v1.invoices.list, stripe.PermissionError)
assert "Having the 'rak_invoice_read' permission" in lacking.user_message

patient.v1.billing.meter_events.create({
    "event_name": "requests", "identifier": "e3", "payload": {"stripe_customer_id": "cus_nobody", "value": "5"},
})
[report] = patient.v2.core.events.list({"types": ["v1.billing.meter.error_report_triggered"]}).data
assert report.related_object.id == meter.id and report.data.reason.error_count == 1
assert report.data.reason.error_types[0].code == "meter_event_customer_not_found"
assert report.data.reason.error_types[0].sample_errors[0].request.identifier == "e3"

print("all as expected")
