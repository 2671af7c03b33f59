//! The policy from TOML.
//!
//! In: the text of a policy file, the catalog whose plans and meters it names. Out: a checked [`Policy`], or the line, the
//! path and the fault. Never accepts a name that it does not know: a misspelt rule must not be a rule that always holds.
//! `docs/verdict.md` has every key.

use std::collections::BTreeSet;

use crate::domain::catalog::{Catalog, CatalogFault};
use crate::domain::metric::Metric;
use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::policy::{Operator, Policy, PriceGuide, Rule, VerdictWord, WhenAbsent, WhenFailed};
use crate::domain::ratio::Ratio;
use crate::domain::reconcile::Cause;
use crate::ingest::fields::Fields;
use crate::ingest::node::{Node, Value};
use crate::ingest::{IngestError, did_you_mean, line_and_column};

const POLICY: [&str; 7] =
    ["plan", "meter", "clean_full_cycles", "minimum_population", "harmless", "rule", "price"];
const RULE: [&str; 10] = [
    "plan",
    "meter",
    "metric",
    "currency",
    "operator",
    "threshold",
    "required",
    "verdict",
    "when_absent",
    "advice",
];
const PRICE: [&str; 4] = ["target_share", "step", "minimum", "maximum"];

pub fn read(text: &str, file: &str, catalog: &Catalog) -> Result<Policy, IngestError> {
    let tree =
        Node::from_toml(text).map_err(|problem| IngestError::Toml { file: file.to_owned(), problem })?;
    policy(&tree, catalog).map_err(|fault| {
        let (line, column) = line_and_column(text, tree.place(&fault.path));
        IngestError::Catalog { file: file.to_owned(), line, column, fault }
    })
}

fn policy(tree: &Node, catalog: &Catalog) -> Result<Policy, CatalogFault> {
    let fields = Fields::of(tree, "", &POLICY)?;
    let plans = plans(&fields, catalog)?;
    let mut rules = Vec::new();
    for (node, path) in fields.list("rule")? {
        rules.push(rule(node, &path, catalog)?);
    }
    if rules.is_empty() {
        return Err(fields.fault("rule", "is missing: without a [[rule]] everything would be GO"));
    }
    let minimum = count(&fields, "minimum_population")?;
    let cycles = count(&fields, "clean_full_cycles")?;
    Ok(Policy {
        plans,
        meter: meter(&fields, catalog)?,
        rules: Policy::with_guards(rules, minimum, cycles),
        harmless: harmless(&fields)?,
        price: price(&fields)?,
    })
}

fn rule(node: &Node, path: &str, catalog: &Catalog) -> Result<Rule, CatalogFault> {
    let fields = Fields::of(node, path, &RULE)?;
    let metrics: Vec<(&str, Metric)> = Metric::ALL.iter().map(|one| (one.as_str(), *one)).collect();
    let metric = fields.choice("metric", &metrics)?.ok_or_else(|| fields.fault("metric", "is missing"))?;
    let operators = Operator::ALL.map(|one| (one.as_str(), one));
    let operator = fields.choice("operator", &operators)?;
    let when_failed = when_failed(&fields)?;
    Ok(Rule {
        plan: plan(&fields, catalog)?,
        meter: meter(&fields, catalog)?,
        metric,
        currency: currency(&fields, metric)?,
        operator: operator.ok_or_else(|| fields.fault("operator", "is missing: one of =, >=, >, <=, <"))?,
        threshold: ratio(&fields, "threshold")?.ok_or_else(|| fields.fault("threshold", "is missing"))?,
        when_failed,
        when_absent: when_absent(&fields, when_failed)?,
        advice: fields.identifier("advice")?,
    })
}

/// A rule that is not required only advises; any other says what it comes to when it does not hold.
fn when_failed(fields: &Fields<'_>) -> Result<WhenFailed, CatalogFault> {
    let required = fields.get("required").is_none() || fields.boolean("required")?;
    let words = [VerdictWord::NoGo, VerdictWord::Review, VerdictWord::InsufficientData];
    let verdict = fields.choice("verdict", &words.map(|word| (word.as_str(), word)))?;
    match (required, verdict) {
        (true, Some(word)) => Ok(WhenFailed::Decides(word)),
        (false, None) => Ok(WhenFailed::Advises),
        (true, None) => {
            Err(fields.fault("verdict", "is missing: what the verdict is when the rule does not hold"))
        }
        (false, Some(_)) => {
            Err(fields.fault("verdict", "a rule that is not required only advises: take the verdict away"))
        }
    }
}

/// What is n/a is never counted as good, and fails no advice.
fn when_absent(fields: &Fields<'_>, when_failed: WhenFailed) -> Result<WhenAbsent, CatalogFault> {
    let usual = match when_failed {
        WhenFailed::Advises => WhenAbsent::Passes,
        WhenFailed::Decides(_) => WhenAbsent::IsInsufficient,
    };
    let words = [("passes", WhenAbsent::Passes), ("insufficient_data", WhenAbsent::IsInsufficient)];
    Ok(fields.choice("when_absent", &words)?.unwrap_or(usual))
}

