//! One case for each check: what stands at Stripe in the good case with one thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::catalog::{Aggregation, Billing, Catalog, PushScope};
use crate::domain::invoice::{
    Invoice, InvoiceMoney, InvoiceStatus, MeterFormula, PayloadKeys, StripeScheme, StripeSubscription,
    StripeTier, SubscriptionItem,
};
use crate::domain::money::Currency;
use crate::domain::number::{Quantity, Round, UnitAmount};
use crate::domain::period::Window;
use crate::domain::price::{Price, Transform};
use crate::domain::reconcile::Scope;
use crate::domain::tenant::SubscriptionStatus;

const PLACE: &str = "plan `pro`, meter `requests`";

fn amount(text: &str) -> UnitAmount {
    UnitAmount::parse(text).unwrap()
}

fn tiers(tiers: &[(Option<&str>, &str, &str)]) -> Vec<StripeTier> {
    let tier = |(up_to, unit, flat): &(Option<&str>, &str, &str)| StripeTier {
        up_to: up_to.map(|text| Quantity::parse(text).unwrap()),
        unit_amount: amount(unit),
        flat_amount: amount(flat),
    };
    tiers.iter().map(tier).collect()
}

fn price(id: &str, scheme: StripeScheme) -> StripePrice {
    StripePrice {
        id: id.to_owned(),
        lookup_key: None,
        active: true,
        livemode: false,
        currency: Currency::parse("try").unwrap(),
        meter_id: Some("mtr_1".to_owned()),
        interval: "month".to_owned(),
        scheme,
        transform: None,
    }
}

struct Case {
    catalog: Catalog,
    meters: Vec<StripeMeter>,
    shadow: PriceAtStripe,
    overage: PriceAtStripe,
}

impl Case {
    /// 100 units free, then 7.00 each; nothing is wrong.
    fn good() -> Self {
        let text = r#"
            [[meter]]
            key = "requests"
            aggregation = "sum"
            [[plan]]
            key = "pro"
            currency = "try"
              [[plan.usage]]
              meter = "requests"
              free_quota = 100
              price = { unit_amount = 700 }
        "#;
        let scheme = StripeScheme::Graduated(tiers(&[(Some("100"), "0", "0"), (None, "700", "0")]));
        Self {
            catalog: crate::ingest::catalog::read(text, "catalog").unwrap(),
            meters: vec![StripeMeter {
                id: "mtr_1".to_owned(),
                event_name: "requests".to_owned(),
                formula: Some(MeterFormula::Sum),
                pre_aggregates: false,
                active: true,
                livemode: Some(false),
                payload_keys: PayloadKeys::default(),
            }],
            shadow: PriceAtStripe::Found(price("price_0", StripeScheme::PerUnit(UnitAmount::ZERO))),
            overage: PriceAtStripe::Found(price("price_7", scheme)),
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut case = Self::good();
        change(&mut case);
        case
    }

    fn usage(&mut self) -> &mut UsagePrice {
        self.catalog.plans.values_mut().next().unwrap().usage.get_mut("requests").unwrap()
    }

    fn meter(&mut self) -> &mut Meter {
        self.catalog.meters.get_mut("requests").unwrap()
    }

    fn findings(&self, side: Side) -> Vec<Finding> {
        let plan = self.catalog.plans.values().next().unwrap();
        let sold = Sold {
            plan,
            meter: &self.catalog.meters["requests"],
            usage: &plan.usage["requests"],
            shadow: self.shadow.clone(),
            overage: self.overage.clone(),
        };
        check_catalog(&[sold], &self.meters, side)
    }
}

fn found(price: &mut PriceAtStripe) -> &mut StripePrice {
    match price {
        PriceAtStripe::Found(price) => price,
        other => panic!("{other:?}"),
    }
}

fn missing(id: &str) -> PriceAtStripe {
    PriceAtStripe::Missing(PriceRef::Id(id.to_owned()))
}

fn side(push: PushMode) -> Side {
    Side { push, livemode: Some(false) }
}

/// In push mode and in observe mode.
fn told(case: &Case) -> [Vec<(Severity, CheckName)>; 2] {
    [PushMode::Push, PushMode::Observe].map(|push| {
        let findings = case.findings(side(push));
        findings.into_iter().map(|one| (one.severity, one.check)).collect()
    })
}

#[test]
fn what_is_as_it_should_be_is_no_finding() {
    for case in [
        Case::good(),
        // The quota is ours, and Stripe's price has none.
        Case::with(|case| {
            case.usage().push = PushScope::Overage;
            found(&mut case.overage).scheme = StripeScheme::PerUnit(amount("700"));
        }),
        // Nothing above a hard cap is ever charged, whatever the price says of it.
        Case::with(|case| {
            case.usage().hard_cap = true;
            found(&mut case.overage).scheme = StripeScheme::PerUnit(UnitAmount::ZERO);
        }),
        // What never costs anything may say so in any way.
        Case::with(|case| {
            case.usage().price = Price::per_unit(UnitAmount::ZERO);
            found(&mut case.overage).scheme = StripeScheme::Graduated(tiers(&[(None, "0", "0")]));
        }),
        // The time of the shadow price is over.
        Case::with(|case| {
            case.usage().billing = Billing::Live;
            found(&mut case.shadow).active = false;
        }),
        // Other keys are sent as the meter wants them.
        Case::with(|case| case.meters[0].payload_keys.value = "how_many".to_owned()),
        // An old meter of the same name is none.
        Case::with(|case| {
            let old = StripeMeter { active: false, formula: None, ..case.meters[0].clone() };
            case.meters.insert(0, StripeMeter { id: "mtr_0".to_owned(), ..old });
        }),
    ] {
        assert_eq!(told(&case), [vec![], vec![]]);
    }
}

/// The check, the case, whether it is refused when we push and when we only look on, and words of its text.
type Row = (CheckName, Case, [Severity; 2], &'static [&'static str]);

