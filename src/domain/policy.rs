//! The rules of a verdict, as data.
//!
//! In: a plan key, or what a policy file says (`ingest::policy`). Out: a [`Policy`] that `decide` applies in its order. Never
//! a measurement, and never a rule that is hidden in code: what is required, what only advises and what is harmless all
//! stands here.

use std::collections::BTreeSet;

use crate::domain::metric::Metric;
use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::ratio::Ratio;

/// From the worst to the best: the verdict on a period is the smallest of its (plan, meter) pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictWord {
    NoGo,
    InsufficientData,
    Review,
    Go,
}

/// What decides on the plans with these keys, and on those that its rules name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// At least one.
    pub plans: Vec<String>,
    /// `None`: every meter that the plan sells with a quota.
    pub meter: Option<String>,
    /// The first required rule that fails decides; when none fails the word is `GO`.
    pub rules: Vec<Rule>,
    /// Causes of a difference that decide nothing, as they stand in the `reason` column of `reconciliation.csv`.
    pub harmless: Vec<String>,
    pub price: PriceGuide,
}

/// What a price for overage is to bring, and where it is to lie; amounts in major units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceGuide {
    /// Of the plan's base fees.
    pub target_share: Option<Ratio>,
    /// What a price is a multiple of.
    pub step: Option<Quantity>,
    pub minimum: Option<Quantity>,
    pub maximum: Option<Quantity>,
}

/// What must be so: `metric operator threshold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `None`: every plan that is judged.
    pub plan: Option<String>,
    /// `None`: every meter that is judged.
    pub meter: Option<String>,
    pub metric: Metric,
    /// Of a metric that is an amount, or a share of one.
    pub currency: Option<Currency>,
    pub operator: Operator,
    pub threshold: Ratio,
    pub when_failed: WhenFailed,
    pub when_absent: WhenAbsent,
    /// What to do first, for the sentence of a failed rule.
    pub advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFailed {
    Decides(VerdictWord),
    Advises,
}

/// What a required rule does where its metric is n/a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenAbsent {
    Passes,
    IsInsufficient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Policy {
    /// The usual overage plan: first whether the period can be judged, then whether billing is right, then whether
    /// enough tenants would pay.
    pub fn default_for(plan_key: &str) -> Self {
        use Metric::{
            Differences, EnterpriseCandidates, FullCycle, Incomplete, MeanUsed, P95Linear, PendingAfter,
            PushErrorRate, ShareAt80, ShareAt100, Tenants, TenantsWithoutQuota,
        };
        use Operator::{Above, AtLeast, Below, Equal};
        use VerdictWord::{InsufficientData, NoGo, Review};
        let (none, one) = (Ratio::whole(0), Ratio::whole(1));
        let rules = vec![
            Rule::required(FullCycle, Equal, one, InsufficientData),
            Rule::required(Tenants, Above, none, InsufficientData),
            Rule::required(TenantsWithoutQuota, Equal, none, InsufficientData),
            Rule::required(Incomplete, Equal, none, InsufficientData),
            Rule::required(PendingAfter, Equal, none, NoGo),
            Rule::required(Differences, Equal, none, NoGo),
            // Where nothing was due there was nothing to get wrong.
            Rule {
                when_absent: WhenAbsent::Passes,
                ..Rule::required(PushErrorRate, Below, Ratio::percent(1), NoGo)
            },
            Rule {
                advice: Some("raise the quota or sell Enterprise first".to_owned()),
                ..Rule::required(ShareAt100, Below, Ratio::percent(30), Review)
            },
            Rule::required(ShareAt100, AtLeast, Ratio::percent(10), NoGo),
            Rule::required(MeanUsed, Above, Ratio::whole(50), NoGo),
            Rule::advisory(ShareAt80, AtLeast, Ratio::percent(30)),
            Rule::advisory(P95Linear, Above, Ratio::whole(80)),
            Rule::advisory(EnterpriseCandidates, Above, none),
        ];
        Self {
            plans: vec![plan_key.to_owned()],
            meter: None,
            rules,
            harmless: Self::usual_harmless(),
            price: PriceGuide::default(),
        }
    }

    pub fn usual_harmless() -> Vec<String> {
        ["extra_lines", "duplicate_rejected", "trial"].map(str::to_owned).to_vec()
    }

    /// The rules of a file, with those that no policy can do without: that there is enough to judge. What the file itself says
    /// of such a metric stands instead. `clean_cycles` of more than one are asked for last, so that what is wrong now is named first.
    pub fn with_guards(rules: Vec<Rule>, minimum_population: u32, clean_cycles: u32) -> Vec<Rule> {
        use VerdictWord::InsufficientData;
        let whole = |count: u32| Ratio::whole(count.into());
        let before = [
            Rule::required(Metric::FullCycle, Operator::Equal, whole(1), InsufficientData),
            Rule::required(Metric::Tenants, Operator::AtLeast, whole(minimum_population), InsufficientData),
            Rule::required(Metric::Incomplete, Operator::Equal, whole(0), InsufficientData),
        ];
        let cycles =
            Rule::required(Metric::CleanCycles, Operator::AtLeast, whole(clean_cycles), InsufficientData);
        let is_new =
            |guard: &Rule| !rules.iter().any(|rule| rule.metric == guard.metric && rule.is_required());
        let before: Vec<Rule> = before.into_iter().filter(is_new).collect();
        let after = Some(cycles).filter(|cycles| clean_cycles > 1 && is_new(cycles));
        before.into_iter().chain(rules).chain(after).collect()
    }

    /// Whose figures are judged.
    pub fn all_plans(&self) -> BTreeSet<&str> {
        let named = self.rules.iter().filter_map(|rule| rule.plan.as_deref());
        named.chain(self.plans.iter().map(String::as_str)).collect()
    }

    /// Whether a meter that one of the plans sells with a quota is judged.
    pub fn judges(&self, plan: &str, meter: &str) -> bool {
        let of_file =
            self.plans.iter().any(|one| one == plan) && self.meter.as_deref().is_none_or(|one| one == meter);
        let is_of = |rule: &Rule| {
            rule.plan.as_deref() == Some(plan) && rule.meter.as_deref().is_none_or(|one| one == meter)
        };
        of_file || self.rules.iter().any(is_of)
    }

    /// Whether a row of the comparison that neither matches nor is out of scope still decides nothing.
    pub fn is_harmless(&self, reason: &str) -> bool {
        self.harmless.iter().any(|harmless| harmless == reason)
    }
}

