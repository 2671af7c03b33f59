//! Invoices of every kind, and random ones: nothing of them is lost, and nothing stands under another window's name.

use proptest::prelude::*;

use super::*;
use crate::domain::invoice::{InvoiceMoney, InvoiceStatus};

fn window(start: &str, end: &str) -> Window {
    Window { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

fn november() -> Window {
    window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
}

fn lira() -> Currency {
    Currency::parse("try").unwrap()
}

fn line(id: &str, price: &str, period: Window, amount_minor: i64) -> InvoiceLine {
    InvoiceLine {
        id: id.to_owned(),
        amount_minor,
        currency: lira(),
        quantity: Some(Quantity::parse("1").unwrap()),
        price_id: Some(price.to_owned()),
        subscription_item_id: Some("si_1".to_owned()),
        invoice_item_id: None,
        period,
        proration: false,
        description: String::new(),
    }
}

fn one_off(id: &str, amount_minor: i64) -> InvoiceLine {
    let at = november().start;
    let period = Window { start: at, end: at };
    let item = Some("ii_1".to_owned());
    InvoiceLine {
        subscription_item_id: None,
        invoice_item_id: item,
        ..line(id, "price_once", period, amount_minor)
    }
}

fn invoice(lines: Vec<InvoiceLine>) -> Invoice {
    let total = lines.iter().map(|line| line.amount_minor).sum();
    let money = InvoiceMoney {
        currency: lira(),
        total,
        tax: 0,
        discount: 0,
        credit_grants: 0,
        credit_notes: 0,
        starting_balance: Some(0),
        ending_balance: Some(i64::min(total, 0)),
        amount_due: i64::max(total, 0),
    };
    Invoice {
        id: "in_1".to_owned(),
        subscription_id: Some("sub_1".to_owned()),
        customer_id: Some("cus_1".to_owned()),
        status: InvoiceStatus::Paid,
        billing_reason: "subscription_cycle".to_owned(),
        created: november().start,
        finalizes_at: None,
        money,
        lines,
        lines_complete: true,
        request_id: "req_1".to_owned(),
    }
}

fn rows_of(invoice: &Invoice, source: Source, told: Told) -> Vec<ReconciliationRow> {
    let id = if source == Source::Preview { "sub_1" } else { "in_1" };
    let bill = OneInvoice { tenant_id: "acme", plan: "pro", window: october(), invoice, source, id };
    let scope = Scope { price_ids: ["price_usage".to_owned()].into(), ..Scope::default() };
    beside(&bill, &[MeterLines { meter: "calls", scope: &scope, told }]).unwrap()
}

/// Kind, start of the window, amount and evidence.
fn listed(invoice: &Invoice) -> Vec<(&'static str, String, i128, String)> {
    let rows = rows_of(invoice, Source::Invoice, Told::Compared);
    let shown = |row: ReconciliationRow| {
        let start = row.window.unwrap().start.to_string();
        (
            row.item.map_or("", ItemKind::as_str),
            start,
            row.stripe_amount.unwrap(),
            row.evidence.as_str().to_owned(),
        )
    };
    rows.into_iter().map(shown).collect()
}

const OCTOBER: &str = "2026-10-01T00:00:00Z";
const NOVEMBER: &str = "2026-11-01T00:00:00Z";

#[test]
fn an_invoice_with_all_kinds_at_once_has_a_row_for_each() {
    let prorated = InvoiceLine { proration: true, ..line("il_3", "price_base", october(), -5_000) };
    let lines = vec![
        one_off("il_5", 700),
        prorated,
        line("il_1", "price_usage", october(), 21_000),
        line("il_2", "price_base", november(), 99_900),
        line("il_4", "price_base", november(), 100),
    ];
    let mut all = invoice(lines);
    // 116,700 on lines, less 10,000, less 1,700, and 18 % on top; 500 of the balance are used up, and 20 is shipping.
    all.money = InvoiceMoney {
        discount: 10_000,
        credit_grants: 1_700,
        tax: 18_900,
        total: 123_920,
        starting_balance: Some(-500),
        ending_balance: Some(0),
        amount_due: 123_420,
        ..all.money
    };
    let row =
        |item, start: &str, amount, evidence: &str| (item, start.to_owned(), amount, evidence.to_owned());
    assert_eq!(
        listed(&all),
        [
            row("base_fee", NOVEMBER, 100_000, "in_1 il_2 il_4"),
            row("proration", OCTOBER, -5_000, "in_1 il_3"),
            row("one_off", OCTOBER, 700, "in_1 il_5"),
            row("tax", OCTOBER, 18_900, "in_1"),
            row("discount", OCTOBER, -10_000, "in_1"),
            row("credit", OCTOBER, -1_700, "in_1"),
            row("balance", OCTOBER, -500, "in_1"),
            row("other", OCTOBER, 20, "in_1"),
        ]
    );
}

#[test]
fn the_base_line_of_the_next_window_is_listed_for_that_window_and_never_for_the_one_that_ended() {
    let both = vec![
        line("il_1", "price_usage", october(), 0),
        line("il_2", "price_base", november(), 99_900),
        line("il_3", "price_seats", window(NOVEMBER, "2027-11-01T00:00:00Z"), 500),
    ];
    let found: Vec<_> =
        listed(&invoice(both)).into_iter().map(|(item, start, amount, _)| (item, start, amount)).collect();
    let fee = |amount| ("base_fee", NOVEMBER.to_owned(), amount);
    assert_eq!(found, [fee(99_900), fee(500)]);
}

#[test]
fn live_cancel_the_fee_that_stripe_gives_back_is_listed_and_goes_to_the_balance() {
    let given_back = InvoiceLine { proration: true, ..line("il_1", "price_base", october(), -21_000) };
    let lines = vec![given_back, line("il_2", "price_usage", october(), 1_000)];
    let found = listed(&invoice(lines));
    let found: Vec<_> = found.iter().map(|(item, _, amount, _)| (*item, *amount)).collect();
    assert_eq!(found, [("proration", -21_000), ("balance", 20_000)]);
}

#[test]
fn usage_that_the_ledger_does_not_speak_of_is_missing_there_and_never_a_base_fee() {
    let mut other_window = line("il_1", "price_usage", november(), 700);
    other_window.quantity = Some(Quantity::parse("2.5").unwrap());
    let unknown_meter = line("il_2", "price_strange", october(), 300);
    let rows = rows_of(&invoice(vec![other_window, unknown_meter]), Source::Invoice, Told::Compared);
    let stray = rows.iter().find(|row| row.class == Class::MissingInLedger).unwrap();
    assert_eq!(
        (stray.meter.as_str(), stray.window, stray.stripe_amount),
        ("calls", Some(november()), Some(700))
    );
    assert_eq!(
        (stray.stripe_quantity.unwrap().to_string(), stray.evidence.as_str()),
        ("2.5".to_owned(), "in_1 il_1")
    );
    assert_eq!((rows[0].item, rows[0].stripe_amount), (Some(ItemKind::Other), Some(300)));
    // Where nothing was used there is nothing to miss.
    let mut nothing = line("il_1", "price_usage", october(), 0);
    nothing.quantity = Some(Quantity::ZERO);
    assert_eq!(rows_of(&invoice(vec![nothing]), Source::Invoice, Told::Nowhere), []);
    // Of a tenant that is set aside the ledger may well know it.
    let used = invoice(vec![line("il_1", "price_usage", october(), 700)]);
    let rows = rows_of(&used, Source::Invoice, Told::SetAside);
    assert_eq!(
        (rows[0].item, rows[0].class, rows[0].stripe_amount),
        (Some(ItemKind::Other), Class::OutOfScope, Some(700))
    );
}

#[test]
fn a_preview_names_no_id_that_does_not_last() {
    let rows = rows_of(
        &invoice(vec![line("il_tmp_1", "price_base", november(), 5), one_off("il_tmp_2", 7)]),
        Source::Preview,
        Told::Compared,
    );
    let evidence: Vec<&str> = rows.iter().map(|row| row.evidence.as_str()).collect();
    assert_eq!(evidence, ["sub_1", "sub_1 ii_1"]);
}

#[test]
fn an_invoice_of_which_lines_are_missing_is_incomplete_and_no_sum_is_made_up() {
    let half = Invoice { lines_complete: false, ..invoice(vec![line("il_1", "price_base", november(), 5)]) };
    let rows = rows_of(&half, Source::Invoice, Told::Compared);
    assert_eq!((rows.len(), rows[0].class, rows[0].stripe_amount), (1, Class::Incomplete, None));
}

#[test]
fn the_balance_of_a_draft_is_what_it_would_be_now() {
    let draft = |total, starting| {
        let money = invoice(Vec::new()).money;
        InvoiceMoney { total, starting_balance: Some(starting), ending_balance: None, ..money }.of_balance()
    };
    assert_eq!([draft(100, 0), draft(100, -30), draft(100, -300), draft(100, 30)], [0, -30, -100, 30]);
    assert_eq!([draft(-100, 0), draft(-100, -30), draft(-100, 130)], [100, 100, 130]);
}

/// A line of any kind: usage of this or another window, fees, prorations, one-off items, another currency.
fn any_line() -> impl Strategy<Value = InvoiceLine> {
    let amount =
        prop_oneof![Just(0i64), -1_000_000..1_000_000i64, Just(i64::MAX / 1_000), Just(i64::MIN / 1_000)];
    (0..7u8, amount, 0..3u8).prop_map(|(kind, amount, quantity)| {
        let id = format!("il_{kind}_{amount}");
        let made = match kind {
            0 => line(&id, "price_usage", october(), amount),
            1 => line(&id, "price_usage", november(), amount),
            2 => line(&id, "price_base", november(), amount),
            3 => line(&id, "price_strange", october(), amount),
            4 => InvoiceLine { proration: true, ..line(&id, "price_usage", october(), amount) },
            _ => one_off(&id, amount),
        };
        InvoiceLine {
            quantity: (quantity > 0).then(|| Quantity::parse(&(quantity - 1).to_string()).unwrap()),
            ..made
        }
    })
}

fn any_invoice() -> impl Strategy<Value = Invoice> {
    let amount = || -1_000_000..1_000_000i64;
    let balance = || prop::option::of(-1_000_000..1_000_000i64);
    let money = (amount(), amount(), amount(), amount(), amount(), balance(), balance(), amount());
    (prop::collection::vec(any_line(), 0..12), money).prop_map(|(lines, money)| {
        let (total, tax, discount, credit_grants, credit_notes, starting_balance, ending_balance, amount_due) = money;
        let mut one = invoice(lines);
        one.money = InvoiceMoney {
            currency: lira(),
            total,
            tax,
            discount,
            credit_grants,
            credit_notes,
            starting_balance,
            ending_balance,
            amount_due,
        };
        one
    })
}

/// What the comparison's own rows stand for.
fn compared(one: &Invoice) -> i128 {
    let usage = one.lines.iter().filter(|line| {
        line.price_id.as_deref() == Some("price_usage") && !line.proration && line.period == october()
    });
    usage.map(|line| i128::from(line.amount_minor)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever Stripe answers, and even where its sums do not hold: no row is missing and none counts twice.
    #[test]
    fn usage_and_all_that_stands_beside_it_are_the_amount_due_of_any_invoice(
        one in any_invoice(),
        told in prop_oneof![Just(Told::Compared), Just(Told::Nowhere), Just(Told::SetAside)],
    ) {
        let rows = rows_of(&one, Source::Invoice, told);
        let beside: i128 = rows.iter().filter_map(|row| row.stripe_amount).sum();
        let usage = if told == Told::Compared { compared(&one) } else { 0 };
        prop_assert_eq!(usage + beside, i128::from(one.money.amount_due));
        prop_assert!(rows.iter().all(|row| row.evidence.first() == "in_1"));
        prop_assert!(rows.iter().all(|row| row.item.is_some() == (row.class == Class::OutOfScope)));
    }

    /// Where Stripe's own arithmetic holds, nothing is left for `other`.
    #[test]
    fn an_invoice_that_adds_up_leaves_nothing_over(
        amounts in prop::collection::vec(0..100_000i64, 1..6),
        (tax, discount, credit, notes) in (0..9_000i64, 0..9_000i64, 0..9_000i64, 0..9_000i64),
        starting in -200_000..200_000i64,
        is_final in any::<bool>(),
    ) {
        let lines = amounts.iter().map(|amount| line("il_1", "price_base", november(), *amount)).collect();
        let mut one = invoice(lines);
        let total = amounts.iter().sum::<i64>() + tax - discount - credit;
        let due = i64::max(total - notes + starting, 0);
        one.money = InvoiceMoney {
            total,
            tax,
            discount,
            credit_grants: credit,
            credit_notes: notes,
            starting_balance: Some(starting),
            ending_balance: is_final.then_some(total - notes + starting - due),
            amount_due: due,
            ..one.money
        };
        let rows = rows_of(&one, Source::Invoice, Told::Compared);
        prop_assert!(rows.iter().all(|row| row.item != Some(ItemKind::Other)), "{:?}", rows);
    }
}
