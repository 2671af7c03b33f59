//! The words of the page.
//!
//! In: nothing. Out: a list of words with what they mean here.

use maud::{Markup, html};

const WORDS: [(&str, &str); 20] = [
    ("tenant", "a customer of ours; it has at most one customer and one live subscription at Stripe"),
    ("meter", "what is measured"),
    ("usage record", "one row of the usage ledger"),
    (
        "billing window",
        "the time, its start included and its end not, in which one tenant's usage is billed together",
    ),
    ("billing period", "all windows whose last month starts in it"),
    ("close", "what this tool does to a period, once; Stripe finalizes an invoice"),
    ("ledger", "our own record of all usage; it is the truth that Stripe is held against"),
    ("free quota", "units that cost nothing in a window"),
    ("overage", "units used beyond the free quota"),
    ("price in force", "what Stripe charges the tenant now; nothing while the price is in shadow"),
    ("candidate price", "the price that is to be judged"),
    ("push", "sending usage to Stripe"),
    ("difference", "one named disagreement between ledger and Stripe, with its class and cause"),
    ("matched", "ledger and Stripe agree, or differ within the tolerances"),
    ("incomplete", "Stripe's answer could not be read; it is taken neither for 0 nor for a match"),
    ("out of scope", "what is on the invoice and is no usage: base fees, prorations, one-off items"),
    ("parked", "set aside because its state is not safe to act on; nothing of it is sent or closed"),
    ("unbillable", "usage that can no longer be sent to Stripe"),
    ("provisional", "of an open period: the figures can still change, and there is no verdict"),
    ("verdict", "GO, REVIEW, NO_GO or INSUFFICIENT_DATA, by the rules of a policy file"),
];

pub fn words() -> Markup {
    html! { dl.words { @for (word, meaning) in WORDS { div { dt { (word) } dd { (meaning) } } } } }
}
