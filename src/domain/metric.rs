//! The metrics by name: what each is, in which unit, and by which formula.
//!
//! In: a name as it stands in `decision.csv` or in a policy. Out: a [`Metric`] with its words. Never a value: those are
//! `metrics`' and `facts`'. `docs/verdict.md` has the same formulas for a spreadsheet, and a test compares.

use crate::domain::money::Currency;

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Tenants, records, rows, periods; 1 and 0 for yes and no.
    Count,
    /// Of 1; people say it in percent.
    Share,
    /// Units of the meter.
    Units,
    /// Minor units of a currency, which the metric's name ends with.
    Minor,
    /// Of 1, of an amount in a currency, which the metric's name ends with.
    MinorShare,
}

/// Whom a value is about: the number in the column `population`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Paying tenants on the plan for a whole window.
    Tenants,
    /// Those of the plan in the populations of all its meters.
    PlanTenants,
    /// Tenants that paid when the period began.
    PayingAtStart,
    /// Tenants that paid when the period ended.
    PayingAtEnd,
    /// Tenants on the plan that paid when the period began.
    PlanPayingAtStart,
    /// Tenants that paid nothing when the period began: a free plan, or a trial.
    FreeAtStart,
}

macro_rules! metrics {
    ($($name:ident, $text:literal, $unit:ident, $basis:ident, $formula:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric { $($name,)* }

        impl Metric {
            /// In the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name; that of an amount is followed by `_` and a currency in `decision.csv`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            pub fn basis(self) -> Basis {
                match self { $(Self::$name => Basis::$basis,)* }
            }

            pub fn formula(self) -> &'static str {
                match self { $(Self::$name => $formula,)* }
            }
        }
    };
}

metrics! {
    FullCycle, "full_cycle", Count, Tenants,
        "1 where every billed window was pushed or observed in time, else 0";
    CleanCycles, "clean_cycles", Count, Tenants,
        "closed periods in a row, this one the last, that are full cycles with nothing incomplete, pending or differing";
    Tenants, "tenants", Count, Tenants, "paying tenants that were on the plan for a whole window, zero usage included";
    TenantsLeftOut, "tenants_left_out", Count, Tenants,
        "windows on the plan that are not counted: trial, partial, mixed, parked, not paying";
    TenantsWithoutQuota, "tenants_without_quota", Count, Tenants, "tenants whose quota is none or 0";
    Incomplete, "incomplete", Count, Tenants, "rows of reconciliation.csv of the class incomplete";
    PendingAfter, "pending_after", Count, Tenants, "pushes planned, sent or in doubt + parked tenants that are due one";
    Differences, "differences", Count, Tenants,
        "rows of reconciliation.csv that differ, without the causes that the policy calls harmless";
    PushErrorRate, "push_error_rate", Share, Tenants, "push_records_failed / push_records_due";
    PushRecordsDue, "push_records_due", Count, Tenants, "usage records that were to reach Stripe";
    PushRecordsFailed, "push_records_failed", Count, Tenants,
        "those that were refused or came too late; observing: those of tenants whose meter total differs";
    Accuracy, "accuracy", Share, Tenants, "units_confirmed / units_due";
    UnitsDue, "units_due", Units, Tenants, "ledger_quantity of the plan's meter totals in reconciliation.csv";
    UnitsConfirmed, "units_confirmed", Units, Tenants, "units_due - |difference_quantity|, of each total at least 0";
    SuccessRate, "success_rate", Share, Tenants, "billable_records / records_of_meter";
    RecordsAll, "records_of_meter", Count, Tenants, "usage records of the plan's closed windows on the meter";
    RecordsBillable, "billable_records", Count, Tenants, "those that the meter's billable rule counts";
    BillingLive, "billing_live", Count, Tenants, "1 where Stripe charges for the meter on this plan, else 0";
    ShareAt80, "share_at_80", Share, Tenants, "tenants_at_80 / tenants";
    ShareAt100, "share_at_100", Share, Tenants, "tenants_at_100 / tenants";
    TenantsAt80, "tenants_at_80", Count, Tenants, "tenants with used >= 0.8 x quota";
    TenantsAt100, "tenants_at_100", Count, Tenants, "tenants with used >= quota";
    TenantsFrom0, "tenants_from_0_to_20", Count, Tenants, "tenants with used < 0.2 x quota";
    TenantsFrom20, "tenants_from_20_to_50", Count, Tenants, "tenants with 0.2 x quota <= used < 0.5 x quota";
    TenantsFrom50, "tenants_from_50_to_80", Count, Tenants, "tenants with 0.5 x quota <= used < 0.8 x quota";
    TenantsFrom80, "tenants_from_80_to_100", Count, Tenants, "tenants with 0.8 x quota <= used < quota";
    TenantsFrom100, "tenants_from_100_up", Count, Tenants, "tenants with used >= quota";
    TenantsAtAQuota, "tenants_at_a_quota", Count, PlanTenants, "tenants of the plan with used >= quota on any of its meters";
    ShareAtAQuota, "share_at_a_quota", Share, PlanTenants, "tenants_at_a_quota / tenants of the plan";
    MeanUsed, "mean_used_units", Units, Tenants, "sum of used / tenants";
    MedianUsed, "median_used_units", Units, Tenants, "PERCENTILE.INC(used, 0.5)";
    P90Linear, "p90_used_units_linear", Units, Tenants, "PERCENTILE.INC(used, 0.9)";
    P90NearestRank, "p90_used_units_nearest_rank", Units, Tenants, "SMALL(used, ROUNDUP(0.9 x tenants))";
    P95Linear, "p95_used_units_linear", Units, Tenants, "PERCENTILE.INC(used, 0.95)";
    P95NearestRank, "p95_used_units_nearest_rank", Units, Tenants, "SMALL(used, ROUNDUP(0.95 x tenants))";
    MeanOverage, "mean_overage_units_at_100", Units, Tenants,
        "sum of used - quota over the tenants with used >= quota / tenants_at_100";
    EnterpriseCandidates, "enterprise_candidates", Count, Tenants,
        "tenants whose bill at the candidate price is above that of the next plan for the same usage";
    EnterpriseCandidateShare, "enterprise_candidate_share", Share, Tenants, "enterprise_candidates / tenants";
    EnterpriseSavings, "enterprise_savings_minor", Minor, Tenants,
        "sum over the candidates of their bill - that of the next plan";
    WouldBeOverage, "would_be_overage_minor", Minor, Tenants, "sum of the tenants' usage lines at the candidate price";
    OverageShareOfMrr, "overage_share_of_mrr", MinorShare, Tenants, "would_be_overage_minor / mrr_minor";
    OverageShareOfPlanMrr, "overage_share_of_plan_mrr", MinorShare, Tenants, "would_be_overage_minor / plan_mrr_minor";
    Mrr, "mrr_minor", Minor, PayingAtEnd,
        "base fees of all tenants that pay at the period's end, yearly ones / 12, without discounts, tax and overage";
    PlanMrr, "plan_mrr_minor", Minor, PayingAtEnd, "the same of the tenants on the plan";
    Arpu, "arpu_minor", Minor, PayingAtEnd, "mrr_minor / tenants that pay in this currency at the period's end";
    ChurnRate, "churn_rate", Share, PayingAtStart,
        "tenants that paid at the period's start and do not at its end / those that paid at its start";
    UpgradeRate, "upgrade_rate", Share, PlanPayingAtStart,
        "tenants on the plan at the period's start that pay a higher base fee at its end / those on it at its start";
    ConversionRate, "conversion_rate", Share, FreeAtStart,
        "tenants that paid nothing at the period's start and pay at its end / those that paid nothing at its start";
}