const ALWAYS: [Severity; 2] = [Severity::Refuse, Severity::Refuse];
const WHEN_PUSHING: [Severity; 2] = [Severity::Refuse, Severity::Warn];
const NEVER: [Severity; 2] = [Severity::Warn, Severity::Warn];

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use CheckName as C;
    let scheme = |scheme: StripeScheme| Case::with(|case| found(&mut case.overage).scheme = scheme);
    vec![
        (C::MeterExists, Case::with(|case| case.meters.clear()), ALWAYS, &["`requests` does not exist", "make it"]),
        (C::MeterActive, Case::with(|case| case.meters[0].active = false), ALWAYS, &["is not active", "reactivate"]),
        (C::MeterFormula, Case::with(|case| case.meters[0].formula = None), WHEN_PUSHING, &["not known", "formula sum"]),
        (C::MeterFormula, Case::with(|case| case.meters[0].formula = Some(MeterFormula::Count)), WHEN_PUSHING, &["the formula count"]),
        (C::MeterFormula, Case::with(|case| case.meter().aggregation = Aggregation::Max), WHEN_PUSHING, &["\"max\"", "formula last"]),
        (C::PriceExists, Case::with(|case| case.shadow = missing("price_x")), ALWAYS, &["no price `price_x`", "mend shadow_price_id"]),
        (C::PriceExists, Case::with(|case| case.shadow = PriceAtStripe::Unnamed), ALWAYS, &["names no price", "set shadow_price_id"]),
        (C::PriceExists, Case::with(|case| case.overage = missing("price_x")), ALWAYS, &["no price `price_x`", "mend overage_price_id"]),
        (C::PriceExists, Case::with(|case| case.overage = PriceAtStripe::Unnamed), ALWAYS, &["names no price", "set overage_price_id"]),
        (C::PriceActive, Case::with(|case| found(&mut case.shadow).active = false), NEVER, &["`price_0` is archived", "still bills"]),
        (C::PriceActive, Case::with(|case| found(&mut case.overage).active = false), NEVER, &["`price_7` is archived", "charged later"]),
        (C::Currency, Case::with(|case| found(&mut case.overage).currency = Currency::parse("usd").unwrap()), ALWAYS, &["`price_7` is in usd, the plan in try"]),
        (C::Interval, Case::with(|case| found(&mut case.shadow).interval = "3 month".to_owned()), ALWAYS, &["`price_0` is per 3 month, the plan per month"]),
        (C::Interval, Case::with(|case| found(&mut case.shadow).interval.clear()), ALWAYS, &["`price_0` does not recur"]),
        (C::PriceMeter, Case::with(|case| found(&mut case.shadow).meter_id = None), ALWAYS, &["`price_0` does not bill the meter `requests`", "usage_type = metered"]),
        (C::PriceMeter, Case::with(|case| found(&mut case.overage).meter_id = Some("mtr_2".to_owned())), ALWAYS, &["`price_7` does not bill the meter `requests`", "mtr_1"]),
        (C::Mode, Case::with(|case| found(&mut case.overage).livemode = true), ALWAYS, &["`price_7` is of another mode"]),
        (C::Mode, Case::with(|case| case.meters[0].livemode = Some(true)), ALWAYS, &["meter for the event `requests` is of another mode"]),
        (C::ShadowIsZero, Case::with(|case| found(&mut case.shadow).scheme = StripeScheme::PerUnit(amount("0.01"))), ALWAYS, &["`price_0` is not 0", "nothing is sent"]),
        (C::Quota, Case::with(|case| case.usage().push = PushScope::Overage), ALWAYS, &["in two places", "`price_7`"]),
        (C::Quota, scheme(StripeScheme::PerUnit(amount("700"))), ALWAYS, &["in no place", "`price_7`"]),
        (C::Quota, scheme(StripeScheme::Graduated(tiers(&[(Some("99"), "0", "0"), (None, "700", "0")]))), ALWAYS, &["quota is 100", "gives 99 units"]),
        (C::PriceOfCatalog, scheme(StripeScheme::Graduated(tiers(&[(Some("100"), "0", "0"), (None, "701", "0")]))), WHEN_PUSHING,
            &["`price_7` charges graduated: to 100 at 0, then 701, the catalog graduated: to 100 at 0, then 700"]),
        (C::PriceOfCatalog, scheme(StripeScheme::Graduated(tiers(&[(Some("100"), "0", "0"), (None, "700", "9")]))), WHEN_PUSHING, &["then 700 + 9 flat"]),
        (C::PriceOfCatalog, scheme(StripeScheme::Graduated(tiers(&[(Some("100"), "0", "0"), (Some("1000"), "700", "0"), (None, "600", "0")]))), WHEN_PUSHING, &["to 1000 at 700"]),
        (C::PriceOfCatalog, scheme(StripeScheme::Volume(tiers(&[(Some("100"), "0", "0"), (None, "700", "0")]))), WHEN_PUSHING, &["charges volume: "]),
        (C::PriceOfCatalog, Case::with(|case| {
            case.usage().free_quota = None;
            case.usage().price = Price::per_unit(amount("700"));
            found(&mut case.overage).scheme = StripeScheme::PerUnit(amount("700"));
            found(&mut case.overage).transform = Some(Transform { divide_by: 10, round: Round::Up });
        }), WHEN_PUSHING, &["charges 700 per begun package of 10, the catalog 700 per unit"]),
    ]
}

