//! The verdict on a period.
//!
//! In: a policy, the facts of the period and of those before it, its populations. Out: a [`Decision`]: the word, its reasons
//! as sentences and the rows of `decision.csv`. Never more than the data holds: what is n/a is never counted as good, and
//! without Stripe's answer nothing has been compared, so nothing can be decided.

mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use crate::domain::decide::values::Values;
use crate::domain::facts::PeriodFacts;
use crate::domain::metric::Metric;
use crate::domain::metrics::{Metrics, MetricsError, Population, at_a_quota, measure};
use crate::domain::money::Currency;
use crate::domain::policy::{Operator, Policy, Rule, WhenAbsent, WhenFailed};
use crate::domain::ratio::Ratio;
use crate::domain::reason::{self, About};

pub use crate::domain::policy::VerdictWord;

/// What the team hears. Open periods have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub word: VerdictWord,
    /// Failed advice first, then what decided.
    pub reasons: Vec<String>,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub facts: &'a PeriodFacts,
    /// Those of the closed periods before it without a gap, the newest first.
    pub earlier: &'a [PeriodFacts],
    pub populations: &'a [Population<'a>],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub rows: Vec<DecisionRow>,
}

/// One row of `decision.csv`: a rule with its value, or a metric for information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    pub plan: String,
    pub meter: String,
    /// A [`Metric`], with a currency where it is an amount.
    pub metric: String,
    /// Decimal text, or `n/a`.
    pub value: String,
    /// Empty where nothing is asked for.
    pub operator: String,
    pub threshold: String,
    /// `None` where the value is n/a, or nothing is asked for.
    pub passed: Option<bool>,
    pub required: bool,
    pub population: u64,
}

/// Judges each (plan, meter) pair that the policy names; the worst word is the period's.
pub fn decide(policy: &Policy, evidence: &Evidence<'_>) -> Result<Decision, MetricsError> {
    let populations = evidence.populations.iter();
    let mut judged: Vec<&Population<'_>> =
        populations.filter(|population| policy.judges(population.plan, population.meter)).collect();
    judged.sort_by_key(|population| (population.plan, population.meter));
    if judged.is_empty() {
        return nothing_to_judge(policy, evidence);
    }
    let metrics: Vec<Metrics> =
        judged.iter().map(|population| measure(population)).collect::<Result<_, _>>()?;
    let at_quotas = at_quotas(evidence.populations);
    let pairs: Vec<Pair<'_>> = judged
        .iter()
        .zip(&metrics)
        .map(|(population, metrics)| {
            let at_a_quota = at_quotas.get(population.plan).copied().unwrap_or_default();
            Pair::new(policy, evidence, population, metrics, at_a_quota)
        })
        .collect();
    let word = pairs.iter().map(Pair::word).min().unwrap_or(VerdictWord::InsufficientData);
    let advice = pairs.iter().flat_map(Pair::advice);
    let deciding = pairs.iter().filter(|pair| pair.word() == word).flat_map(Pair::deciding);
    let reasons = without_repeats(advice.chain(deciding));
    let rows = pairs.iter().flat_map(Pair::rows).collect();
    Ok(Decision { verdict: Verdict { word, reasons }, rows })
}

/// The rows are there all the same, so that a reader finds every rule with its n/a.
fn nothing_to_judge(policy: &Policy, evidence: &Evidence<'_>) -> Result<Decision, MetricsError> {
    let meter = policy.meter.as_deref().unwrap_or_default();
    let plan = policy.plans.first().map(String::as_str).unwrap_or_default();
    let nobody = Population { plan, meter, members: Vec::new(), left_out: 0 };
    let metrics = measure(&nobody)?;
    let pair = Pair::new(policy, evidence, &nobody, &metrics, (0, 0));
    let insufficient = |outcome: &&Outcome<'_>| {
        outcome.rule.metric.is_of_period() && outcome.decides() == Some(VerdictWord::InsufficientData)
    };
    let of_period = pair.outcomes.iter().filter(insufficient).map(|outcome| pair.sentence(outcome));
    let reasons = iter::once(reason::of_no_pair(policy)).chain(of_period).collect();
    let verdict = Verdict { word: VerdictWord::InsufficientData, reasons };
    Ok(Decision { verdict, rows: pair.rows() })
}

/// By plan: tenants that used up a quota, and all that are counted for any meter.
fn at_quotas<'a>(populations: &[Population<'a>]) -> BTreeMap<&'a str, (u64, u64)> {
    let mut by_plan: BTreeMap<&str, Vec<&Population<'_>>> = BTreeMap::new();
    for population in populations {
        by_plan.entry(population.plan).or_default().push(population);
    }
    by_plan.into_iter().map(|(plan, populations)| (plan, at_a_quota(&populations))).collect()
}

/// One (plan, meter) pair with every rule of the policy applied to it.
struct Pair<'a> {
    about: About<'a>,
    values: Values<'a>,
    outcomes: Vec<Outcome<'a>>,
}

