//! Faults: which request is struck.
//!
//! In: manners, and each request's endpoint and customer. Out: the fault that strikes it, if one does; of several the
//! first in the script. Counting begins anew with each start. Never does what it names.

use std::collections::BTreeMap;

use super::endpoint::Endpoint;
use super::manners::{Fault, Manners};

#[derive(Default)]
pub struct Faults {
    /// Place in the script, and who is counted alone.
    counts: BTreeMap<(usize, String), Count>,
}

#[derive(Default)]
struct Count {
    seen: u64,
    struck: u64,
}

impl Faults {
    pub fn strike<'a>(
        &mut self,
        manners: &'a Manners,
        endpoint: Option<Endpoint>,
        customer: impl FnOnce() -> String,
    ) -> Option<&'a Fault> {
        if manners.faults.is_empty() {
            return None;
        }
        let customer = &customer();
        let mut first = None;
        for (place, fault) in manners.faults.iter().enumerate() {
            // All of them count a request, also those that come too late to strike it.
            if is_for(fault, endpoint, customer) && self.strikes(manners, place, fault, endpoint, customer) {
                first = first.or(Some(fault));
            }
        }
        first
    }

    fn strikes(
        &mut self,
        manners: &Manners,
        place: usize,
        fault: &Fault,
        endpoint: Option<Endpoint>,
        customer: &str,
    ) -> bool {
        let alone = match fault.one_in {
            Some(_) => format!("{endpoint:?} {customer}"),
            None => String::new(),
        };
        let lot = format!("fault {place} {alone}");
        let count = self.counts.entry((place, alone)).or_default();
        count.seen += 1;
        let Some(number) = count.seen.checked_sub(fault.skip).filter(|number| *number > 0) else {
            return false;
        };
        let strikes = fault.times.is_none_or(|times| count.struck < times)
            && fault.every.is_none_or(|every| number.is_multiple_of(every.get()))
            && fault.one_in.is_none_or(|one_in| manners.strikes(one_in, &format!("{lot} {number}")));
        count.struck += u64::from(strikes);
        strikes
    }
}

/// A test's hand on the clock is held back only by a fault that names it.
fn is_for(fault: &Fault, endpoint: Option<Endpoint>, customer: &str) -> bool {
    let is_there = match fault.endpoint {
        Some(wanted) => endpoint == Some(wanted),
        None => endpoint != Some(Endpoint::TestClocks),
    };
    is_there && fault.customer.as_deref().is_none_or(|wanted| wanted == customer)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::super::manners::What;
    use super::*;

    /// The numbers of the requests that are struck, of 60 by two customers in turn.
    fn struck(seed: u64, fault: Fault) -> Vec<usize> {
        let manners = Manners { seed, faults: vec![fault], ..Manners::default() };
        let mut faults = Faults::default();
        let customer = |number: usize| if number.is_multiple_of(2) { "cus_a" } else { "cus_b" };
        let strikes = |number: &usize| {
            let customer = || customer(*number).to_owned();
            faults.strike(&manners, Some(Endpoint::MeterEvents), customer).is_some()
        };
        (0..60).filter(strikes).collect()
    }

    #[test]
    fn every_nth_is_struck_after_those_that_are_spared_and_not_more_often_than_told() {
        let all = Fault::new(What::Cut);
        assert_eq!(struck(1, all.clone()).len(), 60);
        let third = Fault { every: NonZeroU64::new(3), skip: 4, times: Some(3), ..all.clone() };
        assert_eq!(struck(1, third.clone()), [6, 9, 12]);
        let of_one = Fault { customer: Some("cus_b".to_owned()), ..third };
        assert_eq!(struck(1, of_one), [13, 19, 25]);
        let elsewhere = Fault { endpoint: Some(Endpoint::Prices), ..all };
        assert_eq!(struck(1, elsewhere), [0; 0]);
    }

    #[test]
    fn a_seed_always_strikes_the_same_and_another_one_strikes_others() {
        let fault = Fault { one_in: NonZeroU64::new(4), ..Fault::new(What::Cut) };
        assert_eq!(struck(7, fault.clone()), struck(7, fault.clone()));
        assert_ne!(struck(7, fault.clone()), struck(8, fault.clone()));
        let many: usize = (0..20).map(|seed| struck(seed, fault.clone()).len()).sum();
        assert!((200..400).contains(&many), "{many} of 1200 at one in four");
    }

    #[test]
    fn by_seed_a_customers_requests_are_struck_whatever_others_ask_in_between() {
        let fault = Fault { one_in: NonZeroU64::new(3), ..Fault::new(What::Cut) };
        let manners = Manners { faults: vec![fault], ..Manners::default() };
        let of_a = |between: usize| {
            let mut faults = Faults::default();
            let mut ask = |customer: &str| {
                faults.strike(&manners, Some(Endpoint::Previews), || customer.to_owned()).is_some()
            };
            let strikes = |number: usize| {
                (0..number % (between + 1)).for_each(|_| {
                    ask("cus_b");
                });
                ask("cus_a")
            };
            (0..40).map(strikes).collect::<Vec<_>>()
        };
        assert_eq!(of_a(0), of_a(3));
    }
}