#[test]
fn each_wrong_thing_is_one_finding_that_names_its_place_and_what_to_do() {
    for (check, case, severities, words) in rows() {
        for (push, severity) in [PushMode::Push, PushMode::Observe].into_iter().zip(severities) {
            let findings = case.findings(side(push));
            let [one] = &findings[..] else { panic!("{check:?}: {findings:?}") };
            assert_eq!((one.check, one.severity, one.place.as_str()), (check, severity, PLACE));
            for word in words {
                assert!(one.text.contains(word), "`{word}` is missing in: {}", one.text);
            }
            assert_eq!(refusal(&findings).is_some(), severity == Severity::Refuse);
        }
    }
}

/// What is only seen by who pushes, or only by who looks on.
#[test]
fn an_application_may_count_records_and_send_one_event_for_each_hour() {
    let by_the_hour = Case::with(|case| case.meters[0].pre_aggregates = true);
    let records = Case::with(|case| {
        case.meter().aggregation = Aggregation::Count;
        case.meters[0].formula = Some(MeterFormula::Count);
    });
    for case in [by_the_hour, records] {
        assert_eq!(told(&case), [vec![(Severity::Refuse, CheckName::MeterFormula)], vec![]]);
    }
}

#[test]
fn the_sandbox_has_no_modes() {
    let case = Case::with(|case| found(&mut case.overage).livemode = true);
    assert_eq!(case.findings(Side { push: PushMode::Push, livemode: None }), []);
}

#[test]
fn all_that_is_refused_is_told_at_once_and_nothing_else() {
    let case = Case::with(|case| {
        case.meters[0].active = false;
        case.shadow = missing("price_x");
        found(&mut case.overage).active = false;
        found(&mut case.overage).interval = "year".to_owned();
    });
    let refused = refusal(&case.findings(side(PushMode::Push))).unwrap().to_string();
    for word in ["3 things", "[meter_active]", "[price_exists]", "[interval]"] {
        assert!(refused.contains(word), "`{word}` is missing in: {refused}");
    }
    assert_eq!((refused.lines().count(), refused.contains("archived")), (4, false));
}

