//! The settings about tolerances.
//!
//! In: the table `tolerance` of the file: `quantity`, `quantity_relative`, and a table per currency. Out: checked
//! [`Tolerances`]. Decimals stand in quotes, so that none passes through a binary float.

use figment::value::{Dict, Value};

use crate::config::ConfigError;
use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::reconcile::{Tolerance, Tolerances};

/// `wrong` names a key's place.
pub fn check(table: &Dict, wrong: &dyn Fn(&str, &str) -> ConfigError) -> Result<Tolerances, ConfigError> {
    let mut tolerances = Tolerances::default();
    for (name, value) in table {
        let key = format!("tolerance.{name}");
        match (name.as_str(), value.as_dict()) {
            ("quantity", None) => tolerances.quantity.absolute = decimal(&key, value, wrong)?,
            ("quantity_relative", None) => tolerances.quantity.relative = share(&key, value, wrong)?,
            (code, Some(table)) => {
                let problem = "is no currency, such as try or usd, in lower case";
                let currency = Currency::parse(code).ok().filter(|known| known.code() == code);
                let currency = currency.ok_or_else(|| wrong(&key, problem))?;
                tolerances.money.insert(currency, of_currency(&key, table, wrong)?);
            }
            (_, None) => {
                let problem = "is no key; known are: quantity, quantity_relative, and a table for a currency";
                return Err(wrong(&key, problem));
            }
        }
    }
    Ok(tolerances)
}

fn of_currency(
    key: &str,
    table: &Dict,
    wrong: &dyn Fn(&str, &str) -> ConfigError,
) -> Result<Tolerance<u32>, ConfigError> {
    let mut tolerance = Tolerance::default();
    for (name, value) in table {
        let key = format!("{key}.{name}");
        match name.as_str() {
            "amount_minor" => {
                let whole = value.to_i128().and_then(|minor| u32::try_from(minor).ok());
                let problem = format!("must be a whole number of minor units from 0 to {}", u32::MAX);
                tolerance.absolute = whole.ok_or_else(|| wrong(&key, &problem))?;
            }
            "relative" => tolerance.relative = share(&key, value, wrong)?,
            _ => return Err(wrong(&key, "is no key; known are: amount_minor, relative")),
        }
    }
    Ok(tolerance)
}

fn decimal(
    key: &str,
    value: &Value,
    wrong: &dyn Fn(&str, &str) -> ConfigError,
) -> Result<Quantity, ConfigError> {
    let number = value.as_str().and_then(|text| Quantity::parse(text).ok());
    let problem = "must be a decimal number in quotes, such as \"0.5\", and not below 0";
    number.filter(|number| !number.is_negative()).ok_or_else(|| wrong(key, problem))
}

fn share(
    key: &str,
    value: &Value,
    wrong: &dyn Fn(&str, &str) -> ConfigError,
) -> Result<Quantity, ConfigError> {
    let share = decimal(key, value, wrong)?;
    let is_share = Quantity::whole(1).is_ok_and(|all| share <= all);
    is_share
        .then_some(share)
        .ok_or_else(|| wrong(key, "must be a share from \"0\" to \"1\", such as \"0.001\""))
}
