//! Each rule reached, in its order and with its words; policies of other shapes; the rows.

use super::*;

/// Facts and tenants for which the rule is the first that does not hold.
#[test]
fn every_rule_of_the_default_policy_is_reached() {
    let policy = Policy::default_for("pro");
    let many = population("m", &[(20, "300"), (80, "10")]);
    let mut without_quota = population("m", &[(20, "300"), (80, "10")]);
    without_quota.members[0].quota = None;
    let of = |groups: &[(usize, &'static str)]| population("m", groups);
    let failed = PushRecords { due: 100, failed: 1 };
    let scenarios = [
        (PeriodFacts { full_cycle: false, ..clean() }, many.clone(), InsufficientData),
        (clean(), of(&[]), InsufficientData),
        (clean(), without_quota, InsufficientData),
        (PeriodFacts { incomplete: 1, ..clean() }, many.clone(), InsufficientData),
        (PeriodFacts { pending_after: 1, ..clean() }, many.clone(), NoGo),
        (PeriodFacts { differences: rows(1), ..clean() }, many.clone(), NoGo),
        (PeriodFacts { push: failed, ..clean() }, many.clone(), NoGo),
        (clean(), of(&[(30, "300"), (70, "0")]), Review),
        (clean(), of(&[(9, "600"), (91, "0")]), NoGo),
        (clean(), of(&[(10, "100"), (90, "40")]), NoGo),
    ];
    let required: Vec<&Rule> = policy.rules.iter().filter(|rule| rule.is_required()).collect();
    assert_eq!(required.len(), scenarios.len());
    for (rule, (facts, population, word)) in required.into_iter().zip(scenarios) {
        let decision = decided(facts, &[population]);
        assert_eq!(decision.verdict.word, word, "{}", rule.metric_name());
        let first = decision.rows.iter().find(|row| row.required && row.passed != Some(true)).unwrap();
        let (name, operator, threshold) = (rule.metric_name(), rule.operator.as_str(), rule.threshold);
        assert_eq!((&first.metric, first.operator.as_str()), (&name, operator));
        let row = format!("({name} {}, asked {operator} {threshold})", first.value);
        assert!(decision.verdict.reasons.iter().any(|reason| reason.ends_with(&row)), "{row}");
    }
    // Each advice, alone.
    for (groups, metric) in [
        (&[(20, "300"), (80, "10")][..], "share_at_80"),
        (&[(2, "300"), (48, "90"), (50, "20")], "enterprise_candidates"),
        (&[(10, "79"), (90, "10")], "p95_used_units_linear"),
    ] {
        let reasons = of_use(groups).verdict.reasons;
        let is_it =
            |reason: &String| reason.starts_with("advice only: ") && reason.contains(&format!("({metric} "));
        assert!(reasons.iter().any(is_it), "{metric}: {reasons:?}");
    }
}

#[test]
fn clean_cycles_are_those_in_a_row_up_to_now() {
    let mut policy = Policy::default_for("pro");
    policy.rules = Policy::with_guards(Vec::new(), 1, 3);
    let broken = PeriodFacts { pending_after: 1, ..clean() };
    let harmless = PeriodFacts { differences: [("trial".to_owned(), 2)].into(), ..clean() };
    let populations = [population("m", &[(1, "1")])];
    for (facts, earlier, cycles, word) in [
        (clean(), vec![], "1", InsufficientData),
        (clean(), vec![clean(), clean()], "3", Go),
        (clean(), vec![harmless, clean(), broken.clone()], "3", Go),
        (clean(), vec![clean(), broken.clone(), clean()], "2", InsufficientData),
        (broken, vec![clean(), clean()], "0", InsufficientData),
    ] {
        let evidence = Evidence { facts: &facts, earlier: &earlier, populations: &populations };
        let decision = decide(&policy, &evidence).unwrap();
        assert_eq!(
            (row(&decision, "clean_cycles", ">=").value.as_str(), decision.verdict.word),
            (cycles, word)
        );
    }
}

#[test]
fn a_rule_for_one_plan_or_meter_judges_no_other() {
    let mut policy = Policy::default_for("pro");
    policy.rules = vec![
        Rule {
            meter: Some("a".to_owned()),
            ..Rule::required(Metric::MeanUsed, Operator::Above, Ratio::whole(50), NoGo)
        },
        Rule {
            plan: Some("team".to_owned()),
            ..Rule::required(Metric::MeanUsed, Operator::Above, Ratio::whole(9), Review)
        },
    ];
    let on = |plan, meter, used| Population { plan, ..population(meter, &[(1, used)]) };
    for (populations, word) in [
        (vec![on("pro", "a", "51"), on("pro", "b", "1"), on("team", "b", "10")], Go),
        (vec![on("pro", "a", "50"), on("team", "b", "10")], NoGo),
        (vec![on("pro", "b", "1"), on("team", "b", "9")], Review),
        (vec![on("other", "a", "1"), on("pro", "b", "1")], Go),
    ] {
        let evidence = Evidence { facts: &clean(), earlier: &[], populations: &populations };
        assert_eq!(decide(&policy, &evidence).unwrap().verdict.word, word);
    }
}

#[test]
fn each_step_of_the_policy_stands_above_the_next() {
    let few = [(1, "100"), (99, "0")];
    let many = [(30, "200"), (70, "0")];
    for (facts, groups, word) in [
        (PeriodFacts { incomplete: 1, differences: rows(1), ..clean() }, many, InsufficientData),
        (PeriodFacts { differences: rows(1), ..clean() }, many, NoGo),
        (PeriodFacts { push: PushRecords { due: 9, failed: 9 }, ..clean() }, many, NoGo),
        (PeriodFacts { pending_after: 1, ..clean() }, many, NoGo),
        (clean(), many, Review),
        (clean(), few, NoGo),
    ] {
        assert_eq!(decided(facts.clone(), &[population("m", &groups)]).verdict.word, word, "{facts:?}");
    }
}

#[test]
fn a_no_names_everything_that_says_no() {
    let facts = PeriodFacts { pending_after: 2, differences: rows(3), ..clean() };
    let decision = decided(facts, &[population("m", &[(1, "100"), (99, "0")])]);
    let words: Vec<&str> =
        deciding(&decision).iter().map(|reason| reason.split(';').next().unwrap()).collect();
    assert_eq!(
        words,
        [
            "after the run 2 pushes are pending",
            "3 rows differ between the ledger and Stripe without a harmless cause",
            "1 % of 100 `pro` tenants used their whole quota of m",
            "100 `pro` tenants used 1 units of m on average"
        ]
    );
}

#[test]
fn advice_comes_first_and_decides_nothing() {
    let decision = of_use(&[(10, "600"), (90, "0")]);
    let reasons: Vec<&str> = decision.verdict.reasons.iter().map(|reason| sentence(reason)).collect();
    assert_eq!(
        reasons,
        [
            "advice only: 10 % of 100 `pro` tenants used at least 80 % of their quota of m; the policy would \
             like at least 30 %",
            "advice only: 0 of 100 `pro` tenants would pay less for m on the next plan; the policy would like \
             more than 0",
            "10 % of 100 `pro` tenants used their whole quota of m; the policy asks for at least 10 %",
            "100 `pro` tenants used 60 units of m on average; the policy asks for more than 50",
        ]
    );
    assert_eq!(decision.verdict.word, Go);
    let row = row(&decision, "share_at_80", ">=");
    assert_eq!((row.passed, row.required), (Some(false), false));
}

#[test]
fn the_rows_are_the_rules_in_their_order_and_then_the_metrics() {
    let decision = of_use(&[(20, "130"), (80, "60")]);
    let rows: Vec<String> = decision
        .rows
        .iter()
        .map(|row| format!("{} {} {} {}", row.metric, row.value, row.operator, row.threshold))
        .map(|row| row.trim().to_owned())
        .collect();
    assert_eq!(
        rows,
        [
            "full_cycle 1 = 1",
            "tenants 100 > 0",
            "tenants_without_quota 0 = 0",
            "incomplete 0 = 0",
            "pending_after 0 = 0",
            "differences 0 = 0",
            "push_error_rate 0 < 0.01",
            "share_at_100 0.2 < 0.3",
            "share_at_100 0.2 >= 0.1",
            "mean_used_units 74 > 50",
            "share_at_80 0.2 >= 0.3",
            "p95_used_units_linear 130 > 80",
            "enterprise_candidates 0 > 0",
            "clean_cycles 1",
            "tenants_left_out 0",
            "push_records_due 1000",
            "push_records_failed 0",
            "accuracy n/a",
            "units_due 0",
            "units_confirmed 0",
            "success_rate n/a",
            "records_of_meter 0",
            "billable_records 0",
            "billing_live 0",
            "tenants_at_80 20",
            "tenants_at_100 20",
            "tenants_from_0_to_20 0",
            "tenants_from_20_to_50 0",
            "tenants_from_50_to_80 80",
            "tenants_from_80_to_100 0",
            "tenants_from_100_up 20",
            "tenants_at_a_quota 1",
            "share_at_a_quota 1",
            "median_used_units 60",
            "p90_used_units_linear 130",
            "p90_used_units_nearest_rank 130",
            "p95_used_units_nearest_rank 130",
            "mean_overage_units_at_100 30",
            "enterprise_candidate_share 0",
            "enterprise_savings_minor_try 0",
            "would_be_overage_minor_try 7000",
            "overage_share_of_mrr_try n/a",
            "overage_share_of_plan_mrr_try n/a",
            "mrr_minor_try n/a",
            "plan_mrr_minor_try n/a",
            "arpu_minor_try n/a",
            "churn_rate n/a",
            "upgrade_rate n/a",
            "conversion_rate n/a",
        ]
    );
    let informed = decision.rows.iter().filter(|row| row.operator.is_empty());
    assert!(
        informed.clone().count() == 36 && informed.clone().all(|row| row.passed.is_none() && !row.required)
    );
}

#[test]
fn a_required_metric_that_is_not_known_never_says_go() {
    let mut policy = Policy::default_for("pro");
    policy.rules.retain(|rule| rule.metric == Metric::ShareAt100);
    let decision =
        decide(&policy, &Evidence { facts: &clean(), earlier: &[], populations: &[population("m", &[])] })
            .unwrap();
    assert_eq!(decision.verdict.word, InsufficientData);
    assert!(decision.verdict.reasons[0].starts_with("share_at_100 of `pro` tenants and m is n/a; "));
}
