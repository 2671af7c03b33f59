//! Billable rules: what a usage record must be to count.
//!
//! In: conditions such as `outcome = success` or `duration_ms >= 5000`, and a record's outcome and properties. Out:
//! whether it counts. A number is compared exactly; a property that is missing or no number meets no condition, so what is in
//! doubt is never billed.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::number::Quantity;

/// All of the conditions must hold. Without any, every record counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Outcome { is: bool, text: String },
    Property { name: String, operator: Operator, number: Quantity },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Operator {
    /// Longer ones first: `>=` begins like `>`.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Unequal, "!="),
        (Self::AtLeast, ">="),
        (Self::AtMost, "<="),
        (Self::Equal, "="),
        (Self::Above, ">"),
        (Self::Below, "<"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(operator, _)| *operator == self).map_or("", |(_, text)| text)
    }

    fn holds(self, left: Quantity, right: Quantity) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::AtLeast => left >= right,
            Self::AtMost => left <= right,
            Self::Above => left > right,
            Self::Below => left < right,
        }
    }
}

impl Rule {
    /// Reads conditions in the form `NAME OPERATOR VALUE`. The name `outcome` takes a text and `=` or `!=`; any other is a
    /// property and takes a number. The error says what is wrong with one condition, by its index.
    pub fn parse(conditions: &[String]) -> Result<Self, (usize, String)> {
        let read = |(index, text): (usize, &String)| condition(text).map_err(|problem| (index, problem));
        conditions
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(|conditions| Self { conditions })
    }

    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The first thing that it asks for and a record does not say: its outcome, or a property.
    pub fn lacks(&self, outcome: &str, properties: &BTreeMap<String, String>) -> Option<&str> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Outcome { .. } => outcome.is_empty().then_some("outcome"),
            Condition::Property { name, .. } => (!properties.contains_key(name)).then_some(name.as_str()),
        })
    }

    /// Whether a record counts.
    pub fn admits(&self, outcome: &str, properties: &BTreeMap<String, String>) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Outcome { is, text } => (outcome == text) == *is,
            Condition::Property { name, operator, number } => {
                let value = properties.get(name).and_then(|text| Quantity::parse(text).ok());
                value.is_some_and(|value| operator.holds(value, *number))
            }
        })
    }
}

/// The conditions as they are written, joined by ` and `.
impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, condition) in self.conditions.iter().enumerate() {
            if index > 0 {
                out.write_str(" and ")?;
            }
            match condition {
                Condition::Outcome { is, text } => {
                    write!(out, "outcome {} {text}", if *is { "=" } else { "!=" })?;
                }
                Condition::Property { name, operator, number } => {
                    write!(out, "{name} {} {number}", operator.as_str())?;
                }
            }
        }
        Ok(())
    }
}

fn condition(text: &str) -> Result<Condition, String> {
    let shape = || {
        let text: String = text.chars().take(64).collect();
        format!("`{text}` is no condition: write it like \"outcome = success\" or \"duration_ms >= 5000\"")
    };
    let at = text.find(['=', '!', '<', '>']).ok_or_else(shape)?;
    let (name, rest) = (text[..at].trim(), &text[at..]);
    let (operator, sign) =
        Operator::ALL.into_iter().find(|(_, sign)| rest.starts_with(sign)).ok_or_else(shape)?;
    let value = rest[sign.len()..].trim();
    if name.is_empty() || value.is_empty() || value.starts_with(['=', '!', '<', '>']) {
        return Err(shape());
    }
    match (name, operator) {
        ("outcome", Operator::Equal | Operator::Unequal) => {
            Ok(Condition::Outcome { is: operator == Operator::Equal, text: value.to_owned() })
        }
        ("outcome", _) => Err("outcome is a text: it can only be compared with = or !=".to_owned()),
        _ => match Quantity::parse(value) {
            Ok(number) => Ok(Condition::Property { name: name.to_owned(), operator, number }),
            Err(error) => Err(format!("the value of `{name}` {error}: a property is compared with a number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(conditions: &[&str]) -> Rule {
        let conditions: Vec<String> = conditions.iter().map(|&text| text.to_owned()).collect();
        Rule::parse(&conditions).unwrap()
    }

    fn admits(rule: &Rule, outcome: &str, properties: &[(&str, &str)]) -> bool {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        rule.admits(outcome, &properties.collect())
    }

    #[test]
    fn a_record_counts_when_every_condition_holds() {
        let works = rule(&["outcome = success", "duration_ms >= 5000", "connect_latency_ms<=2000"]);
        assert_eq!(
            works.to_string(),
            "outcome = success and duration_ms >= 5000 and connect_latency_ms <= 2000"
        );
        let good = [("duration_ms", "5000"), ("connect_latency_ms", "2000")];
        assert!(admits(&works, "success", &good));
        assert!(!admits(&works, "failure", &good));
        assert!(!admits(&works, "", &good));
        assert!(!admits(&works, "success", &[("duration_ms", "4999.999999999999"), good[1]]));
        assert!(!admits(&works, "success", &[good[0], ("connect_latency_ms", "2000.000000000001")]));
        assert!(admits(&Rule::default(), "", &[]));
    }

    #[test]
    fn what_is_missing_or_no_number_counts_as_nothing_whatever_the_operator() {
        for operator in ["=", "!=", ">=", "<=", ">", "<"] {
            let rule = rule(&[&format!("size {operator} 5")]);
            for properties in
                [&[][..], &[("size", "")], &[("size", "big")], &[("size", "NaN")], &[("siz", "5")]]
            {
                assert!(!admits(&rule, "success", properties), "{operator} {properties:?}");
            }
        }
    }

    #[test]
    fn each_operator_compares_exactly() {
        for (operator, below, same, above) in [
            ("=", false, true, false),
            ("!=", true, false, true),
            (">=", false, true, true),
            ("<=", true, true, false),
            (">", false, false, true),
            ("<", true, false, false),
        ] {
            let rule = rule(&[&format!("size{operator}-0.5")]);
            let at = |text| admits(&rule, "", &[("size", text)]);
            let found = (at("-0.500000000001"), at("-5e-1"), at("-0.499999999999"));
            assert_eq!(found, (below, same, above), "{operator}");
        }
        assert!(admits(&rule(&["outcome != failed"]), "anything", &[]));
    }

    #[test]
    fn what_is_no_condition_is_refused_by_its_index() {
        for text in [
            "",
            "outcome",
            "= success",
            "outcome =",
            "outcome > a",
            "size => 5",
            "size = big",
            "size == 5",
            "!",
        ] {
            let all = ["outcome = success".to_owned(), text.to_owned()];
            assert_eq!(Rule::parse(&all).unwrap_err().0, 1, "{text}");
        }
    }
}
