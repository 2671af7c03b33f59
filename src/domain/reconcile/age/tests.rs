//! Differences over some runs: new, known, gone, superseded, and what nobody can say.

use super::*;
use crate::domain::period::Window;
use crate::domain::reconcile::orphan;

const START: &str = "2026-10-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Subscriptions that no tenant has, seen by a run; what it notes, and `subscription change runs` of each.
fn run(ids: &[&str], known: &[KnownDifference], now: &str) -> (Followed, Vec<String>) {
    let mut rows: Vec<ReconciliationRow> = ids.iter().map(|id| orphan(id, "calls")).collect();
    let mut all: Vec<_> = rows.iter_mut().collect();
    let followed = follow(&[], &mut all, known.to_vec(), &Claims::default(), at(now));
    let told = rows.iter().map(|row| {
        let age = row.age.unwrap();
        format!("{} {} {}", row.evidence.first(), age.as_str(), age.runs())
    });
    let told = told.collect();
    (followed, told)
}

fn all(followed: &Followed) -> Vec<KnownDifference> {
    [&followed.seen[..], &followed.agreed, &followed.vanished, &followed.superseded].concat()
}

/// Of the tenant acme in October.
fn row(source: Source, meter: &str, class: Class) -> ReconciliationRow {
    let window = Some(Window { start: at(START), end: at("2026-11-01T00:00:00Z") });
    ReconciliationRow { tenant_id: "acme".to_owned(), window, source, class, ..orphan("", meter) }
}

/// What a later run makes of a difference on `calls`: `agreed`, `vanished`, `superseded` or an empty text.
fn fate(source: Source, after: &[(Source, &str, Class)], claims: &Claims) -> &'static str {
    let mut before = row(source, "calls", Class::QuantityMismatch);
    let known = follow(&[], &mut [&mut before], Vec::new(), claims, at("2026-10-20T00:00:00Z")).seen;
    let mut after: Vec<_> = after.iter().map(|(source, meter, class)| row(*source, meter, *class)).collect();
    let mut rows: Vec<_> = after.iter_mut().collect();
    let followed = follow(&[], &mut rows, known, claims, at("2026-11-01T02:00:00Z"));
    match (followed.agreed.len(), followed.vanished.len(), followed.superseded.len()) {
        (0, 0, 0) => "",
        (1, 0, 0) => "agreed",
        (0, 1, 0) => "vanished",
        (0, 0, 1) => "superseded",
        counts => panic!("{counts:?}"),
    }
}

#[test]
fn a_difference_is_new_once_then_known_and_the_runs_are_counted_until_it_is_gone() {
    let (first, told) = run(&["sub_a", "sub_b"], &[], "2026-10-01T10:00:00Z");
    assert_eq!(told, ["sub_a new 1", "sub_b new 1"]);
    assert_eq!((first.seen.len(), first.gone()), (2, 0));
    let (second, told) = run(&["sub_b", "sub_c"], &all(&first), "2026-10-03T09:59:59Z");
    assert_eq!(told, ["sub_b known 2", "sub_c new 1"]);
    assert_eq!(second.vanished.len(), 1);
    assert_eq!(second.vanished[0].subject, "sub_a");
    assert_eq!(second.vanished[0].gone_at, Some(at("2026-10-03T09:59:59Z")));
    assert_eq!(second.vanished[0].last_seen, at("2026-10-01T10:00:00Z"), "it was not seen again");
    let (third, told) = run(&["sub_b"], &all(&second), "2026-10-03T10:00:00Z");
    assert_eq!(told, ["sub_b known 3"]);
    assert_eq!(third.seen[0].first_seen, at("2026-10-01T10:00:00Z"));
    let gone: Vec<&str> = third.vanished.iter().map(|one| &*one.subject).collect();
    assert_eq!(gone, ["sub_c"], "what was gone before is not told again");
}

#[test]
fn one_that_comes_back_is_new_again() {
    let (first, _) = run(&["sub_a"], &[], "2026-10-01T00:00:00Z");
    let (second, _) = run(&[], &all(&first), "2026-10-02T00:00:00Z");
    let (_, told) = run(&["sub_a"], &all(&second), "2026-10-05T00:00:00Z");
    assert_eq!(told, ["sub_a new 1"]);
}

