//! A case for each cause.

mod bills;
mod random;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::catalog::Aggregation;
use crate::domain::invoice::MeterFormula;
use crate::domain::money::Currency;
use crate::domain::number::UnitAmount;
use crate::domain::period::Window;
use crate::domain::price::{Price, Tier, TiersMode};
use crate::domain::reconcile::{
    Asked, Bill, BillState, EdgeMinutes, Item, Lack, Look, OtherFormula, Proofs, Pushes, Rates, Seen, Span,
    TotalSeen,
};

fn units(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn october() -> Window {
    Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") }
}

/// Without money, as beside a meter's total.
fn total(ledger: &str, stripe: &str) -> Difference {
    let (ledger, stripe) = (units(ledger), units(stripe));
    Difference { ledger, stripe, quantity: stripe.checked_sub(ledger).ok(), ..Difference::default() }
}

fn bill(ledger: (&str, i128), stripe: (&str, i128)) -> Difference {
    let amount = Some(stripe.1 - ledger.1);
    Difference { ledger_amount: Some(ledger.1), amount, ..total(ledger.0, stripe.0) }
}

fn lack(text: &str) -> Lack {
    Lack { units: units(text), ids: vec![format!("billrecon-{text}")] }
}

fn pushes(pushes: Pushes) -> Evidence<'static> {
    Evidence { pushes, ..Evidence::default() }
}

fn billed(state: BillState, total: &str) -> Bill {
    let total = Some(TotalSeen { quantity: units(total), ..TotalSeen::default() });
    Bill { state, total, may_be_late: true, ..Bill::default() }
}

fn with_bill(bill: Bill) -> Evidence<'static> {
    Evidence { bill: Some(bill), ..Evidence::default() }
}

fn item(id: &str, quantity: &str, amount: i128) -> Item {
    Item { id: id.to_owned(), quantity: units(quantity), amount }
}

/// 100 free, then 7.00 each.
fn rates(ledger: &[&str]) -> Rates {
    let open = Tier::new(None, UnitAmount::parse("700").unwrap());
    let tiers = vec![Tier::new(Some(units("100")), UnitAmount::ZERO), open];
    let price = Price::tiered(TiersMode::Graduated, tiers).unwrap();
    let parts = ledger.iter().map(|text| (price.clone(), units(text))).collect();
    Rates { currency: Currency::parse("try").unwrap(), parts }
}

/// `cause units amount id id`, empty where nothing is said.
fn told(difference: &Difference, evidence: &Evidence<'_>) -> String {
    let named = decide(difference, evidence);
    let cause = named.cause.map_or("-", Cause::as_str).to_owned();
    let quantity = named.explained_quantity.map(|units| units.to_string());
    let amount = named.explained_amount.map(|minor| minor.to_string());
    let parts: Vec<String> = [Some(cause), quantity, amount].into_iter().flatten().collect();
    parts.join(" ") + &named.ids.to_string()
}

#[test]
fn every_word_is_read_as_it_is_written_and_every_cause_says_who_does_what() {
    assert!(Cause::ALL.into_iter().all(|cause| Cause::parse(cause.as_str()) == Some(cause)));
    for cause in Cause::ALL {
        let who = ["engineering: ", "finance: ", "nobody"];
        assert!(who.iter().any(|who| cause.next_step().starts_with(who)), "{}", cause.as_str());
    }
}

#[test]
fn what_is_no_difference_in_usage_is_named_by_what_it_is() {
    for (nature, cause) in [
        (Nature::Unread, Cause::IncompleteData),
        (Nature::Strange, Cause::Mapping),
        (Nature::Beside, Cause::ExtraLines),
        (Nature::TooEarly, Cause::LatencyPending),
    ] {
        let named = decide(&Difference::default(), &Evidence { nature, ..Evidence::default() });
        let expected = Named { cause: Some(cause), next_step: cause.next_step(), ..Named::default() };
        assert_eq!(named, expected);
    }
    assert_eq!(told(&total("5", "4"), &Evidence::default()), "- 0");
}

#[test]
fn of_our_own_pushes_the_fate_that_makes_up_the_difference_is_the_cause() {
    let all = Pushes {
        sent: lack("3"),
        dropped: lack("5"),
        duplicated: lack("7"),
        late: lack("11"),
        corrected: lack("-13"),
        unsent: lack("17"),
        arrived: vec![("billrecon-a".to_owned(), units("60")), ("billrecon-b".to_owned(), units("40"))],
    };
    for (stripe, expected) in [
        ("97", "latency_pending -3 billrecon-3"),
        ("95", "rejected_async -5 billrecon-5"),
        ("93", "duplicate_rejected -7 billrecon-7"),
        ("89", "late_usage -11 billrecon-11"),
        ("83", "not_pushed -17 billrecon-17"),
        ("113", "correction_after_close 13 billrecon--13"),
        ("140", "duplicate_push 40 billrecon-b"),
        ("200", "duplicate_push 100 billrecon-a billrecon-b"),
        // None of them alone: the first that accounts for a part.
        ("80", "duplicate_rejected -7 billrecon-7"),
        ("99", "duplicate_rejected -1 billrecon-7"),
        ("120", "correction_after_close 13 billrecon--13"),
    ] {
        assert_eq!(told(&total("100", stripe), &pushes(all.clone())), expected, "{stripe}");
    }
}

