//! The rules, their order and their words, on populations made by hand.

mod rules;

use proptest::prelude::*;

use super::*;
use crate::domain::facts::PushRecords;
use crate::domain::metrics::Member;
use crate::domain::money::MinorAmount;
use crate::domain::number::Quantity;
use crate::domain::reason::sentence;
use VerdictWord::{Go, InsufficientData, NoGo, Review};

fn clean() -> PeriodFacts {
    PeriodFacts { full_cycle: true, push: PushRecords { due: 1000, failed: 0 }, ..PeriodFacts::default() }
}

/// Rows that differ and nobody knows why.
fn rows(count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(String::new(), count)])
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

/// A tenant with a quota of 100 and a next plan that costs the same.
fn member<'a>(used: &str) -> Member<'a> {
    Member {
        tenant_id: "t",
        quota: Some(quantity("100")),
        used: quantity(used),
        overage_amount: MinorAmount::new(70, Currency::parse("try").unwrap()),
        own_bill: 5,
        next_plan_bill: Some(5),
    }
}

fn population<'a>(meter: &'a str, groups: &[(usize, &str)]) -> Population<'a> {
    let members = groups.iter().flat_map(|(count, used)| vec![member(used); *count]).collect();
    Population { plan: "pro", meter, members, left_out: 0 }
}

fn decided(facts: PeriodFacts, populations: &[Population<'_>]) -> Decision {
    let evidence = Evidence { facts: &facts, earlier: &[], populations };
    decide(&Policy::default_for("pro"), &evidence).unwrap()
}

fn of_use(groups: &[(usize, &str)]) -> Decision {
    decided(clean(), &[population("m", groups)])
}

fn of_facts(facts: PeriodFacts) -> Decision {
    decided(facts, &[population("m", &[(20, "130"), (80, "60")])])
}

fn row<'a>(decision: &'a Decision, metric: &str, operator: &str) -> &'a DecisionRow {
    decision.rows.iter().find(|row| row.metric == metric && row.operator == operator).unwrap()
}

/// Without the row that each ends with.
fn deciding(decision: &Decision) -> Vec<&str> {
    let reasons = decision.verdict.reasons.iter().map(|reason| sentence(reason));
    reasons.filter(|reason| !reason.starts_with("advice only: ")).collect()
}

#[test]
fn ten_percent_exceeded_is_enough_and_9_9_is_not() {
    let enough = of_use(&[(100, "600"), (900, "0")]);
    assert_eq!(enough.verdict.word, Go);
    assert_eq!(row(&enough, "share_at_100", ">=").passed, Some(true));
    let short = of_use(&[(99, "600"), (901, "0")]);
    assert_eq!(short.verdict.word, NoGo);
    assert_eq!(
        deciding(&short),
        ["9.9 % of 1000 `pro` tenants used their whole quota of m; the policy asks for at least 10 %"]
    );
    let DecisionRow { value, threshold, passed, required, population, .. } =
        row(&short, "share_at_100", ">=");
    assert_eq!(
        (value.as_str(), threshold.as_str(), passed, required, population),
        ("0.099", "0.1", &Some(false), &true, &1000)
    );
}

#[test]
fn a_mean_of_50_is_not_above_50_and_a_trillionth_more_is() {
    let at = of_use(&[(1, "140"), (9, "40")]);
    assert_eq!((at.verdict.word, row(&at, "mean_used_units", ">").value.as_str()), (NoGo, "50"));
    assert_eq!(
        deciding(&at),
        ["10 `pro` tenants used 50 units of m on average; the policy asks for more than 50"]
    );
    let above = of_use(&[(1, "140.00000000001"), (9, "40")]);
    assert_eq!(row(&above, "mean_used_units", ">").value, "50.000000000001");
    assert_eq!(above.verdict.word, Go);
}

#[test]
fn a_third_of_a_trillionth_above_50_is_above_it_though_it_prints_as_50() {
    let decision = of_use(&[(1, "130.000000000001"), (2, "10")]);
    assert_eq!(row(&decision, "mean_used_units", ">").value, "50");
    assert_eq!(row(&decision, "mean_used_units", ">").passed, Some(true));
    let decision = of_use(&[(1, "119.999999999999"), (5, "36")]);
    assert_eq!(decision.verdict.word, NoGo);
    assert_eq!(
        deciding(&decision),
        ["6 `pro` tenants used just below 50 units of m on average; the policy asks for more than 50"]
    );
}

