//! Meter events out, meter totals back.
//!
//! In: one event with its frozen identifier, or a (meter, customer, window). Out: what became of the event, or the total.
//! An event whose fate no answer tells is [`Delivery::Unknown`]: it is never taken for delivered and never for refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stripe_billing::billing_meter_event::CreateBillingMeterEvent;
use stripe_billing::billing_meter_event_summary::{
    ListIdBillingMeterEventSummary, ListIdBillingMeterEventSummaryValueGroupingWindow as Grouping,
};
use stripe_client_core::StripeRequest;

use crate::domain::invoice::{MeterTotal, PayloadKeys};
use crate::domain::number::Quantity;
use crate::domain::period::Window;

use super::decode::{IDEMPOTENCY_ERROR, Node, meter};
use super::transport::Answer;
use super::{MISSING, PAGE, Stripe, StripeError, segment};

/// How Stripe says that it has the event already: by code, or only by words in some versions.
const DUPLICATE_CODE: &str = "duplicate_meter_event";
const DUPLICATE_WORDS: &str = "event already exists with identifier";

/// One push, to be repeated to the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterEvent {
    pub event_name: String,
    /// Those of the meter.
    pub payload_keys: PayloadKeys,
    pub customer_id: String,
    /// Also the Idempotency-Key.
    pub identifier: String,
    /// The key of a further attempt after a trouble that Stripe has stored: another one in each wake.
    pub further_key: String,
    pub value: Quantity,
    pub timestamp: Timestamp,
}

/// What a meter says of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Total {
    Counted(MeterTotal),
    /// Deleted, or of another account or mode.
    NoCustomer {
        request_id: String,
    },
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Taken; not yet counted.
    Accepted { request_id: String },
    /// Stripe has an event with this identifier. `in_doubt`: an attempt of ours without an answer may have brought it.
    AlreadyThere { in_doubt: bool, request_id: String },
    /// Stripe did not take it, and would not the next time.
    Rejected { code: String, message: String, request_id: String },
    /// No answer that tells.
    Unknown { why: String },
    /// The client has stopped asking; whether an earlier attempt has arrived is not known.
    Stopped,
}

impl Stripe {
    /// What the meter counted of a customer. Stripe knows whole minutes only, so the window is widened to them.
    pub async fn meter_total(
        &self,
        meter_id: &str,
        customer_id: &str,
        window: Window,
    ) -> Result<Total, StripeError> {
        let whole = window.in_whole_minutes();
        let (start, end) = (whole.start.as_second(), whole.end.as_second());
        let path_id = segment(meter_id);
        let request_after = |cursor: Option<&str>| {
            // In the order of the alphabet: the end stands before the start.
            let request = ListIdBillingMeterEventSummary::new(&*path_id, customer_id, end, start).limit(PAGE);
            cursor.into_iter().fold(request, ListIdBillingMeterEventSummary::starting_after).build()
        };
        let listed = match self.list(request_after, |node, _| meter::summary(node)).await {
            // The meter may be missing too; the words say which of them is.
            Err(StripeError::Refused { code, message, request_id, .. })
                if code == MISSING && message.contains(customer_id) && !message.contains(meter_id) =>
            {
                return Ok(Total::NoCustomer { request_id });
            }
            listed => listed?,
        };
        let sum = listed.elements.iter().try_fold(Quantity::ZERO, |sum, one| sum.checked_add(*one));
        let quantity = sum.map_err(|error| StripeError::Undecodable {
            what: format!("the meter's total {error}"),
            request_id: listed.request_id.clone(),
        })?;
        let quantity = quantity.at_float_precision();
        Ok(Total::Counted(MeterTotal { quantity, request_id: listed.request_id }))
    }

    /// What the meter counted of a customer on each UTC day, by the day's start; a day without usage is not among them. The window
    /// begins and ends with a day.
    pub async fn meter_days(
        &self,
        meter_id: &str,
        customer_id: &str,
        window: Window,
    ) -> Result<BTreeMap<Timestamp, Quantity>, StripeError> {
        let (start, end) = (window.start.as_second(), window.end.as_second());
        let path_id = segment(meter_id);
        let request_after = |cursor: Option<&str>| {
            let request = ListIdBillingMeterEventSummary::new(&*path_id, customer_id, end, start)
                .limit(PAGE)
                .value_grouping_window(Grouping::Day);
            cursor.into_iter().fold(request, ListIdBillingMeterEventSummary::starting_after).build()
        };
        let listed = self.list(request_after, |node, _| meter::bucket(node)).await?;
        let day = |(start, units): (i64, Quantity)| Some((Timestamp::from_second(start).ok()?, units));
        Ok(listed.elements.into_iter().filter_map(day).collect())
    }