impl Rule {
    pub fn required(metric: Metric, operator: Operator, threshold: Ratio, word: VerdictWord) -> Self {
        let (when_failed, when_absent) = (WhenFailed::Decides(word), WhenAbsent::IsInsufficient);
        Self { when_failed, when_absent, ..Self::advisory(metric, operator, threshold) }
    }

    pub fn advisory(metric: Metric, operator: Operator, threshold: Ratio) -> Self {
        Self {
            plan: None,
            meter: None,
            metric,
            currency: None,
            operator,
            threshold,
            when_failed: WhenFailed::Advises,
            when_absent: WhenAbsent::Passes,
            advice: None,
        }
    }

    /// The name of what it asks for, as in `decision.csv`.
    pub fn metric_name(&self) -> String {
        self.metric.name(self.currency)
    }

    pub fn is_for(&self, plan: &str, meter: &str) -> bool {
        self.plan.as_deref().is_none_or(|one| one == plan)
            && self.meter.as_deref().is_none_or(|one| one == meter)
    }

    pub fn is_required(&self) -> bool {
        matches!(self.when_failed, WhenFailed::Decides(_))
    }
}

impl VerdictWord {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::NoGo, Self::InsufficientData, Self::Review, Self::Go]
            .into_iter()
            .find(|word| word.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoGo => "NO_GO",
            Self::InsufficientData => "INSUFFICIENT_DATA",
            Self::Review => "REVIEW",
            Self::Go => "GO",
        }
    }
}

impl Operator {
    pub const ALL: [Self; 5] = [Self::Equal, Self::AtLeast, Self::Above, Self::AtMost, Self::Below];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }

    pub fn holds(self, value: Ratio, threshold: Ratio) -> bool {
        match self {
            Self::Equal => value == threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
            Self::AtMost => value <= threshold,
            Self::Below => value < threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_is_written() {
        for word in [VerdictWord::NoGo, VerdictWord::InsufficientData, VerdictWord::Review, VerdictWord::Go] {
            assert_eq!(VerdictWord::parse(word.as_str()), Some(word));
        }
        assert_eq!((VerdictWord::parse("go"), VerdictWord::parse("")), (None, None));
    }

    #[test]
    fn a_period_is_as_bad_as_its_worst_pair() {
        use VerdictWord::{Go, InsufficientData, NoGo, Review};
        let mut words = [Go, NoGo, Review, InsufficientData];
        words.sort_unstable();
        assert_eq!(words, [NoGo, InsufficientData, Review, Go]);
    }

    #[test]
    fn three_causes_are_harmless_and_no_other() {
        let policy = Policy::default_for("pro");
        for cause in ["extra_lines", "duplicate_rejected", "trial"] {
            assert!(policy.is_harmless(cause), "{cause}");
        }
        for cause in ["", "TRIAL", "late_event", "extra"] {
            assert!(!policy.is_harmless(cause), "{cause}");
        }
    }
}