fn currency(fields: &Fields<'_>, metric: Metric) -> Result<Option<Currency>, CatalogFault> {
    let currency = fields.text("currency")?.map(Currency::parse).transpose();
    let currency = currency.map_err(|error| fields.fault("currency", error.to_string()))?;
    match (currency, metric.is_in_currency()) {
        (None, true) => {
            let problem = format!(
                "is missing: {} is an amount, and nothing is added across currencies",
                metric.as_str()
            );
            Err(fields.fault("currency", problem))
        }
        (Some(_), false) => {
            Err(fields.fault("currency", format!("{} is no amount: take the currency away", metric.as_str())))
        }
        (currency, _) => Ok(currency),
    }
}

fn plan(fields: &Fields<'_>, catalog: &Catalog) -> Result<Option<String>, CatalogFault> {
    of_catalog(fields, "plan", &plan_keys(catalog))
}

/// One plan, or a list of them.
fn plans(fields: &Fields<'_>, catalog: &Catalog) -> Result<Vec<String>, CatalogFault> {
    if !matches!(fields.get("plan"), Some(Node { value: Value::List(_), .. })) {
        let plan = plan(fields, catalog)?;
        let plan = plan.ok_or_else(|| fields.fault("plan", "is missing: whose figures are judged"))?;
        return Ok(vec![plan]);
    }
    let mut plans = Vec::new();
    for (node, path) in fields.list("plan")? {
        let Value::Text(text) = &node.value else {
            let problem = format!("must be a plan in quotes, not {}", node.value.kind());
            return Err(CatalogFault::new(path, problem));
        };
        plans.push(
            known(text, "plan", &plan_keys(catalog)).map_err(|problem| CatalogFault::new(path, problem))?,
        );
    }
    if plans.is_empty() {
        return Err(fields.fault("plan", "is empty: whose figures are judged"));
    }
    Ok(plans)
}

fn plan_keys(catalog: &Catalog) -> BTreeSet<&str> {
    catalog.plans.keys().map(|id| id.key.as_str()).collect()
}

fn meter(fields: &Fields<'_>, catalog: &Catalog) -> Result<Option<String>, CatalogFault> {
    let known: BTreeSet<&str> = catalog.meters.keys().map(String::as_str).collect();
    of_catalog(fields, "meter", &known)
}

fn of_catalog(
    fields: &Fields<'_>,
    key: &str,
    names: &BTreeSet<&str>,
) -> Result<Option<String>, CatalogFault> {
    let Some(name) = fields.text(key)? else { return Ok(None) };
    known(name, key, names).map(Some).map_err(|problem| fields.fault(key, problem))
}

fn known(name: &str, what: &str, names: &BTreeSet<&str>) -> Result<String, String> {
    if names.contains(name) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(64).collect();
    let hint = did_you_mean::hint(&shown, names.iter().copied());
    Err(format!("the {what} `{shown}` is not in the catalog: {hint}"))
}

fn harmless(fields: &Fields<'_>) -> Result<Vec<String>, CatalogFault> {
    if fields.get("harmless").is_none() {
        return Ok(Policy::usual_harmless());
    }
    let mut causes = Vec::new();
    for (node, path) in fields.list("harmless")? {
        let Value::Text(text) = &node.value else {
            return Err(CatalogFault::new(
                path,
                format!("must be a cause in quotes, not {}", node.value.kind()),
            ));
        };
        if Cause::parse(text).is_none() {
            let shown: String = text.chars().take(64).collect();
            let hint = did_you_mean::hint(&shown, Cause::ALL.iter().map(|cause| cause.as_str()));
            return Err(CatalogFault::new(path, format!("`{shown}` is no cause of a difference: {hint}")));
        }
        causes.push(text.clone());
    }
    Ok(causes)
}

fn price(fields: &Fields<'_>) -> Result<PriceGuide, CatalogFault> {
    let Some(node) = fields.get("price") else { return Ok(PriceGuide::default()) };
    let fields = Fields::of(node, "price", &PRICE)?;
    let guide = PriceGuide {
        target_share: ratio(&fields, "target_share")?,
        step: amount(&fields, "step")?,
        minimum: amount(&fields, "minimum")?,
        maximum: amount(&fields, "maximum")?,
    };
    match (guide.minimum, guide.maximum) {
        (Some(minimum), Some(maximum)) if maximum < minimum => {
            Err(fields.fault("maximum", "is below the minimum"))
        }
        _ => Ok(guide),
    }
}

/// An amount in major units, above 0.
fn amount(fields: &Fields<'_>, key: &str) -> Result<Option<Quantity>, CatalogFault> {
    let amount = fields.quantity(key)?;
    if amount.is_some_and(Quantity::is_zero) {
        return Err(fields.fault(key, "must be above 0"));
    }
    Ok(amount)
}

/// `0.2`, `20 %` or a whole number.
fn ratio(fields: &Fields<'_>, key: &str) -> Result<Option<Ratio>, CatalogFault> {
    let Some(text) = fields.number_text(key)? else { return Ok(None) };
    Ratio::parse(text).map(Some).map_err(|error| fields.no_number(key, text, &error))
}

/// At least 1; 1 where nothing is said.
fn count(fields: &Fields<'_>, key: &str) -> Result<u32, CatalogFault> {
    let Some(count) = fields.integer(key)? else { return Ok(1) };
    u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| fields.fault(key, "must be a whole number of at least 1"))
}
