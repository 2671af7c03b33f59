//! A usage price of the catalog against Stripe's prices.
//!
//! In: the usage price with both of its prices at Stripe, the meter that they are to bill. Out: what is wrong. A price in
//! force is what Stripe charges by now; the other one, the candidate, is what it is to charge by later.

use crate::domain::catalog::{Billing, PriceRef, PushScope};
use crate::domain::invoice::{StripeMeter, StripePrice};
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::price::Price;

use super::{CheckName, Finding, PriceAtStripe, Severity, Side, Sold};

const SHADOW: &str = "shadow_price_id";
const OVERAGE: &str = "overage_price_id";

pub fn check(sold: &Sold<'_>, meter: Option<&StripeMeter>, side: Side, place: &str) -> Vec<Finding> {
    let mut findings = Found { place, all: Vec::new() };
    let live = sold.usage.billing == Billing::Live;
    for (at_stripe, key, in_force) in [(&sold.shadow, SHADOW, !live), (&sold.overage, OVERAGE, live)] {
        match at_stripe {
            PriceAtStripe::Unnamed if in_force => findings.unnamed(key),
            PriceAtStripe::Unnamed => {}
            PriceAtStripe::Missing(name) => {
                let text = match name {
                    PriceRef::Id(_) => format!("Stripe has no {name}: make it, or mend {key} in the catalog"),
                    PriceRef::LookupKey(_) => format!(
                        "Stripe has no {name} that is active: make it, give the key to an active one, or mend the catalog"
                    ),
                };
                findings.add(Severity::Refuse, CheckName::PriceExists, text);
            }
            PriceAtStripe::Archived(name, id) => {
                let text = format!(
                    "Stripe's {name} is archived (`{id}`), and a key of an archived price finds nothing: make it active \
                     again, give the key to an active one, or name it by its id in {key}"
                );
                findings.add(Severity::Refuse, CheckName::PriceExists, text);
            }
            PriceAtStripe::Found(price) => {
                findings.check_terms(price, sold, meter, side);
                if !price.active {
                    findings.add_archived(price, key, in_force, live);
                }
            }
        }
    }
    if let (false, PriceAtStripe::Found(shadow)) = (live, &sold.shadow) {
        findings.check_shadow(shadow);
    }
    let before = findings.all.len();
    findings.check_quota(sold);
    if findings.all.len() == before {
        findings.check_catalog_price(sold, side);
    }
    findings.all
}

