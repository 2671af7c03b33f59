//! Candidates in the shapes that prices have, and amounts between minor and major units.
//!
//! In: usage prices and candidates. Out: the price that would be charged, or why there is none.

use super::*;

fn at(own: &UsagePrice, amount: &str) -> Price {
    with_candidate(own, &Candidate::Amount(minor(amount))).unwrap().price
}

#[test]
fn an_amount_replaces_what_overage_costs_and_nothing_else() {
    let own = per_unit(Some("100"), "700");
    assert_eq!(at(&own, "9"), Price::per_unit(minor("9")));
    let tiers = usage(PushScope::All, Some("100"), graduated("100", "700"));
    assert_eq!(at(&tiers, "9"), graduated("100", "9"));
    // The free units are the price's own, where the plan names no quota.
    let unnamed = usage(PushScope::All, None, graduated("100", "700"));
    assert_eq!(at(&unnamed, "9"), graduated("100", "9"));
    let packages = |amount: &str| Price::PerUnit {
        unit_amount: minor(amount),
        transform: Some(Transform { divide_by: 10, round: Round::Up }),
    };
    let by_ten = usage(PushScope::Overage, Some("5"), packages("4000")).with_prorated_quota("usage").unwrap();
    let dearer = with_candidate(&by_ten, &Candidate::Amount(minor("9"))).unwrap();
    assert_eq!(dearer, UsagePrice { price: packages("9"), ..by_ten });
    let tiers = vec![Tier::new(Some(units("5")), minor("1000")), Tier::new(None, minor("500"))];
    for mode in [TiersMode::Graduated, TiersMode::Volume] {
        let price = Price::tiered(mode, tiers.clone()).unwrap();
        assert_eq!(at(&usage(PushScope::All, None, price), "9"), Price::per_unit(minor("9")));
    }
    let capped = per_unit(Some("100"), "700").with_hard_cap("usage").unwrap();
    assert!(with_candidate(&capped, &Candidate::Amount(minor("9"))).unwrap().hard_cap);
}

#[test]
fn a_whole_price_must_have_the_quota_in_exactly_one_place() {
    let refused = |own: &UsagePrice, price: Price| {
        with_candidate(own, &Candidate::Price(price)).map(|_| ()).map_err(|fault| fault.to_string())
    };
    let own = per_unit(Some("100"), "700");
    assert_eq!(refused(&own, graduated("100", "9")), Ok(()));
    assert_eq!(refused(&own, Price::per_unit(minor("9"))), Ok(()));
    assert!(refused(&own, graduated("50", "9")).unwrap_err().contains("is 100, but the leading zero tier"));
    let without = per_unit(None, "700");
    assert!(refused(&without, graduated("50", "9")).unwrap_err().contains("first 50 units cost nothing"));
    let unnamed = usage(PushScope::All, None, graduated("100", "700"));
    assert!(refused(&unnamed, Price::per_unit(minor("9"))).unwrap_err().contains("gives 100 away"));
    assert_eq!(refused(&unnamed, graduated("100", "9")), Ok(()));
    let ours = usage(PushScope::Overage, Some("100"), Price::per_unit(minor("7")));
    assert!(refused(&ours, graduated("100", "9")).unwrap_err().contains("the quota would be given twice"));
}

#[test]
fn major_units_are_what_people_write() {
    for (code, major, minor_text, shown) in [
        ("try", "7", "700", "7.00"),
        ("try", "0.009", "0.9", "0.009"),
        ("jpy", "7", "7", "7"),
        ("jpy", "0.5", "0.5", "0.5"),
        ("kwd", "1.25", "1250", "1.250"),
    ] {
        let currency = Currency::parse(code).unwrap();
        let amount = in_minor(minor(major), currency).unwrap();
        assert_eq!((amount, in_major(amount, currency).as_str()), (minor(minor_text), shown));
    }
    assert!(in_minor(minor("999999999999999"), lira()).is_err());
}

#[test]
fn a_range_holds_both_ends_where_the_steps_meet_them() {
    let prices = |from: &str, to: &str, step: &str| {
        let found = range(minor(from), minor(to), minor(step), 5);
        found.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(prices("1", "2", "0.5").as_deref(), Some("1 1.5 2"));
    assert_eq!(prices("0.9", "1.6", "0.3").as_deref(), Some("0.9 1.2 1.5"));
    assert_eq!(prices("1", "1", "7").as_deref(), Some("1"));
    assert_eq!(prices("1", "5", "1").as_deref(), Some("1 2 3 4 5"));
    assert_eq!((prices("1", "6", "1"), prices("2", "1", "1"), prices("1", "2", "0")), (None, None, None));
}
