//! The rules of a verdict, as data.
//!
//! In: a plan key. Out: a [`Policy`] that `decide` applies in its order. Never a measurement, and never a rule that
//! is hidden in code: what is required, what only advises and what is harmless all stands here.

use crate::domain::ratio::Ratio;

/// From the worst to the best: the verdict on a period is the smallest of its (plan, meter) pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VerdictWord {
    NoGo,
    InsufficientData,
    Review,
    Go,
}

/// What decides on the plan whose key is `plan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub plan: String,
    /// The first required rule that fails decides; when none fails the word is `GO`.
    pub rules: Vec<Rule>,
    /// Causes of a difference that decide nothing, as they stand in the `reason` column of `reconciliation.csv`.
    pub harmless: Vec<String>,
}

/// What must be so: `metric operator threshold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub metric: Metric,
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
pub enum Metric {
    FullCycle,
    Tenants,
    TenantsWithoutQuota,
    Incomplete,
    PendingAfter,
    Differences,
    PushErrorRate,
    ShareAt80,
    ShareAt100,
    MeanUsed,
    P95Linear,
    EnterpriseCandidates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    AtLeast,
    Above,
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
        let harmless = ["extra_lines", "duplicate_rejected", "trial"].map(str::to_owned).to_vec();
        Self { plan: plan_key.to_owned(), rules, harmless }
    }

    /// Whether a row of the comparison that neither matches nor is out of scope still decides nothing.
    pub fn is_harmless(&self, reason: &str) -> bool {
        self.harmless.iter().any(|harmless| harmless == reason)
    }
}

impl Rule {
    pub fn required(metric: Metric, operator: Operator, threshold: Ratio, word: VerdictWord) -> Self {
        let when_failed = WhenFailed::Decides(word);
        Self {
            metric,
            operator,
            threshold,
            when_failed,
            when_absent: WhenAbsent::IsInsufficient,
            advice: None,
        }
    }

    pub fn advisory(metric: Metric, operator: Operator, threshold: Ratio) -> Self {
        let when_failed = WhenFailed::Advises;
        Self { metric, operator, threshold, when_failed, when_absent: WhenAbsent::Passes, advice: None }
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

impl Metric {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullCycle => "full_cycle",
            Self::Tenants => "tenants",
            Self::TenantsWithoutQuota => "tenants_without_quota",
            Self::Incomplete => "incomplete",
            Self::PendingAfter => "pending_after",
            Self::Differences => "differences",
            Self::PushErrorRate => "push_error_rate",
            Self::ShareAt80 => "share_at_80",
            Self::ShareAt100 => "share_at_100",
            Self::MeanUsed => "mean_used_units",
            Self::P95Linear => "p95_used_units_linear",
            Self::EnterpriseCandidates => "enterprise_candidates",
        }
    }

    /// Whether people say it in percent.
    pub fn is_share(self) -> bool {
        matches!(self, Self::PushErrorRate | Self::ShareAt80 | Self::ShareAt100)
    }

    /// Whether it is about the period as a whole, whatever the plan and meter.
    pub fn is_of_period(self) -> bool {
        use Metric::{Differences, FullCycle, Incomplete, PendingAfter, PushErrorRate};
        matches!(self, FullCycle | Incomplete | PendingAfter | Differences | PushErrorRate)
    }
}

impl Operator {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::Below => "<",
        }
    }

    pub fn holds(self, value: Ratio, threshold: Ratio) -> bool {
        match self {
            Self::Equal => value == threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
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
