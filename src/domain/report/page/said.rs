//! A metric's value as people say it.
//!
//! In: the name of a metric and a value as `decision.csv` has it. Out: the value to show, and the number to sort by. A share
//! is said in percent, an amount in major units; nothing is rounded that was not rounded in the file, but for percent.

use crate::domain::metric::{Metric, Unit};
use crate::domain::money::MinorSum;
use crate::domain::ratio::Ratio;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// `n/a`, or a name that is not known.
    Nothing(String),
    /// As it stands in the file.
    Number(String),
    Percent {
        text: String,
        number: String,
    },
    Money {
        amount: MinorSum,
    },
}

impl Said {
    pub fn of(metric: &str, value: &str) -> Self {
        let Ok(ratio) = Ratio::parse(value) else { return Self::Nothing(value.to_owned()) };
        let number = value.to_owned();
        match Metric::of_row(metric) {
            Some((metric, _)) if metric.is_share() => {
                Self::Percent { text: ratio.as_percent().to_string(), number }
            }
            Some((metric, Some(currency))) if metric.unit() == Unit::Minor => match value.parse() {
                Ok(minor) => Self::Money { amount: MinorSum { minor, currency } },
                // A mean of amounts may end between two minor units.
                Err(_) => Self::Number(number),
            },
            _ => Self::Number(number),
        }
    }
}

impl Ratio {
    /// In thousandths, for a chart; what lies between two of them goes down. `None` beyond what a quantity holds.
    pub fn thousandths(self) -> Option<i64> {
        let (whole, rest) = self.rounded()?.floor_and_fraction();
        whole.checked_mul(1_000)?.checked_add(rest / 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_said_in_percent_and_an_amount_in_major_units() {
        let percent = Said::Percent { text: "33.3333 %".to_owned(), number: "0.333333".to_owned() };
        assert_eq!(Said::of("share_at_100", "0.333333"), percent);
        let Said::Money { amount } = Said::of("would_be_overage_minor_jpy", "1250") else { panic!() };
        assert_eq!(amount.to_string(), "1250");
        assert_eq!(Said::of("arpu_minor_try", "12.5"), Said::Number("12.5".to_owned()));
        assert_eq!(Said::of("tenants", "7"), Said::Number("7".to_owned()));
        assert_eq!(Said::of("tenants", "n/a"), Said::Nothing("n/a".to_owned()));
    }

    #[test]
    fn a_chart_gets_whole_thousandths() {
        let of = |part, whole| Ratio::of(part, whole).unwrap().thousandths();
        assert_eq!((of(1, 3), of(2, 1), of(0, 5)), (Some(333), Some(2_000), Some(0)));
    }
}
