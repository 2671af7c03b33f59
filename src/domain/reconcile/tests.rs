//! Comparisons: what agrees, what differs, and what is not known.

use super::*;
use crate::domain::invoice::{InvoiceMoney, InvoiceStatus};
use crate::domain::period::Interval;

fn october() -> Window {
    Window { start: "2026-10-01T00:00:00Z".parse().unwrap(), end: "2026-11-01T00:00:00Z".parse().unwrap() }
}

fn lira() -> Currency {
    Currency::parse("try").unwrap()
}

fn expected(quantity: &str, minor: i128) -> Expected {
    Expected {
        tenant_id: "acme".to_owned(),
        plan: PlanId { key: "pro".to_owned(), interval: Interval::Month, currency: lira() },
        meter: "calls".to_owned(),
        window: october(),
        served: october(),
        quantity: Quantity::parse(quantity).unwrap(),
        amount: MinorSum { minor, currency: lira() },
        trial: false,
        edges: None,
        price_ids: BTreeSet::new(),
    }
}

fn line(price: &str, quantity: &str, amount_minor: i64) -> InvoiceLine {
    InvoiceLine {
        id: "il_1".to_owned(),
        amount_minor,
        currency: lira(),
        quantity: Some(Quantity::parse(quantity).unwrap()),
        price_id: Some(price.to_owned()),
        subscription_item_id: Some("si_1".to_owned()),
        invoice_item_id: None,
        period: october(),
        proration: false,
        description: String::new(),
    }
}

fn invoice(lines: Vec<InvoiceLine>) -> Invoice {
    Invoice {
        id: "in_1".to_owned(),
        subscription_id: Some("sub_1".to_owned()),
        customer_id: Some("cus_1".to_owned()),
        finalizes_at: None,
        status: InvoiceStatus::Paid,
        billing_reason: "subscription_cycle".to_owned(),
        created: october().end,
        money: InvoiceMoney {
            currency: lira(),
            total: 0,
            tax: 0,
            discount: 0,
            credit_grants: 0,
            credit_notes: 0,
            starting_balance: None,
            ending_balance: None,
            amount_due: 0,
        },
        lines,
        lines_complete: true,
        request_id: "req_1".to_owned(),
    }
}

fn scope() -> Scope {
    Scope { price_ids: ["price_usage".to_owned()].into(), ..Scope::default() }
}

fn judged(expected: &Expected, invoice: Option<&Invoice>) -> (Class, Option<String>, Option<i128>) {
    let row =
        compare_lines(expected, invoice, Source::Invoice, &scope(), "in_1", &Evidence::default()).unwrap();
    (row.class, row.stripe_quantity.map(|quantity| quantity.to_string()), row.stripe_amount)
}

/// `facts/stripe.md` §1.3, the captured invoice: 1,031 units on two tiers, each with a flat fee.
#[test]
fn usage_and_money_are_sums_over_all_lines_of_the_price() {
    let lines = vec![
        line("price_usage", "1000", 0),
        line("price_usage", "0", 900),
        line("price_usage", "31", 112),
        line("price_usage", "0", 0),
        line("price_base", "1", 99_900),
    ];
    let captured = invoice(lines);
    assert_eq!(
        judged(&expected("1031", 1012), Some(&captured)),
        (Class::Matched, Some("1031".into()), Some(1012))
    );
    assert_eq!(judged(&expected("1031", 1011), Some(&captured)).0, Class::AmountMismatch);
    assert_eq!(judged(&expected("1030", 1012), Some(&captured)).0, Class::QuantityMismatch);
}

#[test]
fn what_cannot_be_read_is_incomplete_and_never_zero() {
    let unknown = (Class::Incomplete, None, None);
    assert_eq!(judged(&expected("0", 0), None), unknown);
    let mut half = invoice(vec![line("price_usage", "5", 0)]);
    half.lines_complete = false;
    assert_eq!(judged(&expected("5", 0), Some(&half)), unknown);
    let mut silent = line("price_usage", "5", 0);
    silent.quantity = None;
    assert_eq!(judged(&expected("5", 0), Some(&invoice(vec![silent]))), unknown);
    let dollars = InvoiceLine { currency: Currency::parse("usd").unwrap(), ..line("price_usage", "5", 0) };
    assert_eq!(judged(&expected("5", 0), Some(&invoice(vec![dollars]))), unknown);
    assert_eq!(
        compare_total(&expected("0", 0), None, "mtr_1", &Evidence::default()).unwrap().class,
        Class::Incomplete
    );
}

