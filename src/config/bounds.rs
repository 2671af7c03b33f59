//! The safety bounds: a factor, and caps by currency.
//!
//! In: the table `bounds` after all layers. Out: checked [`Bounds`]. What is no currency and no key is refused with its
//! place.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};

use crate::config::ConfigError;
use crate::domain::bounds::{Bounds, Caps};
use crate::domain::money::Currency;

const FACTOR: &str = "overage_factor";
const MOST: u32 = 1_000_000;

/// `wrong` names a key's place.
pub fn check(table: &Dict, wrong: &dyn Fn(&str, &str) -> ConfigError) -> Result<Bounds, ConfigError> {
    let mut bounds = Bounds { caps: BTreeMap::new(), ..Bounds::default() };
    for (key, value) in table {
        let path = format!("bounds.{key}");
        if key == FACTOR {
            let factor = value.to_i128().and_then(|factor| u32::try_from(factor).ok());
            let problem = format!("must be a whole number from 0 (off) to {MOST}");
            bounds.overage_factor =
                factor.filter(|factor| *factor <= MOST).ok_or_else(|| wrong(&path, &problem))?;
        } else if let (Ok(currency), Value::Dict(_, table)) = (Currency::parse(key), value) {
            bounds.caps.insert(currency, caps(table, &path, wrong)?);
        } else {
            return Err(wrong(
                &path,
                "is neither overage_factor nor a table of a currency, such as [bounds.usd]",
            ));
        }
    }
    Ok(bounds)
}

fn caps(table: &Dict, path: &str, wrong: &dyn Fn(&str, &str) -> ConfigError) -> Result<Caps, ConfigError> {
    let mut caps = Caps::default();
    for (key, value) in table {
        let path = format!("{path}.{key}");
        let cap = match key.as_str() {
            "tenant_amount_minor" => &mut caps.tenant,
            "period_amount_minor" => &mut caps.period,
            _ => {
                return Err(wrong(&path, "is no key; known are: tenant_amount_minor, period_amount_minor"));
            }
        };
        let minor = value.to_i128().and_then(|minor| i64::try_from(minor).ok()).filter(|minor| *minor >= 0);
        *cap = Some(minor.ok_or_else(|| wrong(&path, "must be whole minor units, 0 or more"))?);
    }
    Ok(caps)
}