    /// Sends an event. An error only where every other event would fail alike.
    pub async fn send_event(&self, event: &MeterEvent) -> Result<Delivery, StripeError> {
        let PayloadKeys { customer, value } = event.payload_keys.clone();
        let payload = [(customer, event.customer_id.clone()), (value, event.value.to_string())];
        let request = CreateBillingMeterEvent::new(&*event.event_name, payload)
            .identifier(&*event.identifier)
            .timestamp(event.timestamp.as_second());
        let (sent, in_doubt) = self.send(request.build(), &event.identifier, &event.further_key).await?;
        match sent {
            Ok(answer) => Ok(self.confirmed(&answer, event)),
            Err(error) if error.concerns_all() => Err(error),
            Err(StripeError::CircuitOpen { .. }) => Ok(Delivery::Stopped),
            Err(error) => Ok(not_accepted(error).after(in_doubt)),
        }
    }

    /// A 2xx counts only if it speaks of our event: a captive portal answers 200 too.
    fn confirmed(&self, answer: &Answer, event: &MeterEvent) -> Delivery {
        let identifier = Node::root(&answer.body).and_then(|node| node.fields()?.get("identifier").text());
        let why = match identifier {
            Ok(identifier) if identifier == event.identifier => {
                return Delivery::Accepted { request_id: answer.request_id.clone() };
            }
            Ok(_) => "the answer speaks of another event".to_owned(),
            Err(problem) => format!("the answer cannot be understood: {problem}"),
        };
        Delivery::Unknown { why: format!("{}{}", self.transport.shown(&why), asked(&answer.request_id)) }
    }
}

impl Delivery {
    /// A refusal proves nothing where an earlier attempt may have arrived, and what is there may be that one.
    fn after(self, in_doubt: bool) -> Self {
        match self {
            Self::Rejected { code, message, request_id } if in_doubt => {
                let why =
                    format!("{code}: {message}{}, after an attempt without an answer", asked(&request_id));
                Self::Unknown { why }
            }
            Self::AlreadyThere { request_id, .. } => Self::AlreadyThere { in_doubt, request_id },
            other => other,
        }
    }
}

fn not_accepted(error: StripeError) -> Delivery {
    match error {
        StripeError::Refused { status: 400, code, message, request_id, .. }
            if code == DUPLICATE_CODE || message.contains(DUPLICATE_WORDS) =>
        {
            drop((code, message));
            Delivery::AlreadyThere { in_doubt: false, request_id }
        }
        // The first request with this key may have been taken.
        StripeError::Refused { code, request_id, .. } if code == IDEMPOTENCY_ERROR => Delivery::Unknown {
            why: format!("the identifier was used with other values before{}", asked(&request_id)),
        },
        // 409: the first request is still being worked on. Without a code: not an answer of Stripe's.
        StripeError::Refused { status, code, message, request_id, .. }
            if status != 409 && !code.is_empty() =>
        {
            Delivery::Rejected { code, message, request_id }
        }
        other => Delivery::Unknown { why: other.to_string() },
    }
}

fn asked(request_id: &str) -> String {
    if request_id.is_empty() { String::new() } else { format!(" (request {request_id})") }
}

#[cfg(test)]
mod tests {
    use super::super::{Hints, RateLimit};
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_doubt() {
        let refused = |status, code: &str, message: &str| {
            not_accepted(StripeError::Refused {
                status,
                code: code.to_owned(),
                message: message.to_owned(),
                request_id: "req_1".to_owned(),
                hints: Hints::default(),
            })
        };
        let there = |delivery| matches!(delivery, Delivery::AlreadyThere { .. });
        let rejected = |delivery| matches!(delivery, Delivery::Rejected { .. });
        let unknown = |delivery| matches!(delivery, Delivery::Unknown { .. });
        assert!(there(refused(400, "duplicate_meter_event", "")));
        assert!(there(refused(400, "invalid_request_error", "An event already exists with identifier X.")));
        assert!(rejected(refused(400, "timestamp_too_far_in_past", "too old")));
        assert!(rejected(refused(404, "resource_missing", "no such customer")));
        assert!(unknown(refused(400, IDEMPOTENCY_ERROR, "other parameters")));
        assert!(unknown(refused(409, "idempotency_key_in_use", "in use")));
        assert!(unknown(refused(413, "", "status 413, without an error of Stripe's own")));
        let limited = StripeError::RateLimited {
            reason: RateLimit::Unnamed,
            message: "slow down".into(),
            request_id: String::new(),
            hints: Hints::default(),
        };
        assert!(unknown(not_accepted(limited)));
    }
}
