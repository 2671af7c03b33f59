//! What a new catalog would change.
//!
//! In: the current catalog, if there is one, and a new one. Out: meter by meter and plan by plan what comes, goes or
//! becomes another, in short words. Never says that nothing changes where a bill could.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Billing, Catalog, Meter, Plan, PlanId, PriceRef, PushScope, UsagePrice};
use crate::domain::number::Round;
use crate::domain::price::{Price, Tier};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogDiff {
    pub meters: Vec<Change<String>>,
    pub plans: Vec<Change<PlanId>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<K> {
    pub key: K,
    pub kind: ChangeKind,
    /// In the order of their names.
    pub fields: Vec<FieldChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Removed,
    Changed,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One property before and after; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl CatalogDiff {
    pub fn between(old: &Catalog, new: &Catalog) -> Self {
        Self {
            meters: changes(&old.meters, &new.meters, meter_facts),
            plans: changes(&old.plans, &new.plans, plan_facts),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.meters.is_empty() && self.plans.is_empty()
    }

    /// Plans whose tenants a new catalog would touch.
    pub fn touched_plans(&self) -> BTreeSet<&PlanId> {
        let touched = self.plans.iter().filter(|change| change.kind != ChangeKind::Added);
        touched.map(|change| &change.key).collect()
    }
}

/// Meters whose records are added up in another way than before, with both ways.
pub fn other_aggregations<'a>(
    old: &'a Catalog,
    new: &'a Catalog,
) -> impl Iterator<Item = (&'a Meter, &'a Meter)> {
    new.meters.iter().filter_map(|(key, meter)| {
        old.meters.get(key).filter(|old| old.aggregation != meter.aggregation).map(|old| (old, meter))
    })
}

/// The properties of a meter or a plan, by name.
type Facts = BTreeMap<String, String>;

fn changes<K: Clone + Ord, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    facts: fn(&V) -> Facts,
) -> Vec<Change<K>> {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    let change = |key: &K| {
        let kind = match (old.get(key), new.get(key)) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        let of = |side: &BTreeMap<K, V>| side.get(key).map(facts).unwrap_or_default();
        let fields = field_changes(&of(old), &of(new));
        (kind != ChangeKind::Changed || !fields.is_empty()).then(|| Change { key: key.clone(), kind, fields })
    };
    keys.into_iter().filter_map(change).collect()
}

fn field_changes(old: &Facts, new: &Facts) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| FieldChange {
        field: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.old != change.new).collect()
}

fn meter_facts(meter: &Meter) -> Facts {
    let Meter { key: _, aggregation, per_source, rule, event_name } = meter;
    let mut facts = Facts::from([
        ("aggregation".to_owned(), aggregation.as_str().to_owned()),
        ("event_name".to_owned(), event_name.clone()),
    ]);
    if *per_source {
        facts.insert("per".to_owned(), "source".to_owned());
    }
    if !rule.is_empty() {
        facts.insert("billable".to_owned(), rule.to_string());
    }
    facts
}

fn plan_facts(plan: &Plan) -> Facts {
    let Plan { id: _, amount_minor, hard_cap, usage } = plan;
    let mut facts = Facts::from([
        ("amount".to_owned(), amount_minor.to_string()),
        ("hard_cap".to_owned(), hard_cap.to_string()),
    ]);
    for (meter, price) in usage {
        facts.extend(usage_facts(price).into_iter().map(|(name, fact)| (format!("{meter}: {name}"), fact)));
    }
    facts
}

fn usage_facts(usage: &UsagePrice) -> Vec<(&'static str, String)> {
    let UsagePrice {
        billing,
        push,
        free_quota,
        prorate_quota,
        hard_cap: _,
        shadow_price,
        overage_price,
        price,
    } = usage;
    let billing = match billing {
        Billing::Shadow => "shadow",
        Billing::Live => "live",
    };
    let push = match push {
        PushScope::All => "all",
        PushScope::Overage => "overage",
    };
    let mut facts =
        vec![("billing", billing.to_owned()), ("push", push.to_owned()), ("price", price_in_words(price))];
    facts.extend(free_quota.map(|quota| ("free_quota", quota.to_string())));
    facts.extend(prorate_quota.then(|| ("prorate_quota", "true".to_owned())));
    facts.extend(shadow_price.as_ref().map(PriceRef::to_string).map(|price| ("shadow_price", price)));
    facts.extend(overage_price.as_ref().map(PriceRef::to_string).map(|price| ("overage_price", price)));
    facts
}

/// Such as `graduated: 100 at 0, then 700`; amounts are minor units.
pub fn price_in_words(price: &Price) -> String {
    match price {
        Price::PerUnit { unit_amount, transform: None } => format!("{unit_amount} per unit"),
        Price::PerUnit { unit_amount, transform: Some(transform) } => {
            let round = match transform.round {
                Round::Up => "begun",
                Round::Down => "full",
            };
            format!("{unit_amount} per {round} package of {}", transform.divide_by)
        }
        Price::Graduated(tiers) => format!("graduated: {}", tiers_in_words(tiers)),
        Price::Volume(tiers) => format!("volume: {}", tiers_in_words(tiers)),
    }
}