impl Metric {
    /// Of the name without a currency.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.as_str() == text)
    }

    /// Of a name in `decision.csv`, with its currency where it has one.
    pub fn of_row(name: &str) -> Option<(Self, Option<Currency>)> {
        if let Some(metric) = Self::parse(name) {
            return (!metric.is_in_currency()).then_some((metric, None));
        }
        let (text, code) = name.rsplit_once('_')?;
        let metric = Self::parse(text).filter(|metric| metric.is_in_currency())?;
        Currency::parse(code).ok().map(|currency| (metric, Some(currency)))
    }

    /// As `decision.csv` has it.
    pub fn name(self, currency: Option<Currency>) -> String {
        match currency {
            Some(currency) => format!("{}_{currency}", self.as_str()),
            None => self.as_str().to_owned(),
        }
    }

    /// Nothing is added across currencies, so there is one value for each.
    pub fn is_in_currency(self) -> bool {
        matches!(self.unit(), Unit::Minor | Unit::MinorShare)
    }

    /// Whether people say it in percent.
    pub fn is_share(self) -> bool {
        matches!(self.unit(), Unit::Share | Unit::MinorShare)
    }

    /// Whether it is about the period as a whole, whatever the plan and meter.
    pub fn is_of_period(self) -> bool {
        use Metric::{
            ChurnRate, CleanCycles, ConversionRate, Differences, FullCycle, Incomplete, PendingAfter,
            PushErrorRate, PushRecordsDue, PushRecordsFailed,
        };
        matches!(
            self,
            FullCycle
                | CleanCycles
                | Incomplete
                | PendingAfter
                | Differences
                | PushErrorRate
                | PushRecordsDue
                | PushRecordsFailed
                | ChurnRate
                | ConversionRate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_name_and_an_amount_by_name_and_currency() {
        let lira = Currency::parse("try").ok();
        for metric in Metric::ALL {
            let currency = lira.filter(|_| metric.is_in_currency());
            assert_eq!(Metric::parse(metric.as_str()), Some(*metric));
            assert_eq!(Metric::of_row(&metric.name(currency)), Some((*metric, currency)));
            let other = lira.filter(|_| !metric.is_in_currency());
            assert_eq!(Metric::of_row(&metric.name(other)), None, "{}", metric.as_str());
        }
        assert_eq!(Metric::of_row("would_be_overage_minor_xyz"), None);
    }

    #[test]
    fn no_two_metrics_have_one_name_and_none_ends_like_a_currency() {
        let mut names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        let ends_in_code =
            |name: &&&str| Currency::parse(name.rsplit('_').next().unwrap_or_default()).is_ok();
        assert_eq!(names.iter().find(ends_in_code), None);
    }
}
