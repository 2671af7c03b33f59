//! Safety bounds: how much overage may be charged before a person has looked.
//!
//! In: what the price in force comes to for each window, what it came to before, the bounds. Out: the windows to set aside.
//! Only money that Stripe would really charge counts. Never adds across currencies, and never judges by a price that nobody
//! pays yet.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::domain::money::{Currency, MinorSum};
use crate::domain::period::Window;
use crate::domain::tenant::ParkReason;

/// As many closed windows a tenant must have before it is compared with itself.
const LEAST_HISTORY: u64 = 3;

/// Caps of one currency, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// For one window of a tenant.
    pub tenant: Option<i64>,
    /// For all windows of a period.
    pub period: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many times the highest of the last windows a window may come to; 0: any.
    pub overage_factor: u32,
    pub caps: BTreeMap<Currency, Caps>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { overage_factor: 10, caps: BTreeMap::new() }
    }
}

/// What the price in force comes to for one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub tenant_id: String,
    pub window: Window,
    /// The plan with the meters that are charged; empty where none is.
    pub basis: String,
    pub amount: MinorSum,
}

/// The last closed windows of a tenant on one basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    pub windows: u64,
    pub highest: i64,
}

/// By tenant and basis.
pub type Histories = BTreeMap<(String, String), History>;

/// A period, as its bounds see it.
pub struct Case<'a> {
    pub charges: &'a [Charge],
    pub histories: &'a Histories,
    /// What the closed windows of the period came to.
    pub closed: &'a BTreeMap<Currency, i128>,
    /// A person has said that the period's caps do not hold for it.
    pub allows_period: bool,
}

impl Bounds {
    /// Whether any can be exceeded at all.
    pub fn are_off(&self) -> bool {
        self.overage_factor == 0
            && self.caps.values().all(|caps| caps.tenant.is_none() && caps.period.is_none())
    }

    /// Who is to be set aside. `allows` tells of the windows that a person has let through. What is set aside by itself is
    /// not charged, so it does not count for the period: one tenant's fault stops nobody else.
    pub fn exceeded(
        &self,
        case: &Case<'_>,
        allows: impl Fn(&Charge) -> bool,
    ) -> BTreeMap<(String, Window), ParkReason> {
        let mut parked = BTreeMap::new();
        let mut sums = case.closed.clone();
        let key = |one: &Charge| (one.tenant_id.clone(), one.window);
        for one in case.charges {
            if self.is_above_its_own(one, case.histories) && !allows(one) {
                parked.insert(key(one), ParkReason::OverageBound);
            } else {
                *sums.entry(one.amount.currency).or_default() += one.amount.minor;
            }
        }
        let is_above = |currency: &Currency| {
            let cap = self.caps.get(currency).and_then(|caps| caps.period);
            cap.is_some_and(|cap| sums.get(currency).is_some_and(|sum| *sum > i128::from(cap)))
        };
        let over = case.charges.iter().filter(|one| one.amount.minor > 0 && is_above(&one.amount.currency));
        for one in over.filter(|_| !case.allows_period) {
            parked.entry(key(one)).or_insert(ParkReason::PeriodBound);
        }
        parked
    }

    fn is_above_its_own(&self, one: &Charge, histories: &Histories) -> bool {
        let cap = self.caps.get(&one.amount.currency).and_then(|caps| caps.tenant);
        if cap.is_some_and(|cap| one.amount.minor > i128::from(cap)) {
            return true;
        }
        let history = histories.get(&(one.tenant_id.clone(), one.basis.clone()));
        let Some(history) = history.filter(|one| one.windows >= LEAST_HISTORY && one.highest > 0) else {
            return false;
        };
        let most = i128::from(history.highest) * i128::from(self.overage_factor);
        self.overage_factor > 0 && one.amount.minor > most
    }
}