/// One meter that two plans sell is one thing to mend.
#[test]
fn a_meter_is_looked_at_once() {
    let case = Case::with(|case| case.meters[0].active = false);
    let plan = case.catalog.plans.values().next().unwrap();
    let sold = || Sold {
        plan,
        meter: &case.catalog.meters["requests"],
        usage: &plan.usage["requests"],
        shadow: case.shadow.clone(),
        overage: case.overage.clone(),
    };
    assert_eq!(check_catalog(&[sold(), sold()], &case.meters, side(PushMode::Push)).len(), 1);
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn invoice(id: &str, billing_reason: &str, grace_minutes: Option<i64>) -> Invoice {
    let created = at("2026-11-01T00:00:00Z");
    Invoice {
        id: id.to_owned(),
        subscription_id: None,
        customer_id: None,
        status: InvoiceStatus::Draft,
        billing_reason: billing_reason.to_owned(),
        created,
        finalizes_at: grace_minutes.map(|minutes| created + SignedDuration::from_mins(minutes)),
        money: InvoiceMoney {
            currency: Currency::parse("try").unwrap(),
            total: 0,
            tax: 0,
            discount: 0,
            credit_grants: 0,
            credit_notes: 0,
            starting_balance: None,
            ending_balance: None,
            amount_due: 0,
        },
        lines: Vec::new(),
        lines_complete: true,
        request_id: String::new(),
    }
}

#[test]
fn wakes_that_are_further_apart_than_a_draft_lives_are_warned_of() {
    let cycle = |id, minutes| invoice(id, "subscription_cycle", minutes);
    // The first invoice of a subscription, and what a person finalizes, say nothing of the grace period.
    let others = [invoice("in_0", "subscription_create", Some(0)), invoice("in_1", "manual", Some(2))];
    let check = |invoices: &[Invoice], minutes| {
        let all = invoices.iter().chain(&others);
        check_grace_period(all, SignedDuration::from_mins(minutes)).map(|one| one.to_string())
    };
    // Without any to learn from it is an hour.
    for none in [vec![], vec![cycle("in_2", None)]] {
        assert_eq!(check(&none, 60), None);
        assert!(check(&none, 61).unwrap().contains("Stripe's usual time"));
    }
    // The shortest counts.
    let some = [cycle("in_3", Some(4_320)), cycle("in_4", Some(120)), cycle("in_5", Some(180))];
    assert_eq!(check(&some, 120), None);
    let text = check(&some, 180).unwrap();
    for word in ["serve.schedule: ", "3h apart", "for 2h only", "`in_4`", "Wake more often", "[grace_period]"]
    {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn two_items_on_one_meter_are_named() {
    let item = |id: &str, price_id: &str| SubscriptionItem {
        id: id.to_owned(),
        price_id: price_id.to_owned(),
        meter_id: None,
        current_period: Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") },
    };
    let check = |items: &[(&str, &str)], status: SubscriptionStatus| {
        let subscription = StripeSubscription {
            id: "sub_1".to_owned(),
            customer_id: "cus_1".to_owned(),
            customer_deleted: false,
            status: Some(status),
            items: items.iter().map(|(id, price)| item(id, price)).collect(),
            items_complete: true,
        };
        let price_ids = ["price_0", "price_7"].map(str::to_owned).into();
        let scope = Scope { price_ids, ..Scope::default() };
        check_items(&subscription, "requests", &scope).map(|one| (one.severity, one.to_string()))
    };
    assert_eq!(check(&[("si_0", "price_base"), ("si_1", "price_0")], SubscriptionStatus::Active), None);
    let two = [("si_0", "price_base"), ("si_1", "price_0"), ("si_2", "price_7")];
    assert_eq!(check(&two, SubscriptionStatus::Canceled), None);
    let (severity, text) = check(&two, SubscriptionStatus::PastDue).unwrap();
    assert_eq!(severity, Severity::Warn);
    for word in
        ["subscription `sub_1`: ", "2 items on the meter `requests`", "si_1, si_2", "remove", "[two_items]"]
    {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn a_full_key_is_warned_of_without_being_shown() {
    let check = |key: &str| check_key(&key.to_owned().into()).map(|one| one.to_string());
    assert_eq!(check("rk_live_51abc"), None);
    for key in ["sk_live_51abc", "sk_test_51abc"] {
        let text = check(key).unwrap();
        assert!(
            text.contains("restricted") && text.contains("[key_kind]") && !text.contains("51abc"),
            "{text}"
        );
    }
}

/// Beside the table of cases: the checks with a test of their own above.
#[test]
fn no_check_is_without_a_case_or_a_row_on_the_page() {
    let of_their_own = [CheckName::TwoItems, CheckName::GracePeriod, CheckName::KeyKind];
    let reached: BTreeSet<CheckName> = rows().into_iter().map(|row| row.0).chain(of_their_own).collect();
    assert_eq!(reached, CheckName::ALL.into());
    let names: BTreeMap<&str, CheckName> =
        CheckName::ALL.into_iter().map(|one| (one.as_str(), one)).collect();
    assert_eq!(names.len(), CheckName::ALL.len());
    let page = include_str!("../../../docs/operations.md");
    for name in names.keys() {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not on the page");
    }
}
