"""Drives a billrecon sandbox with Stripe's official SDK, as a company's own code would.

In: the sandbox's address; its clock stands at 2026-10-01T00:00:00Z. Out: "all as expected", or a failed assertion.
"""

import sys
from decimal import Decimal

import stripe

assert stripe.VERSION == "16.1.0", stripe.VERSION
client = stripe.StripeClient("sk_test_judge", base_addresses={"api": sys.argv[1]}, max_network_retries=0)
NOW = 1_790_812_800


def refused(call):
    try:
        call()
    except stripe.InvalidRequestError as error:
        return error
    raise AssertionError("this should have been refused")


assert client.v1.accounts.retrieve_current().id.startswith("acct_sandbox")
customer = client.v1.customers.create({"name": "Acme, Inc. & Söhne", "metadata": {"tenant": "acme"}})
assert client.v1.customers.retrieve(customer.id).name == "Acme, Inc. & Söhne"
meter = client.v1.billing.meters.create({
    "display_name": "Requests", "event_name": "requests", "default_aggregation": {"formula": "sum"},
    "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
    "value_settings": {"event_payload_key": "value"},
})
product = client.v1.products.create({"name": "Usage"})

without_meter = refused(lambda: client.v1.prices.create({
    "currency": "usd", "product": product.id, "unit_amount": 700,
    "recurring": {"interval": "month", "usage_type": "metered"},
}))
assert without_meter.http_status == 400 and without_meter.param == "recurring[meter]"

price = client.v1.prices.create({
    "currency": "usd", "product": product.id, "billing_scheme": "tiered", "tiers_mode": "graduated",
    "lookup_key": "usage", "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
    "tiers": [
        {"up_to": 1000, "unit_amount": 0, "flat_amount": 900},
        {"up_to": "inf", "unit_amount_decimal": Decimal("3.6"), "flat_amount": 0},
    ],
    "expand": ["tiers"],
})
assert [tier.up_to for tier in price.tiers] == [1000, None]
assert price.tiers[1].unit_amount_decimal == Decimal("3.6")
found = client.v1.prices.list({"lookup_keys": ["usage"], "active": True})
assert [one.id for one in found.data] == [price.id]

subscription = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
item = subscription["items"].data[0]
assert subscription.status == "active"
assert (item.current_period_start, item.current_period_end) == (NOW, NOW + 31 * 86_400)

event = {
    "event_name": "requests", "identifier": "acme-1", "timestamp": NOW,
    "payload": {"stripe_customer_id": customer.id, "value": "1031"},
}
assert client.v1.billing.meter_events.create(event).identifier == "acme-1"
again = refused(lambda: client.v1.billing.meter_events.create(event))
assert again.http_status == 400 and again.headers["stripe-should-retry"] == "false"
assert again.user_message == "An event already exists with identifier acme-1."
options = {"idempotency_key": "key-1"}
second = {**event, "identifier": "acme-2", "payload": {"stripe_customer_id": "cus_nobody", "value": "5"}}
first_answer = client.v1.billing.meter_events.create(second, options)
repeated = client.v1.billing.meter_events.create(second, options)
assert repeated.last_response.headers["Idempotent-Replayed"] == "true"
assert repeated.to_dict() == first_answer.to_dict()

window = {"customer": customer.id, "start_time": NOW, "end_time": NOW + 60}
summaries = client.v1.billing.meters.event_summaries.list(meter.id, window)
assert [summary.aggregated_value for summary in summaries.data] == [1031]
crooked = refused(lambda: client.v1.billing.meters.event_summaries.list(meter.id, {**window, "end_time": NOW + 59}))
assert crooked.param == "end_time"

preview = client.v1.invoices.create_preview({"subscription": subscription.id})
assert preview.id.startswith("upcoming_in_") and preview.billing_reason == "upcoming"
lines = [(line.quantity, line.quantity_decimal, line.amount) for line in preview.lines.data]
expected = [(1000, 0), (0, 900), (31, 112), (0, 0)]
assert lines == [(units, Decimal(units), amount) for units, amount in expected], lines
assert preview.subtotal == 1012
for line in preview.lines.data:
    assert line.pricing.price_details.price == price.id
    assert line.parent.subscription_item_details.subscription_item == item.id
    assert (line.period.start, line.period.end) == (item.current_period_start, item.current_period_end)
whole = refused(lambda: client.v1.invoices.create_preview({"customer": customer.id}))
assert "not for a customer as a whole" in whole.user_message

clock = client.v1.test_helpers.test_clocks.create({"frozen_time": NOW})
client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": item.current_period_end + 3600})
invoices = client.v1.invoices.list({"subscription": subscription.id, "created": {"gte": item.current_period_end}})
assert [(one.status, one.subtotal) for one in invoices.data] == [("paid", 1012)]
pages = client.v1.invoices.line_items.list(invoices.data[0].id, {"limit": 1})
assert [line.amount for line in pages.auto_paging_iter()] == [0, 900, 112, 0]
client.v1.subscriptions.cancel(subscription.id)
none = refused(lambda: client.v1.invoices.create_preview({"subscription": subscription.id}))
assert none.code == "invoice_upcoming_none"
print("all as expected")
