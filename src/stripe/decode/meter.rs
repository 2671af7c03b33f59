//! Meters and what they counted.
//!
//! In: `billing.meter` and `billing.meter_event_summary` objects. Out: [`StripeMeter`]s and quantities. A formula that
//! we do not know is `None`, a value that does not fit the ledger's numbers is a problem; only what a float cannot keep is
//! rounded.

use crate::domain::invoice::{MeterFormula, PayloadKeys, StripeMeter};
use crate::domain::number::Quantity;

use super::{Node, Problem};

pub(in crate::stripe) fn meter(node: &Node<'_>) -> Result<StripeMeter, Problem> {
    let fields = node.fields()?;
    let livemode = fields.get("livemode");
    let usual = PayloadKeys::default();
    let key = |settings: &str| fields.get(settings).fields_if_any()?.get("event_payload_key").text_if_any();
    let formula = fields.get("default_aggregation").fields_if_any()?.get("formula").text_if_any()?;
    Ok(StripeMeter {
        id: fields.get("id").text()?,
        event_name: fields.get("event_name").text()?,
        formula: match formula.as_deref() {
            Some("sum") => Some(MeterFormula::Sum),
            Some("count") => Some(MeterFormula::Count),
            Some("last") => Some(MeterFormula::Last),
            _ => None,
        },
        pre_aggregates: !fields.get("event_time_window").is_null(),
        active: fields.get("status").text()? == "active",
        livemode: if livemode.is_null() { None } else { Some(livemode.boolean()?) },
        payload_keys: PayloadKeys {
            customer: key("customer_mapping")?.unwrap_or(usual.customer),
            value: key("value_settings")?.unwrap_or(usual.value),
        },
    })
}

/// Stripe adds up in a binary float, whatever digits the events had.
pub(in crate::stripe) fn summary(node: &Node<'_>) -> Result<Quantity, Problem> {
    node.fields()?.get("aggregated_value").float_quantity()
}

/// A summary of a day or an hour, with its start in Unix seconds.
pub(in crate::stripe) fn bucket(node: &Node<'_>) -> Result<(i64, Quantity), Problem> {
    Ok((node.fields()?.get("start_time").integer()?, summary(node)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_says_how_it_counts() {
        let json = r#"{"id": "mtr_1", "event_name": "calls", "status": "active", "event_time_window": null,
          "default_aggregation": {"formula": "sum"}, "customer_mapping": {"type": "by_id"}}"#;
        let read = |json: &str| meter(&Node::root(json.as_bytes()).unwrap()).unwrap();
        let plain = read(json);
        assert!(plain.active && !plain.pre_aggregates && plain.formula == Some(MeterFormula::Sum));
        assert_eq!((plain.livemode, plain.payload_keys), (None, PayloadKeys::default()));
        let other = json.replace("sum", "median").replace("active", "inactive");
        let other = read(&other.replace(r#""event_time_window": null"#, r#""event_time_window": "hour""#));
        assert!(!other.active && other.pre_aggregates && other.formula.is_none());
    }

    #[test]
    fn a_meter_says_where_it_looks_for_customer_and_value() {
        let json = r#"{"id": "mtr_1", "event_name": "calls", "status": "active", "livemode": true,
          "customer_mapping": {"event_payload_key": "who", "type": "by_id"},
          "value_settings": {"event_payload_key": "how_many"}}"#;
        let meter = meter(&Node::root(json.as_bytes()).unwrap()).unwrap();
        let keys = PayloadKeys { customer: "who".to_owned(), value: "how_many".to_owned() };
        assert_eq!((meter.livemode, meter.payload_keys), (Some(true), keys));
    }

    #[test]
    fn a_total_is_read_to_the_digits_that_a_float_keeps_or_not_at_all() {
        let read = |value: &str| {
            let json = format!(r#"{{"id": "mtrusg_1", "aggregated_value": {value}}}"#);
            summary(&Node::root(json.as_bytes()).unwrap()).map(|total| total.to_string())
        };
        for (value, expected) in [
            ("130", "130"),
            ("130.0", "130"),
            ("1.3e2", "130"),
            ("1e-7", "0.0000001"),
            ("\"-2.5\"", "-2.5"),
            ("0.30000000000000004", "0.3"),
            ("99.99999999999999", "100"),
            ("5.551115123125783e-17", "0"),
        ] {
            assert_eq!(read(value).unwrap(), expected);
        }
        for value in ["null", "\"\"", "{}", "1e400", "true"] {
            let problem = read(value).unwrap_err().to_string();
            assert!(problem.starts_with("aggregated_value "), "{problem}");
        }
    }
}