#[test]
fn thirty_percent_exceeded_is_to_be_reviewed_and_29_9_is_not() {
    assert_eq!(of_use(&[(299, "200"), (701, "0")]).verdict.word, Go);
    let review = of_use(&[(300, "200"), (700, "0")]);
    assert_eq!(review.verdict.word, Review);
    assert_eq!(
        deciding(&review),
        ["30 % of 1000 `pro` tenants used their whole quota of m; the policy asks for less than 30 %: \
          raise the quota or sell Enterprise first"]
    );
    let low_mean = of_use(&[(300, "100"), (700, "0")]);
    assert_eq!((low_mean.verdict.word, deciding(&low_mean).len()), (Review, 1));
}

#[test]
fn push_errors_of_1_percent_are_too_many_and_just_below_are_not() {
    let errors = |failed, due| of_facts(PeriodFacts { push: PushRecords { due, failed }, ..clean() });
    assert_eq!(errors(1, 100).verdict.word, NoGo);
    assert_eq!(
        deciding(&errors(1, 100)),
        ["1 % of the usage records that were due did not reach Stripe; the policy asks for less than 1 %"]
    );
    assert_eq!(errors(9_999_999, 1_000_000_000).verdict.word, Go);
    assert_eq!(errors(0, 1).verdict.word, Go);
    assert_eq!(errors(u64::MAX, u64::MAX).verdict.word, NoGo);
}

#[test]
fn where_no_record_was_due_the_error_rate_is_not_known_and_stops_nothing() {
    let idle = of_facts(PeriodFacts { push: PushRecords::default(), ..clean() });
    let DecisionRow { value, passed, .. } = row(&idle, "push_error_rate", "<");
    assert_eq!((idle.verdict.word, value.as_str(), *passed), (Go, "n/a", None));
}

#[test]
fn one_pending_push_or_one_difference_is_a_no() {
    for (facts, reason) in [
        (
            PeriodFacts { pending_after: 1, ..clean() },
            "after the run 1 push is pending; the policy asks for 0",
        ),
        (
            PeriodFacts { differences: rows(1), ..clean() },
            "1 row differs between the ledger and Stripe without a harmless cause; the policy asks for 0",
        ),
    ] {
        let decision = of_facts(facts);
        assert_eq!((decision.verdict.word, deciding(&decision)), (NoGo, vec![reason]));
    }
}

#[test]
fn one_incomplete_comparison_is_too_little_to_say_yes_or_no() {
    let decision = of_facts(PeriodFacts { incomplete: 1, pending_after: 7, ..clean() });
    assert_eq!(decision.verdict.word, InsufficientData);
    assert_eq!(
        deciding(&decision),
        ["1 comparison is without a whole answer from Stripe; the policy asks for 0"]
    );
}

#[test]
fn a_period_that_is_not_a_full_cycle_is_not_judged_whatever_else_is_wrong() {
    let worst = PeriodFacts {
        full_cycle: false,
        pending_after: 9,
        differences: rows(9),
        push: PushRecords { due: 1, failed: 1 },
        ..PeriodFacts::default()
    };
    let decision = of_facts(worst);
    assert_eq!((decision.verdict.word, deciding(&decision).len()), (InsufficientData, 1));
    assert!(deciding(&decision)[0].starts_with("the period is not a full cycle"));
    let perfect = of_facts(PeriodFacts { full_cycle: false, ..clean() });
    assert_eq!(perfect.verdict.word, InsufficientData);
}

#[test]
fn zero_tenants_decide_nothing_and_every_rate_is_not_known() {
    let decision = decided(clean(), &[Population { left_out: 12, ..population("m", &[]) }]);
    assert_eq!(decision.verdict.word, InsufficientData);
    assert_eq!(
        decision.verdict.reasons,
        ["0 tenants were on `pro` for a whole window of m (12 left out: trial, partial or mixed windows); \
          the policy asks for more than 0 (tenants 0, asked > 0)"]
    );
    for metric in
        ["share_at_100", "share_at_80", "mean_used_units", "p95_used_units_linear", "enterprise_candidates"]
    {
        for row in decision.rows.iter().filter(|row| row.metric == metric) {
            assert_eq!((row.value.as_str(), row.passed, row.population), ("n/a", None, 0), "{metric}");
        }
    }
}

#[test]
fn tenants_without_usage_count_as_tenants() {
    assert_eq!(of_use(&[(10, "600"), (90, "0")]).verdict.word, Go);
    let decision = of_use(&[(10, "600"), (91, "0")]);
    assert_eq!((decision.verdict.word, decision.rows[0].population), (NoGo, 101));
    let idle = of_use(&[(5, "0")]);
    assert_eq!((idle.verdict.word, row(&idle, "mean_used_units", ">").value.as_str()), (NoGo, "0"));
}