/// The findings of one usage price.
struct Found<'a> {
    place: &'a str,
    all: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, severity: Severity, check: CheckName, text: String) {
        self.all.push(Finding { severity, check, place: self.place.to_owned(), text });
    }

    /// Refuses a price.
    fn refuse(&mut self, check: CheckName, price: &StripePrice, problem: &str) {
        self.add(Severity::Refuse, check, format!("Stripe's price `{}` {problem}", price.id));
    }

    fn unnamed(&mut self, key: &str) {
        let text = format!("the catalog names no price at Stripe: set {key}");
        self.add(Severity::Refuse, CheckName::PriceExists, text);
    }

    /// An archived price goes on billing those who have it, so nothing is wrong today. To stop everybody's push because of
    /// a price that nobody pays yet would do more harm.
    fn add_archived(&mut self, price: &StripePrice, key: &str, in_force: bool, live: bool) {
        let id = &price.id;
        let text = match (in_force, live) {
            (true, _) => format!(
                "Stripe's price `{id}` is archived: it still bills its subscriptions, but no new one can take it; make \
                 it active again, or name another in {key}"
            ),
            (false, false) => format!(
                "Stripe's price `{id}` is archived, and is to be charged later: no subscription can change to it; make \
                 it active again, or name another in {key}"
            ),
            // A shadow price whose time is over.
            (false, true) => return,
        };
        self.add(Severity::Warn, CheckName::PriceActive, text);
    }

    /// What the price is made for.
    fn check_terms(&mut self, price: &StripePrice, sold: &Sold<'_>, meter: Option<&StripeMeter>, side: Side) {
        let (currency, interval) = (sold.plan.id.currency, sold.plan.id.interval.as_str());
        let event = &sold.meter.event_name;
        if price.currency != currency {
            let problem = format!("is in {}, the plan in {currency}: name one in {currency}", price.currency);
            self.refuse(CheckName::Currency, price, &problem);
        }
        match (&price.meter_id, meter) {
            (None, _) => {
                let problem = format!(
                    "does not bill the meter `{event}`, as it is not metered: make one with recurring.usage_type = metered \
                     and recurring.meter"
                );
                self.refuse(CheckName::PriceMeter, price, &problem);
            }
            (Some(id), Some(meter)) if *id != meter.id => {
                let problem = format!(
                    "does not bill the meter `{event}`: name one whose recurring.meter is {}",
                    meter.id
                );
                self.refuse(CheckName::PriceMeter, price, &problem);
            }
            (Some(_), _) => {}
        }
        if price.interval != interval {
            let recurs = match price.interval.as_str() {
                "" => "does not recur",
                every => &format!("is per {every}"),
            };
            let problem = format!("{recurs}, the plan per {interval}: name one that recurs every {interval}");
            self.refuse(CheckName::Interval, price, &problem);
        }
        if side.livemode.is_some_and(|livemode| livemode != price.livemode) {
            self.refuse(CheckName::Mode, price, "is of another mode than the key: give a key of its mode");
        }
    }

    /// A shadow price that costs something would really charge (fault F38).
    fn check_shadow(&mut self, shadow: &StripePrice) {
        if !shadow.is_zero() {
            let problem = "is not 0 and would really charge, but billing is \"shadow\"; nothing is sent. Name a price of \
                           0, or set billing = \"live\"";
            self.refuse(CheckName::ShadowIsZero, shadow, problem);
        }
    }

    /// The quota must be in exactly one place: in Stripe's live price, or taken off before the push (fault F37).
    fn check_quota(&mut self, sold: &Sold<'_>) {
        let (usage, overage) = (sold.usage, sold.overage.found());
        let Some(quota) = usage.free_quota.filter(|quota| !quota.is_zero()) else { return };
        // What never costs anything needs no quota at Stripe.
        if usage.price.is_zero() && overage.is_none_or(StripePrice::is_zero) {
            return;
        }
        if usage.hard_cap && is_free_to_the_cap(sold) {
            return;
        }
        let overage = match (&sold.overage, usage.billing) {
            (PriceAtStripe::Found(overage), _) => overage,
            (PriceAtStripe::Unnamed, Billing::Shadow) => return self.unnamed(OVERAGE),
            // It has been said already.
            (PriceAtStripe::Unnamed | PriceAtStripe::Missing(_) | PriceAtStripe::Archived(..), _) => return,
        };
        let free = overage.free_units();
        let price = &overage.id;
        let problem = match usage.push {
            PushScope::Overage if free.is_none_or(|free| !free.is_zero()) => format!(
                "the free quota of {quota} stands in two places: push = \"overage\" takes it off, and so does Stripe's \
                 price `{price}`; name a price without a free tier, or set push = \"all\""
            ),
            PushScope::All if free.is_some_and(Quantity::is_zero) => format!(
                "the free quota of {quota} stands in no place: push = \"all\" sends everything, and Stripe's price \
                 `{price}` charges from the first unit; name a price with a free tier, or set push = \"overage\""
            ),
            PushScope::All if free != Some(quota) => {
                let free = free.map_or("all".to_owned(), |free| free.to_string());
                format!(
                    "the free quota is {quota}, but Stripe's price `{price}` gives {free} units away; name a price that \
                     gives as many, or mend free_quota"
                )
            }
            PushScope::All | PushScope::Overage => return,
        };
        self.add(Severity::Refuse, CheckName::Quota, format!("{problem}; nothing is sent"));
    }

    /// What Stripe charges, or is to charge, must be what our reports say.
    fn check_catalog_price(&mut self, sold: &Sold<'_>, side: Side) {
        let Some(overage) = sold.overage.found() else { return };
        let (catalog, stripe) = (charged(sold.usage.at_stripe()), charged(overage.price()));
        let same = catalog == stripe || (catalog.is_zero() && stripe.is_zero());
        if same || (sold.usage.hard_cap && is_free_to_the_cap(sold)) {
            return;
        }
        let id = &overage.id;
        let text = format!(
            "Stripe's price `{id}` charges {stripe}, the catalog {catalog} (minor units): make a price at Stripe that \
             charges exactly that and name it in {OVERAGE}, or mend the catalog"
        );
        self.add(side.refuse_if_pushing(), CheckName::PriceOfCatalog, text);
    }
}

/// Nothing above a hard cap is ever sent, so it is enough that all up to it is free.
fn is_free_to_the_cap(sold: &Sold<'_>) -> bool {
    let quota = sold.usage.free_quota.unwrap_or_default();
    let never_charges = |price: &StripePrice| price.free_units().is_none_or(|free| free >= quota);
    sold.usage.push == PushScope::Overage || sold.overage.found().is_none_or(never_charges)
}

/// A fee of 0 charges what no fee does.
fn charged(mut price: Price) -> Price {
    if let Price::Graduated(tiers) | Price::Volume(tiers) = &mut price {
        for tier in tiers {
            tier.flat_amount = tier.flat_amount.filter(|fee| *fee != UnitAmount::ZERO);
        }
    }
    price
}