fn tiers_in_words(tiers: &[Tier]) -> String {
    let words = |tier: &Tier| {
        let amount = match tier.flat_amount {
            Some(fee) => format!("{} and a fee of {fee}", tier.unit_amount),
            None => tier.unit_amount.to_string(),
        };
        match tier.up_to {
            Some(up_to) => format!("to {up_to} at {amount}"),
            None => format!("then {amount}"),
        }
    };
    tiers.iter().map(words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Aggregation;
    use crate::domain::money::Currency;
    use crate::domain::number::{Quantity, UnitAmount};
    use crate::domain::period::Interval;
    use crate::domain::price::{TiersMode, Transform};
    use crate::domain::rule::Rule;

    fn amount(text: &str) -> UnitAmount {
        UnitAmount::parse(text).unwrap()
    }

    fn units(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn meter(aggregation: Aggregation) -> Meter {
        Meter {
            key: "calls".to_owned(),
            aggregation,
            per_source: false,
            rule: Rule::default(),
            event_name: "calls".to_owned(),
        }
    }

    fn plan(key: &str, usage: UsagePrice) -> Plan {
        let id = PlanId {
            key: key.to_owned(),
            interval: Interval::Month,
            currency: Currency::parse("usd").unwrap(),
        };
        Plan { id, amount_minor: 900, hard_cap: false, usage: BTreeMap::from([("calls".to_owned(), usage)]) }
    }

    fn usage(unit_amount: &str) -> UsagePrice {
        let price = Price::per_unit(amount(unit_amount));
        UsagePrice::new(Billing::Shadow, PushScope::Overage, Some(units("10")), price, "usage").unwrap()
    }

    fn catalog(meter: Meter, plans: Vec<Plan>) -> Catalog {
        let mut catalog = Catalog::default();
        catalog.add_meter(meter, "meter").unwrap();
        for plan in plans {
            catalog.add_plan(plan, "plan").unwrap();
        }
        catalog
    }

    #[test]
    fn what_comes_goes_and_changes_is_told_and_nothing_else() {
        let old = catalog(meter(Aggregation::Sum), vec![plan("a", usage("1")), plan("b", usage("1"))]);
        assert!(CatalogDiff::between(&old, &old).is_empty());
        let new = catalog(meter(Aggregation::Max), vec![plan("b", usage("2")), plan("c", usage("1"))]);
        let diff = CatalogDiff::between(&old, &new);
        let kinds: Vec<_> =
            diff.plans.iter().map(|change| (change.key.key.as_str(), change.kind.as_str())).collect();
        assert_eq!(kinds, [("a", "removed"), ("b", "changed"), ("c", "added")]);
        let changed = FieldChange {
            field: "calls: price".to_owned(),
            old: Some("1 per unit".to_owned()),
            new: Some("2 per unit".to_owned()),
        };
        assert_eq!(diff.plans[1].fields, [changed]);
        assert_eq!(diff.meters[0].fields[0].new.as_deref(), Some("max"));
        assert_eq!(diff.touched_plans().len(), 2);
        assert_eq!(other_aggregations(&old, &new).count(), 1);
    }

    /// A property that the words left out could change a bill unseen.
    #[test]
    fn every_property_shows_when_it_alone_changes() {
        let base = usage("1");
        let reference = || Some(PriceRef::Id("price_1".to_owned()));
        for changed in [
            UsagePrice { billing: Billing::Live, ..base.clone() },
            UsagePrice { push: PushScope::All, ..base.clone() },
            UsagePrice { free_quota: None, ..base.clone() },
            UsagePrice { free_quota: Some(units("11")), ..base.clone() },
            UsagePrice { prorate_quota: true, ..base.clone() },
            UsagePrice { shadow_price: reference(), ..base.clone() },
            UsagePrice { overage_price: reference(), ..base.clone() },
            UsagePrice { price: Price::per_unit(amount("1.000000000001")), ..base.clone() },
        ] {
            let of = |usage: UsagePrice| catalog(meter(Aggregation::Sum), vec![plan("a", usage)]);
            let diff = CatalogDiff::between(&of(base.clone()), &of(changed.clone()));
            assert_eq!(diff.plans[0].fields.len(), 1, "{changed:?}");
        }
        let sum = || meter(Aggregation::Sum);
        let rule = Rule::parse(&["outcome = success".to_owned()]).unwrap();
        for changed in [
            Meter { per_source: true, ..sum() },
            Meter { event_name: "other".to_owned(), ..sum() },
            Meter { rule, ..sum() },
        ] {
            let diff =
                CatalogDiff::between(&catalog(sum(), Vec::new()), &catalog(changed.clone(), Vec::new()));
            assert_eq!(diff.meters[0].fields.len(), 1, "{changed:?}");
        }
        let capped = Plan { hard_cap: true, ..plan("a", base.clone()) };
        let dearer = Plan { amount_minor: 901, ..plan("a", base.clone()) };
        for changed in [capped, dearer] {
            let old = catalog(sum(), vec![plan("a", base.clone())]);
            assert_eq!(CatalogDiff::between(&old, &catalog(sum(), vec![changed])).plans[0].fields.len(), 1);
        }
    }

    #[test]
    fn prices_are_told_in_short_words() {
        let tier = |up_to: Option<&str>, unit: &str, fee: Option<&str>| Tier {
            up_to: up_to.map(units),
            unit_amount: amount(unit),
            flat_amount: fee.map(amount),
        };
        let tiers = || vec![tier(Some("100"), "0", Some("900")), tier(None, "7.5", None)];
        let transform = Some(Transform { divide_by: 10, round: Round::Up });
        for (price, words) in [
            (Price::per_unit(amount("0.05")), "0.05 per unit"),
            (Price::PerUnit { unit_amount: amount("4000"), transform }, "4000 per begun package of 10"),
            (
                Price::tiered(TiersMode::Graduated, tiers()).unwrap(),
                "graduated: to 100 at 0 and a fee of 900, then 7.5",
            ),
            (
                Price::tiered(TiersMode::Volume, tiers()).unwrap(),
                "volume: to 100 at 0 and a fee of 900, then 7.5",
            ),
        ] {
            assert_eq!(price_in_words(&price), words);
        }
    }
}