#[test]
fn a_plan_with_no_quota_or_a_quota_of_0_has_no_shares_to_judge() {
    for quota in [None, Some(Quantity::ZERO)] {
        let mut population = population("m", &[(20, "130"), (80, "60")]);
        population.members.iter_mut().for_each(|member| member.quota = quota);
        let decision = decided(PeriodFacts { pending_after: 1, ..clean() }, &[population]);
        assert_eq!(decision.verdict.word, InsufficientData);
        assert_eq!(
            deciding(&decision),
            ["100 of 100 `pro` tenants have no quota of m, or a quota of 0; the policy asks for 0"]
        );
        assert_eq!(row(&decision, "share_at_100", ">=").value, "n/a");
    }
}

#[test]
fn without_a_quota_on_the_plan_there_is_nothing_to_judge() {
    let other = Population { plan: "enterprise", ..population("m", &[(20, "130")]) };
    let decision = decided(PeriodFacts { pending_after: 1, ..clean() }, &[other]);
    let reason = "no price of the plan `pro` has a free quota above 0, so there is nothing to judge";
    assert_eq!(
        (decision.verdict.word, decision.verdict.reasons),
        (InsufficientData, vec![reason.to_owned()])
    );
    assert!(decision.rows.iter().all(|row| row.plan == "pro" && row.population == 0));
    let unseen = decided(PeriodFacts { full_cycle: false, ..clean() }, &[]);
    assert_eq!(unseen.verdict.reasons.len(), 2);
}

#[test]
fn the_95th_percentile_must_lie_above_80_in_its_linear_form() {
    let at = of_use(&[(20, "80")]);
    assert_eq!(row(&at, "p95_used_units_linear", ">").passed, Some(false));
    let lone = of_use(&[(9, "0"), (1, "100")]);
    assert_eq!(row(&lone, "p95_used_units_linear", ">").value, "55");
    assert_eq!(row(&lone, "p95_used_units_linear", ">").passed, Some(false));
    assert_eq!(row(&lone, "p95_used_units_nearest_rank", "").value, "100");
}

#[test]
fn the_worst_of_two_meters_is_the_verdict_and_alone_gives_the_reasons() {
    let (good, review) = (&[(20, "300"), (80, "0")], &[(50, "300"), (50, "0")]);
    let both = decided(clean(), &[population("b", good), population("a", review)]);
    assert_eq!((both.verdict.word, deciding(&both).len()), (Review, 1));
    assert!(deciding(&both)[0].contains("quota of a;"));
    let bad = population("c", &[(1, "300"), (99, "0")]);
    let three = decided(clean(), &[population("b", good), bad, population("a", review)]);
    assert_eq!(three.verdict.word, NoGo);
    let empty = decided(clean(), &[population("b", good), population("a", &[])]);
    assert_eq!(empty.verdict.word, InsufficientData);
    let meters: Vec<&str> = three.rows.iter().map(|row| row.meter.as_str()).collect();
    assert!(meters.is_sorted() && meters.contains(&"c"));
}

#[test]
fn a_reason_about_the_period_is_said_once_for_all_meters() {
    let groups = &[(20, "300"), (80, "0")];
    let facts = PeriodFacts { differences: rows(2), ..clean() };
    let decision = decided(facts, &[population("a", groups), population("b", groups)]);
    assert_eq!(deciding(&decision).len(), 1);
}

proptest! {
    #[test]
    fn the_word_is_what_whole_numbers_alone_would_say(over in 0usize..60, idle in 0usize..60, units in 100u32..400) {
        prop_assume!(over + idle > 0);
        let word = of_use(&[(over, &units.to_string()), (idle, "0")]).verdict.word;
        let (all, used) = (over + idle, over * units as usize);
        let expected = match () {
            () if over * 10 >= all * 3 => Review,
            () if over * 10 >= all && used > 50 * all => Go,
            () => NoGo,
        };
        prop_assert_eq!(word, expected);
    }

    #[test]
    fn the_order_of_populations_and_tenants_changes_nothing(units in prop::collection::vec(0u32..300, 1..20), turn in 0usize..20) {
        let texts: Vec<String> = units.iter().map(u32::to_string).collect();
        let groups: Vec<(usize, &str)> = texts.iter().map(|text| (1, text.as_str())).collect();
        let mut turned = groups.clone();
        turned.rotate_left(turn % groups.len());
        let one = decided(clean(), &[population("a", &groups), population("b", &groups[..1])]);
        let other = decided(clean(), &[population("b", &groups[..1]), population("a", &turned)]);
        prop_assert_eq!(one, other);
    }
}