/// 0.1 is no binary float: both sides have the digits that one keeps.
#[test]
fn a_part_that_comes_to_the_total_as_a_float_keeps_it_explains_all() {
    let difference = Difference {
        ledger: units("1234567.123456789012"),
        stripe: units("1234567"),
        quantity: Some(units("-0.12345679")),
        ..Difference::default()
    };
    let evidence = pushes(Pushes { sent: lack("0.123456789012"), ..Pushes::default() });
    assert_eq!(told(&difference, &evidence), "latency_pending -0.12345679 billrecon-0.123456789012");
}

#[test]
fn a_bill_that_is_not_at_the_meters_total_says_why_by_its_state() {
    let less = bill(("130", 0), ("120", 0));
    let more = bill(("130", 0), ("140", 0));
    for (difference, state, expected) in [
        (&less, BillState::Draft, "draft_stale -10 0"),
        (&more, BillState::Draft, "draft_stale 10 0"),
        (&less, BillState::Final, "late_usage -10 0"),
        (&more, BillState::Final, "correction_after_close 10 0"),
        (&less, BillState::Preview, "- 0 0"),
    ] {
        assert_eq!(told(difference, &with_bill(billed(state, "130"))), expected, "{state:?}");
    }
}

#[test]
fn a_bill_that_shows_what_the_meter_shows_has_the_cause_of_the_meters_total() {
    let seen = TotalSeen {
        quantity: units("120"),
        cause: Some(Cause::DuplicatePush),
        explained: units("20"),
        ids: ["e1".to_owned()].into_iter().collect(),
    };
    let of = |state| with_bill(Bill { total: Some(seen.clone()), ..billed(state, "120") });
    assert_eq!(told(&bill(("100", 0), ("120", 0)), &of(BillState::Preview)), "duplicate_push 20 0 e1");
    // Five more came when the invoice was final.
    assert_eq!(told(&bill(("100", 0), ("115", 0)), &of(BillState::Final)), "duplicate_push 15 0 e1");
}

#[test]
fn the_money_of_explained_units_is_the_bill_with_them_less_the_bill_without() {
    let of = |late: &str, rates| Evidence {
        rates: Some(rates),
        ..pushes(Pushes { late: lack(late), ..Pushes::default() })
    };
    let rates = rates(&["130"]);
    let explains = |difference: &Difference, late: &str| {
        let named = decide(difference, &of(late, &rates));
        (named.explained_quantity.unwrap().to_string(), named.explained_amount.unwrap())
    };
    // 30 of 130 are billed. Of the 50 that are missing 30 would have been.
    assert_eq!(explains(&bill(("130", 21_000), ("80", 0)), "50"), ("-50".to_owned(), -21_000));
    assert_eq!(explains(&bill(("130", 21_000), ("80", 0)), "20"), ("-20".to_owned(), -14_000));
}

#[test]
fn two_items_that_each_bill_the_whole_meter_are_one_too_many() {
    let items = vec![item("si_1", "130", 21_000), item("si_2", "130", 65_000)];
    let twice = Bill { items, ..billed(BillState::Final, "130") };
    let difference = bill(("130", 21_000), ("260", 86_000));
    assert_eq!(told(&difference, &with_bill(twice)), "double_meter 130 65000 si_1 si_2");
    // Two that share it are a change of plan.
    let items = vec![item("si_1", "100", 0), item("si_2", "30", 0)];
    let shared = Bill { items, ..billed(BillState::Final, "150") };
    assert_eq!(told(&bill(("150", 0), ("130", 0)), &with_bill(shared)), "late_usage -20 0");
}

#[test]
fn a_change_of_plan_loses_the_usage_of_whole_segments_from_the_first() {
    let segments = ["130", "70", "60.5"].map(units).to_vec();
    let changed = || Bill { segments: segments.clone(), ..billed(BillState::Final, "260.5") };
    for (stripe, expected) in [
        ("130.5", "mid_cycle_change -130 0"),
        ("60.5", "mid_cycle_change -200 0"),
        ("0", "mid_cycle_change -260.5 0"),
        // Less than a segment is no lost segment.
        ("200", "late_usage -60.5 0"),
    ] {
        assert_eq!(told(&bill(("260.5", 0), (stripe, 0)), &with_bill(changed())), expected, "{stripe}");
    }
    let parts = rates(&["130", "70", "60.5"]);
    let evidence = Evidence { rates: Some(&parts), ..with_bill(changed()) };
    assert_eq!(told(&bill(("260.5", 21_000), ("130.5", 0)), &evidence), "mid_cycle_change -130 -21000");
    let level =
        Bill { is_gauge: true, segments: ["8", "5"].map(units).to_vec(), ..billed(BillState::Final, "8") };
    assert_eq!(told(&bill(("5", 0), ("8", 0)), &with_bill(level)), "mid_cycle_change 3 0");
}

