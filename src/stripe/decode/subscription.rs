//! Subscriptions and their items, in the shapes before and after 2025-03-31.basil.
//!
//! In: a `subscription` or `subscription_item` object. Out: a [`StripeSubscription`] with the items that stand in the
//! answer. It never fetches the rest, and never guesses the period of an item.

use crate::domain::invoice::{StripeSubscription, SubscriptionItem};
use crate::domain::period::Window;
use crate::domain::tenant::SubscriptionStatus;

use super::{Fields, Node, Problem, page};

pub(in crate::stripe) fn subscription(node: &Node<'_>) -> Result<StripeSubscription, Problem> {
    let fields = node.fields()?;
    let items = page(&fields.get("items"))?;
    let customer = fields.get("customer");
    Ok(StripeSubscription {
        id: fields.get("id").text()?,
        customer_id: customer.id_if_any()?.ok_or_else(|| customer.problem("is missing"))?,
        customer_deleted: customer.is_deleted()?,
        status: SubscriptionStatus::parse(&fields.get("status").text()?),
        items: items.data.iter().map(|node| item(node, Some(&fields))).collect::<Result<_, _>>()?,
        items_complete: !items.has_more,
    })
}

/// Before basil the period stood on the subscription, `around`.
pub(in crate::stripe) fn item(
    node: &Node<'_>,
    around: Option<&Fields<'_>>,
) -> Result<SubscriptionItem, Problem> {
    let fields = node.fields()?;
    let price = fields.first_of(["price", "plan"]);
    Ok(SubscriptionItem {
        id: fields.get("id").text()?,
        price_id: price.id_if_any()?.ok_or_else(|| fields.get("price").problem("is missing"))?,
        meter_id: meter_of(&price)?,
        current_period: current_period(&fields, around)?,
    })
}

/// A price stands here whole, or only as its id.
fn meter_of(price: &Node<'_>) -> Result<Option<String>, Problem> {
    if !price.is_object() {
        return Ok(None);
    }
    price.fields()?.get("recurring").fields_if_any()?.get("meter").id_if_any()
}

fn current_period(item: &Fields<'_>, around: Option<&Fields<'_>>) -> Result<Window, Problem> {
    let names = ("current_period_start", "current_period_end");
    let holder = around.filter(|_| item.get(names.0).is_null()).unwrap_or(item);
    holder.window(names.0, names.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StripeSubscription, Problem> {
        subscription(&Node::root(json.as_bytes()).unwrap())
    }

    const BEFORE_BASIL: &str = r#"{"id": "sub_1", "customer": "cus_1", "status": "past_due",
      "current_period_start": 1668552093, "current_period_end": 1671144093,
      "items": {"object": "list", "has_more": false, "data": [
        {"id": "si_1", "price": {"id": "price_1", "object": "price"}, "plan": {"id": "price_1"}}]}}"#;
    const SINCE_BASIL: &str = r#"{"id": "sub_1", "customer": {"id": "cus_1"}, "status": "past_due",
      "billing_mode": {"type": "flexible"},
      "items": {"object": "list", "has_more": false, "data": [
        {"id": "si_1", "price": "price_1", "current_period_start": 1668552093, "current_period_end": 1671144093}]}}"#;

    #[test]
    fn a_subscription_reads_the_same_before_and_after_basil() {
        let old = read(BEFORE_BASIL).unwrap();
        assert_eq!(old, read(SINCE_BASIL).unwrap());
        assert_eq!(old.status, Some(SubscriptionStatus::PastDue));
        assert_eq!(old.items[0].current_period.start.as_second(), 1_668_552_093);
        assert!(old.items_complete);
    }

    #[test]
    fn a_customer_that_stands_there_whole_says_whether_it_is_deleted() {
        let with = |customer: &str| {
            read(&SINCE_BASIL.replace(r#"{"id": "cus_1"}"#, customer)).unwrap().customer_deleted
        };
        assert!(with(r#"{"id": "cus_1", "object": "customer", "deleted": true}"#));
        assert!(!with(r#"{"id": "cus_1", "deleted": false}"#) && !with(r#""cus_1""#));
    }

    #[test]
    fn a_status_of_next_year_is_kept_as_unknown() {
        assert_eq!(read(&SINCE_BASIL.replace("past_due", "hibernating")).unwrap().status, None);
    }

    #[test]
    fn an_item_without_its_period_or_price_is_a_problem() {
        for (from, to, expected) in [
            (
                r#""current_period_end": 1671144093"#,
                r#""x": 1"#,
                "items.data[0].current_period_end is missing",
            ),
            (r#""price": "price_1""#, r#""price": null"#, "items.data[0].price is missing"),
            (r#""customer": {"id": "cus_1"}"#, r#""customer": null"#, "customer is missing"),
        ] {
            assert!(SINCE_BASIL.contains(from), "{from}");
            assert_eq!(read(&SINCE_BASIL.replacen(from, to, 1)).unwrap_err().to_string(), expected);
        }
    }
}