/// One text for the same bounds: for the hash of the rules, the manifest and the record of a run.
impl std::fmt::Display for Bounds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("overage_factor={}", self.overage_factor);
        for (currency, caps) in &self.caps {
            for (name, cap) in [("tenant", caps.tenant), ("period", caps.period)] {
                if let Some(cap) = cap {
                    write!(text, " {currency}.{name}_amount_minor={cap}")?;
                }
            }
        }
        out.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lira() -> Currency {
        Currency::parse("try").unwrap()
    }

    fn october() -> Window {
        Window {
            start: "2026-10-01T00:00:00Z".parse().unwrap(),
            end: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn charge(tenant: &str, minor: i128) -> Charge {
        charge_in(tenant, minor, lira())
    }

    fn charge_in(tenant: &str, minor: i128, currency: Currency) -> Charge {
        let basis = "pro month try: calls".to_owned();
        Charge {
            tenant_id: tenant.to_owned(),
            window: october(),
            basis,
            amount: MinorSum { minor, currency },
        }
    }

    fn history(tenant: &str, windows: u64, highest: i64) -> Histories {
        [((tenant.to_owned(), "pro month try: calls".to_owned()), History { windows, highest })].into()
    }

    fn capped(tenant: Option<i64>, period: Option<i64>) -> Bounds {
        Bounds { caps: [(lira(), Caps { tenant, period })].into(), ..Bounds::default() }
    }

    fn parked(bounds: &Bounds, charges: &[Charge], histories: &Histories, closed: i128) -> Vec<String> {
        let closed = [(lira(), closed)].into();
        let case = Case { charges, histories, closed: &closed, allows_period: false };
        let parked = bounds.exceeded(&case, |_| false);
        parked.into_iter().map(|((tenant, _), reason)| format!("{tenant} {}", reason.as_str())).collect()
    }

    #[test]
    fn a_window_may_come_to_ten_times_the_highest_before_and_no_more() {
        let bounds = Bounds::default();
        for (minor, windows, highest, is_parked) in [
            (1000, 3, 100, false),
            (1001, 3, 100, true),
            // Too little is known, or nothing was ever charged.
            (1001, 2, 100, false),
            (1001, 3, 0, false),
            (i128::from(i64::MAX), 3, i64::MAX, false),
        ] {
            let found = parked(&bounds, &[charge("a", minor)], &history("a", windows, highest), 0);
            assert_eq!(!found.is_empty(), is_parked, "{minor} {windows} {highest}");
        }
        let off = Bounds { overage_factor: 0, ..bounds };
        assert!(off.are_off());
        assert!(parked(&off, &[charge("a", 1001)], &history("a", 3, 100), 0).is_empty());
        // Another plan, or other meters, is no history of this one.
        let other = Charge { basis: "pro month try: calls, seats".to_owned(), ..charge("a", 1001) };
        assert!(parked(&Bounds::default(), &[other], &history("a", 3, 100), 0).is_empty());
    }

    #[test]
    fn a_cap_holds_for_its_currency_and_from_the_first_window() {
        let bounds = capped(Some(500), None);
        let dollars = charge_in("b", 900, Currency::parse("usd").unwrap());
        let charges = [charge("a", 501), dollars, charge("c", 500)];
        assert_eq!(parked(&bounds, &charges, &Histories::new(), 0), ["a overage_bound"]);
    }

    #[test]
    fn above_the_periods_cap_everybody_with_overage_is_set_aside() {
        let bounds = capped(None, Some(1000));
        let charges = [charge("a", 600), charge("b", 300), charge("c", 0)];
        assert!(parked(&bounds, &charges, &Histories::new(), 100).is_empty());
        let all = parked(&bounds, &charges, &Histories::new(), 101);
        assert_eq!(all, ["a period_bound", "b period_bound"]);
    }

    #[test]
    fn who_is_set_aside_alone_does_not_stop_the_period() {
        let bounds = capped(Some(5000), Some(10_000));
        let charges = [charge("a", 9_999_999), charge("b", 300)];
        assert_eq!(parked(&bounds, &charges, &Histories::new(), 0), ["a overage_bound"]);
        // Let through, its money counts.
        let (histories, closed) = (Histories::new(), BTreeMap::new());
        let case =
            |allows_period| Case { charges: &charges, histories: &histories, closed: &closed, allows_period };
        let found = bounds.exceeded(&case(false), |one| one.tenant_id == "a");
        assert_eq!(found.values().collect::<Vec<_>>(), [&ParkReason::PeriodBound, &ParkReason::PeriodBound]);
        assert!(bounds.exceeded(&case(true), |one| one.tenant_id == "a").is_empty());
    }

    #[test]
    fn the_same_bounds_have_one_text() {
        assert_eq!(Bounds::default().to_string(), "overage_factor=10");
        let bounds = capped(Some(5), Some(6));
        let text = "overage_factor=10 try.tenant_amount_minor=5 try.period_amount_minor=6";
        assert_eq!(bounds.to_string(), text);
    }
}