#[test]
fn the_same_units_at_another_price_are_a_pricing_difference_as_far_as_stripes_price_says_so() {
    let priced = |minor| with_bill(Bill { priced: Some(minor), ..billed(BillState::Final, "130") });
    let difference = bill(("130", 21_000), ("130", 24_000));
    assert_eq!(told(&difference, &priced(24_000)), "pricing_diff 0 3000");
    assert_eq!(told(&difference, &priced(22_000)), "pricing_diff 0 1000");
    assert_eq!(told(&difference, &priced(30_000)), "pricing_diff 0 9000");
    assert_eq!(told(&difference, &priced(21_000)), "- 0 0");
    assert_eq!(told(&difference, &priced(20_000)), "- 0 0");
}

#[test]
fn a_trial_charges_nothing_and_needs_no_invoice() {
    let trial = |bill| Evidence { trial: true, ..with_bill(bill) };
    let charged = bill(("5", 0), ("5", 500));
    assert_eq!(told(&charged, &trial(billed(BillState::Final, "5"))), "trial 0 500");
    let absent = bill(("5", 0), ("0", 0));
    assert_eq!(told(&absent, &trial(billed(BillState::Absent, "5"))), "trial -5 0");
    assert_eq!(told(&absent, &trial(billed(BillState::Final, "5"))), "late_usage -5 0");
}

/// `day quantity id [recorded]` of October; the record occurs at noon, or `day.hour`.
fn seen(text: &str) -> Seen {
    let parts: Vec<&str> = text.split(' ').collect();
    let (day, hour) = parts[0].split_once('.').unwrap_or((parts[0], "12"));
    let hours = (day.parse::<i64>().unwrap() - 1) * 24 + hour.parse::<i64>().unwrap();
    let occurred_at = october().start + SignedDuration::from_hours(hours);
    let recorded_at = parts.get(3).map_or(occurred_at, |text| at(text));
    Seen { id: parts[2].to_owned(), quantity: units(parts[1]), occurred_at, recorded_at }
}

/// Stripe's days as `day quantity`; before and after as its totals of September and November.
fn look(records: &[impl AsRef<str>], days: &[impl AsRef<str>], beside: [&str; 2]) -> Look {
    let day = |text: &str| {
        let (day, quantity) = text.split_once(' ').unwrap();
        let hours = 24 * (day.parse::<i64>().unwrap() - 1);
        (october().start + SignedDuration::from_hours(hours), units(quantity))
    };
    let before = Window { start: at("2026-08-31T00:00:00Z"), end: october().start };
    let after = Window { start: october().end, end: at("2026-12-02T00:00:00Z") };
    let span = |window, total| Some(Span { window, total: units(total) });
    let records = records.iter().map(|text| seen(text.as_ref())).collect();
    let final_at = Some(at("2026-11-01T01:00:00Z"));
    let young_since = at("2026-10-31T22:30:00Z");
    let mut look = Look::new(october(), Aggregation::Sum, records, final_at, young_since).unwrap();
    look.asked = Asked {
        days: days.iter().map(|text| day(text.as_ref())).collect(),
        before: span(before, beside[0]),
        after: span(after, beside[1]),
    };
    look
}

fn looked(difference: &Difference, look: &Look) -> String {
    told(difference, &Evidence { look: Some(look), ..Evidence::default() })
}

#[test]
fn days_and_records_tell_what_is_missing_and_what_came_twice() {
    let records = ["3 10 a", "3.13 20 b", "5 7 c", "5.13 7 d", "31.23 4 e"];
    for (days, stripe, expected) in [
        (&["3 40", "5 14", "31 4"][..], "58", "duplicate_push 10 a"),
        (&["3 60", "5 14", "31 4"], "78", "duplicate_push 30 a b"),
        // Which of two alike came twice cannot be told.
        (&["3 30", "5 21", "31 4"], "55", "duplicate_push 7"),
        (&["3 30", "5 14", "31 5"], "49", "- 0"),
        (&["3 10", "5 14", "31 4"], "28", "not_pushed -20 b"),
        (&["3 30", "31 4"], "34", "not_pushed -14 c d"),
        (&[], "0", "not_pushed -48"),
        // The newest are younger than Stripe's delay.
        (&["3 30", "5 14"], "44", "latency_pending -4 e"),
        // It came on another day of the window than it was used.
        (&["4 20", "5 14", "31 4"], "38", "- 0"),
        // Of two days with too little one is understood.
        (&["3 29", "5 7", "31 4"], "40", "not_pushed -7"),
    ] {
        assert_eq!(looked(&total("48", stripe), &look(&records, days, ["0", "0"])), expected, "{days:?}");
    }
}

