//! Price curves: the bill as usage grows, on the plan and on the next one.
//!
//! In: curves. Out: a chart of each, the judged plans first, with its turning points in words.

use std::cmp::Reverse;

use maud::{Markup, html};

use crate::domain::catalog::PlanId;
use crate::domain::money::{MinorAmount, MinorSum};
use crate::domain::pricing::curve::{CurvePoint, PriceCurve};
use crate::domain::report::Report;
use crate::render::html::chart::{About, Colour, Line, Plane, plane};
use crate::render::html::words::{clean, grouped, money};

const CURVES_SHOWN: usize = 8;

pub fn curves(report: &Report) -> Markup {
    let is_judged = |curve: &&PriceCurve| {
        let is_it = |row: &&crate::domain::decide::DecisionRow| {
            row.plan == curve.plan.key && row.meter == curve.meter
        };
        report.decision.iter().any(|row| is_it(&row))
    };
    let mut all: Vec<&PriceCurve> =
        report.page.curves.iter().filter(|curve| curve.points.len() > 1).collect();
    all.sort_by_key(|curve| Reverse(is_judged(curve)));
    if all.is_empty() {
        return html! { p.nothing { "No plan of this period has a price for usage." } };
    }
    html! {
        p { "Base fee and usage of one meter at the candidate price, from the catalog that the windows were rated with." }
        @for (index, one) in all.iter().take(CURVES_SHOWN).enumerate() { (of_plan(index, one)) }
        @if all.len() > CURVES_SHOWN {
            p.more { "The first " (CURVES_SHOWN) " of " (all.len()) " curves; " code { "billrecon rate" }
                " tells every bill." }
        }
    }
}

fn of_plan(index: usize, curve: &PriceCurve) -> Markup {
    let currency = curve.plan.currency;
    let (own_name, meter) = (plan_name(&curve.plan), clean(&curve.meter));
    let mut lines = vec![line(own_name.clone(), Colour::Main, curve, |one| Some(one.own_minor))];
    if let Some(next) = &curve.next {
        lines.push(line(plan_name(next), Colour::Second, curve, |one| one.next_minor));
    }
    let last = curve.points.last().map_or(0, |point| point.units);
    let quota = curve.quota.map(|quota| quota.floor_and_fraction().0);
    let even = curve.cheaper_from.filter(|units| *units <= last).and_then(|units| i64::try_from(units).ok());
    let marks: Vec<(i64, String)> = quota
        .map(|at| (at, "quota".to_owned()))
        .into_iter()
        .chain(even.map(|at| (at, "next plan costs less".to_owned())))
        .collect();
    let words = words(curve);
    let about = About {
        id: format!("curve-{index}"),
        title: format!("Bill by units of {meter} on {own_name}"),
        description: words.clone(),
    };
    let drawing = Plane {
        lines,
        columns: Vec::new(),
        marks,
        levels: Vec::new(),
        x_name: "units used in a window",
        x_label: &|units| grouped(&units.to_string()),
        y_label: &|minor| grouped(&MinorSum { minor, currency }.to_string()),
        x_labels: 7,
    };
    html! {
        h3 { code { (own_name) } ", " code { (meter) } }
        p { (words) }
        figure { (plane(&about, &drawing)) figcaption { "In " (currency.code().to_uppercase()) "." } }
    }
}

fn line(
    name: String,
    colour: Colour,
    curve: &PriceCurve,
    minor: impl Fn(&CurvePoint) -> Option<i64>,
) -> Line {
    let point = |one: &CurvePoint| Some((i64::try_from(one.units).ok()?, minor(one)?));
    Line { name, colour, points: curve.points.iter().filter_map(point).collect() }
}

fn words(curve: &PriceCurve) -> String {
    let bill = |minor: i64| money(MinorAmount::new(minor, curve.plan.currency).into());
    let units = |units: u64| grouped(&units.to_string());
    let mut words = Vec::new();
    if let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) {
        words.push(format!(
            "From {} for nothing used to {} for {} units.",
            bill(first.own_minor),
            bill(last.own_minor),
            units(last.units)
        ));
    }
    match curve.quota {
        Some(quota) => words.push(format!("The free quota is {} units.", grouped(&quota.to_string()))),
        None => words.push("There is no free quota.".to_owned()),
    }
    match (&curve.next, curve.cheaper_from) {
        (Some(next), Some(from)) => {
            words.push(format!("From {} units on {} costs less.", units(from), plan_name(next)));
        }
        (Some(next), None) => words.push(format!("{} never costs less.", plan_name(next))),
        (None, _) => words.push("No plan one step up sells this meter.".to_owned()),
    }
    words.join(" ")
}

fn plan_name(plan: &PlanId) -> String {
    clean(&format!("{} ({}ly, {})", plan.key, plan.interval.as_str(), plan.currency.code().to_uppercase()))
}