#[test]
fn no_line_at_all_agrees_only_with_no_usage() {
    let base_only = invoice(vec![line("price_base", "1", 99_900)]);
    assert_eq!(judged(&expected("0", 0), Some(&base_only)).0, Class::Matched);
    assert_eq!(judged(&expected("1", 0), Some(&base_only)).0, Class::MissingInStripe);
    assert_eq!(
        compare_nothing(&expected("1", 0), Source::Invoice, "sub_1", &Evidence::default()).class,
        Class::MissingInStripe
    );
}

/// Stripe writes a line for each item, at zero usage too (captured).
#[test]
fn a_bill_with_items_and_none_of_the_meter_lacks_the_price_and_not_the_usage() {
    let total = Some(TotalSeen { quantity: Quantity::parse("130").unwrap(), ..TotalSeen::default() });
    let state = BillState::Draft;
    let evidence = || Evidence {
        bill: Some(Bill { state, total: total.clone(), ..Bill::default() }),
        ..Evidence::default()
    };
    let reason = |lines: Vec<InvoiceLine>, expected: &Expected| {
        let invoice = invoice(lines);
        let row = compare_lines(expected, Some(&invoice), Source::Invoice, &scope(), "in_1", &evidence());
        row.unwrap().reason
    };
    let used = expected("130", 0);
    assert_eq!(reason(vec![line("price_base", "1", 99_900)], &used), Some(Cause::Mapping));
    let one_off = InvoiceLine { subscription_item_id: None, ..line("price_base", "1", 500) };
    assert_eq!(reason(vec![one_off], &used), Some(Cause::DraftStale));
    assert_eq!(reason(vec![line("price_usage", "0", 0)], &used), Some(Cause::DraftStale));
    // A line of the meter, by a price that is not in force.
    let in_force = ["price_other".to_owned()].into();
    let used = Expected { price_ids: in_force, ..used };
    assert_eq!(reason(vec![line("price_usage", "130", 21_000)], &used), Some(Cause::Mapping));
}

#[test]
fn lines_of_another_window_and_prorations_are_not_this_usage() {
    let november = Window { start: october().end, end: "2026-12-01T00:00:00Z".parse().unwrap() };
    let later = InvoiceLine { period: november, ..line("price_usage", "9", 0) };
    let prorated = InvoiceLine { proration: true, ..line("price_usage", "9", -500) };
    let all = invoice(vec![line("price_usage", "5", 0), later, prorated]);
    assert_eq!(judged(&expected("5", 0), Some(&all)), (Class::Matched, Some("5".into()), Some(0)));
}

/// Our pushes: so many units were never sent.
fn unsent(units: &str) -> Evidence<'static> {
    let unsent = Lack { units: Quantity::parse(units).unwrap(), ids: Vec::new() };
    Evidence { pushes: Pushes { unsent, ..Pushes::default() }, ..Evidence::default() }
}

#[test]
fn a_difference_is_stripes_less_the_ledgers_and_has_its_cause_only_where_it_differs() {
    let total = MeterTotal { quantity: Quantity::parse("3").unwrap(), request_id: "req_1".to_owned() };
    let row = compare_total(&expected("5", 0), Some(&total), "mtr_1", &unsent("2")).unwrap();
    assert_eq!(row.difference_quantity().unwrap().to_string(), "-2");
    assert_eq!((row.class, row.reason), (Class::QuantityMismatch, Some(Cause::NotPushed)));
    assert_eq!(row.unexplained_quantity(), Some(Quantity::ZERO));
    let row = compare_total(&expected("3", 0), Some(&total), "mtr_1", &unsent("2")).unwrap();
    assert_eq!((row.class, row.reason, row.explained_quantity), (Class::Matched, None, None));
}