#[test]
fn usage_beside_the_window_is_at_the_edge_or_shifted() {
    let records = ["1.1 10 a", "1.5 20 b", "15 40 c", "31.22 4 d"];
    let days = ["1 30", "15 40", "31 4"];
    for (stripe, beside, expected) in [
        ("64", ["10", "0"], "period_boundary -10 a"),
        ("44", ["30", "0"], "period_boundary -30 a b"),
        ("70", ["0", "4"], "period_boundary -4 d"),
        ("60", ["10", "4"], "period_boundary -14 a d"),
        ("34", ["0", "40"], "timestamp_shift -40"),
        ("69", ["0", "5"], "timestamp_shift -5"),
    ] {
        assert_eq!(looked(&total("74", stripe), &look(&records, &days, beside)), expected, "{stripe}");
    }
    // A neighbour that is off by more is off for another reason.
    assert_eq!(looked(&total("74", "69"), &look(&records, &days, ["0", "50"])), "- 0");
    // The reverse: usage of November counts in October.
    let records = ["15 40 c", "32.2 6 d", "50 9 e"];
    let days = ["15 40", "31 6", "50 9"];
    assert_eq!(looked(&total("40", "46"), &look(&records, &days, ["0", "9"])), "period_boundary 6 d");
    assert_eq!(looked(&total("40", "49"), &look(&records, &["15 49"], ["0", "6"])), "timestamp_shift 9");
}

#[test]
fn windows_that_a_zones_offset_has_moved_are_known_by_their_neighbours() {
    // Everything counts three hours early.
    let records = ["-20 5 z", "1.1 10 a", "15 40 c", "31.22 4 d", "32.1 3 e", "32.2 6 f", "40 2 g"];
    let moved = look(&records, &["15 40"], ["15", "2"]);
    assert_eq!(looked(&total("54", "53"), &moved), "period_boundary -1");
}

#[test]
fn what_was_imported_when_the_invoice_was_final_is_late_only_if_it_is_exactly_what_is_missing() {
    let late = "2026-11-03T00:00:00Z";
    let one = [format!("3 10 a {late}"), "5 30 b".to_owned()];
    assert_eq!(looked(&total("40", "30"), &look(&one, &["5 30"], ["0", "0"])), "late_usage -10 a");
    // A ledger that was filled afterwards tells nothing.
    let all = [format!("3 10 a {late}"), format!("5 30 b {late}")];
    assert_eq!(looked(&total("40", "30"), &look(&all, &["5 30"], ["0", "0"])), "not_pushed -10 a");
    let back = ["3 10 a".to_owned(), "5 30 b".to_owned(), format!("5.13 -7 c {late}")];
    let kept = look(&back, &["3 10", "5 30"], ["0", "0"]);
    assert_eq!(looked(&total("33", "40"), &kept), "correction_after_close 7 c");
}

#[test]
fn another_formula_or_another_unit_makes_another_number_of_the_same_records() {
    let records = ["3 1500 a", "5 700 b", "7 300 c"];
    let days = ["3 1", "5 1", "7 1"];
    let look = look(&records, &days, ["0", "0"]);
    for (stripe, expected) in [
        ("3", "aggregation_mismatch -2497"),
        ("1500", "aggregation_mismatch -1000"),
        ("2.5", "aggregation_mismatch -2497.5"),
        ("2500000", "aggregation_mismatch 2497500"),
    ] {
        assert_eq!(looked(&total("2500", stripe), &look), expected, "{stripe}");
    }
    let other = |formula| Evidence {
        other_formula: Some(OtherFormula(formula)),
        look: Some(&look),
        ..Evidence::default()
    };
    let difference = total("2500", "3");
    assert_eq!(told(&difference, &other(Some(MeterFormula::Count))), "aggregation_mismatch -2497");
    assert_eq!(told(&difference, &other(Some(MeterFormula::Last))), "aggregation_mismatch -2200");
    assert_eq!(told(&difference, &other(None)), "aggregation_mismatch 0");
}

#[test]
fn usage_in_the_minutes_of_an_edge_may_be_on_either_side() {
    let edges = Some(EdgeMinutes::Added(units("7")));
    let evidence = Evidence { edges, ..Evidence::default() };
    assert_eq!(told(&total("60", "53"), &evidence), "period_boundary -7");
    assert_eq!(told(&total("60", "52"), &evidence), "- 0");
}