#[test]
fn a_run_that_is_repeated_at_its_own_instant_tells_the_same() {
    let (first, _) = run(&["sub_a", "sub_b"], &[], "2026-10-01T00:00:00Z");
    let now = "2026-10-02T00:00:00Z";
    let (second, told) = run(&["sub_b", "sub_c"], &all(&first), now);
    let (again, told_again) = run(&["sub_b", "sub_c"], &all(&second), now);
    assert_eq!((second, told), (again, told_again));
}

#[test]
fn a_row_that_agrees_again_says_so_once() {
    let mut rows = [row(Source::MeterTotal, "calls", Class::QuantityMismatch)];
    let mut known = Vec::new();
    let mut told = Vec::new();
    for (day, class) in [(1, Class::QuantityMismatch), (2, Class::Matched), (3, Class::Matched)] {
        rows[0].class = class;
        let now = at(&format!("2026-10-0{day}T00:00:00Z"));
        let followed = follow(&[], &mut rows.each_mut(), known, &Claims::default(), now);
        assert_eq!(followed.gone(), followed.agreed.len());
        known = all(&followed);
        told.push(rows[0].age);
    }
    assert_eq!(told, [Some(Age::New), Some(Age::Gone { runs: 1 }), None]);
}

#[test]
fn of_what_closed_a_later_run_says_that_it_is_known_and_not_that_it_is_gone() {
    let closed = row(Source::MeterTotal, "calls", Class::QuantityMismatch);
    let known = follow(&[], &mut [&mut closed.clone()], Vec::new(), &Claims::default(), at(START)).seen;
    let closed = closed.aged(Some(1));
    assert_eq!(closed.age, Some(Age::New));
    let closed = closed.of_closed();
    assert_eq!(closed.age, Some(Age::Known { runs: 1 }));
    let now = at("2026-11-04T00:00:00Z");
    assert_eq!(follow(&[closed], &mut [], known, &Claims::default(), now), Followed::default());
    let agreed = row(Source::MeterTotal, "calls", Class::Matched).aged(Some(4));
    assert_eq!(agreed.age, Some(Age::Gone { runs: 4 }));
    assert_eq!(agreed.of_closed().age, None);
}

#[test]
fn of_what_is_not_looked_at_or_could_not_be_read_nobody_says_that_it_is_gone() {
    use Source::{Invoice, MeterTotal, Preview};
    let there = Claims { windows: [("acme".to_owned(), at(START))].into(), ..Claims::default() };
    assert_eq!(fate(MeterTotal, &[(MeterTotal, "calls", Class::Matched)], &there), "agreed");
    assert_eq!(fate(MeterTotal, &[(MeterTotal, "calls", Class::Incomplete)], &there), "");
    assert_eq!(fate(MeterTotal, &[], &there), "", "the tenant is parked");
    assert_eq!(fate(MeterTotal, &[], &Claims::default()), "vanished", "the tenant is taken away");
    assert_eq!(fate(MeterTotal, &[(MeterTotal, "mails", Class::Matched)], &there), "vanished");
    assert_eq!(fate(Invoice, &[(Invoice, "mails", Class::Incomplete)], &there), "");
    assert_eq!(fate(Preview, &[(Invoice, "calls", Class::QuantityMismatch)], &there), "superseded");
    assert_eq!(fate(Preview, &[(Invoice, "calls", Class::Matched)], &there), "superseded");
    assert_eq!(fate(Preview, &[(MeterTotal, "calls", Class::Matched)], &there), "");
}

#[test]
fn a_subscription_that_a_parked_tenant_has_taken_over_is_not_mended() {
    let (first, _) = run(&["sub_a"], &[], START);
    let gone = |parked: &str| {
        let claims = Claims { parked_subscriptions: [parked.to_owned()].into(), ..Claims::default() };
        follow(&[], &mut [], first.seen.clone(), &claims, at("2026-10-02T00:00:00Z")).gone()
    };
    assert_eq!((gone("sub_a"), gone("sub_b")), (0, 1));
}