fn at_meter(expected: &Expected, total: &str) -> (Class, String, String, Option<Cause>) {
    let total = MeterTotal { quantity: Quantity::parse_float(total).unwrap(), request_id: String::new() };
    let evidence = Evidence { edges: expected.edges, ..Evidence::default() };
    let row = compare_total(expected, Some(&total), "mtr_1", &evidence).unwrap();
    let text = |quantity: Option<Quantity>| quantity.unwrap().to_string();
    (row.class, text(row.ledger_quantity), text(row.stripe_quantity), row.reason)
}

#[test]
fn a_meters_total_is_compared_to_the_digits_that_a_float_keeps() {
    for (ledger, total, shown, class) in [
        ("0.3", "0.30000000000000004", "0.3", Class::Matched),
        ("100", "99.99999999999999", "100", Class::Matched),
        ("1234567.123456789012", "1234567.123456789", "1234567.12345679", Class::Matched),
        ("0", "-2.7755575615628914e-17", "0", Class::Matched),
        ("0.3", "0.3000000001", "0.3000000001", Class::QuantityMismatch),
        ("100", "99.9999999999", "99.9999999999", Class::QuantityMismatch),
    ] {
        let (found, _, stripe, _) = at_meter(&expected(ledger, 0), total);
        assert_eq!((found, stripe.as_str()), (class, shown), "{ledger} {total}");
    }
}

#[test]
fn what_lies_in_the_edge_minutes_is_taken_off_the_total() {
    let quantity = |text| Quantity::parse(text).unwrap();
    let added = |units| EdgeMinutes::Added(quantity(units));
    let boundary = Some(Cause::PeriodBoundary);
    let above_a_quota = EdgeMinutes::AtMost(quantity("7"));
    let reading = EdgeMinutes::Level(quantity("8"));
    for (edges, total, shown, class, reason) in [
        (added("7"), "67", "60", Class::Matched, None),
        // The neighbour's usage is not there, or ours is not: nobody can tell.
        (added("7"), "60", "53", Class::QuantityMismatch, boundary),
        (added("7"), "70", "63", Class::QuantityMismatch, boundary),
        (added("7"), "75", "68", Class::QuantityMismatch, None),
        (added("7"), "59", "52", Class::QuantityMismatch, None),
        (added("-7"), "53", "60", Class::Matched, None),
        (above_a_quota, "60", "60", Class::Matched, None),
        (above_a_quota, "67", "67", Class::QuantityMismatch, boundary),
        (above_a_quota, "68", "68", Class::QuantityMismatch, None),
        (reading, "8", "60", Class::Matched, None),
        (reading, "60", "60", Class::Matched, None),
        (reading, "9", "9", Class::QuantityMismatch, None),
    ] {
        let expected = Expected { edges: Some(edges), ..expected("60", 0) };
        let (found, _, stripe, why) = at_meter(&expected, total);
        assert_eq!((found, stripe.as_str(), why), (class, shown, reason), "{edges:?} {total}");
    }
    // The total has fewer places than the window alone.
    let expected = Expected { edges: Some(added("1")), ..expected("999999.123456789", 0) };
    assert_eq!(at_meter(&expected, "1000000.123456789").0, Class::Matched);
}

#[test]
fn an_amount_in_a_trial_and_a_trial_without_invoice_say_that_it_was_a_trial() {
    let trial = || Evidence { trial: true, bill: Some(Bill::default()), ..unsent("1") };
    let row = |evidence: &Evidence<'_>, line| {
        let invoice = invoice(vec![line]);
        compare_lines(&expected("5", 0), Some(&invoice), Source::Invoice, &scope(), "in_1", evidence).unwrap()
    };
    let charged = row(&trial(), line("price_usage", "5", 500));
    assert_eq!((charged.class, charged.reason), (Class::AmountMismatch, Some(Cause::Trial)));
    assert_eq!((charged.explained_amount, charged.unexplained_amount()), (Some(500), Some(0)));
    assert_eq!(row(&unsent("1"), line("price_usage", "5", 500)).reason, None);
    let fewer = row(&trial(), line("price_usage", "4", 0));
    assert_eq!((fewer.class, fewer.reason), (Class::QuantityMismatch, Some(Cause::NotPushed)));
    let none = compare_nothing(&expected("5", 0), Source::Invoice, "sub_1", &trial());
    assert_eq!((none.class, none.reason), (Class::MissingInStripe, Some(Cause::Trial)));
}