struct Outcome<'a> {
    rule: &'a Rule,
    value: Option<Ratio>,
    passed: Option<bool>,
}

impl<'a> Pair<'a> {
    fn new(
        policy: &'a Policy,
        evidence: &Evidence<'a>,
        population: &Population<'a>,
        metrics: &'a Metrics,
        at_a_quota: (u64, u64),
    ) -> Self {
        let Metrics { tenants, left_out, .. } = *metrics;
        let (plan, meter) = (population.plan, population.meter);
        let values = Values::new(policy, evidence, (plan, meter), metrics, at_a_quota);
        let apply = |rule: &'a Rule| {
            let value = values.of(rule.metric, rule.currency);
            Outcome { rule, value, passed: value.map(|value| rule.operator.holds(value, rule.threshold)) }
        };
        let rules = policy.rules.iter().filter(|rule| rule.is_for(plan, meter));
        let outcomes = rules.map(apply).collect();
        Self { about: About { plan, meter, tenants, left_out }, values, outcomes }
    }

    fn word(&self) -> VerdictWord {
        self.outcomes.iter().find_map(Outcome::decides).unwrap_or(VerdictWord::Go)
    }

    fn advice(&self) -> impl Iterator<Item = String> {
        let failed = self.outcomes.iter().filter(|one| !one.rule.is_required() && one.passed == Some(false));
        failed.map(|one| reason::of_advice(one.rule, one.value, self.about))
    }

    /// Every rule that says the word, not only the first: who repairs one should know of the others. A metric that
    /// is n/a is named only where nothing else explains the word.
    fn deciding(&self) -> Vec<String> {
        let word = self.word();
        let said: Vec<&Outcome<'_>> = match word {
            VerdictWord::Go => self.outcomes.iter().filter(|one| one.is_reached_goal()).collect(),
            _ => self.outcomes.iter().filter(|one| one.decides() == Some(word)).collect(),
        };
        let is_explained = said.iter().any(|one| one.value.is_some());
        let named = said.into_iter().filter(|one| one.value.is_some() == is_explained);
        named.map(|one| self.sentence(one)).collect()
    }

    fn sentence(&self, outcome: &Outcome<'_>) -> String {
        reason::of_required(outcome.rule, outcome.value, self.about)
    }

    /// The rules in their order, then every metric that none of them names.
    fn rows(&self) -> Vec<DecisionRow> {
        let ruled = self.outcomes.iter().map(|outcome| DecisionRow {
            operator: outcome.rule.operator.as_str().to_owned(),
            threshold: outcome.rule.threshold.to_string(),
            passed: outcome.passed,
            required: outcome.rule.is_required(),
            ..self.row(outcome.rule.metric, outcome.rule.currency, outcome.value)
        });
        let named: BTreeSet<(Metric, Option<Currency>)> =
            self.outcomes.iter().map(|one| (one.rule.metric, one.rule.currency)).collect();
        let currencies = self.values.currencies();
        let of_metric = |metric: &Metric| match metric.is_in_currency() {
            true => currencies.iter().map(|currency| (*metric, Some(*currency))).collect(),
            false => vec![(*metric, None)],
        };
        let others = Metric::ALL.iter().flat_map(of_metric).filter(|one| !named.contains(one));
        let informed =
            others.map(|(metric, currency)| self.row(metric, currency, self.values.of(metric, currency)));
        ruled.chain(informed).collect()
    }

    fn row(&self, metric: Metric, currency: Option<Currency>, value: Option<Ratio>) -> DecisionRow {
        DecisionRow {
            plan: self.about.plan.to_owned(),
            meter: self.about.meter.to_owned(),
            metric: metric.name(currency),
            value: value.map_or("n/a".to_owned(), |value| value.to_string()),
            operator: String::new(),
            threshold: String::new(),
            passed: None,
            required: false,
            population: self.values.population(metric, currency),
        }
    }
}

impl Outcome<'_> {
    fn decides(&self) -> Option<VerdictWord> {
        match (self.rule.when_failed, self.passed) {
            (WhenFailed::Decides(word), Some(false)) => Some(word),
            (WhenFailed::Decides(_), None) if self.rule.when_absent == WhenAbsent::IsInsufficient => {
                Some(VerdictWord::InsufficientData)
            }
            _ => None,
        }
    }

    /// A number about the tenants that had to be reached, and was: the case for going live.
    fn is_reached_goal(&self) -> bool {
        let is_goal = matches!(self.rule.operator, Operator::AtLeast | Operator::Above);
        let is_of_use = !self.rule.metric.is_of_period() && self.rule.metric != Metric::Tenants;
        is_goal && is_of_use && self.rule.is_required() && self.passed == Some(true)
    }
}

/// Facts of the period stand in every pair; one sentence is enough.
fn without_repeats(sentences: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    sentences.filter(|sentence| seen.insert(sentence.clone())).collect()
}

#[cfg(test)]
mod tests;
