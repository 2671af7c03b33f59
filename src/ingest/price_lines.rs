//! Prices with quantities from NDJSON: one question a line.
//!
//! In: lines `{"id","currency","price","quantity"}`, the price as Stripe's API takes or returns it. Out: one call per line
//! with its id and either what to rate or the path of the fault. Every line gets an answer, whatever its bytes. A price by
//! itself is read in the same way.

use std::io::Read;

use serde_json::value::RawValue;

use crate::domain::catalog::CatalogFault;
use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::price::Price;
use crate::ingest::fields::Fields;
use crate::ingest::node::{Entries, Node};
use crate::ingest::text_lines::{self, Line};
use crate::ingest::{IngestError, did_you_mean, price};

const LINE: [&str; 4] = ["id", "currency", "price", "quantity"];

/// What else a Price object of Stripe's API holds, or the request that makes one. It does not price, but for a currency that must be the line's and an
/// amount that the customer chooses.
const BESIDES_PRICING: [&str; 17] = [
    "id",
    "object",
    "active",
    "created",
    "currency",
    "currency_options",
    "custom_unit_amount",
    "livemode",
    "lookup_key",
    "metadata",
    "nickname",
    "product",
    "product_data",
    "recurring",
    "tax_behavior",
    "transfer_lookup_key",
    "type",
];

/// One line: what it asks, or what is wrong with it.
pub struct Asked<'a> {
    /// JSON as it was written, or `null`.
    pub id: &'a str,
    pub request: Result<PriceRequest, String>,
}

#[derive(Debug)]
pub struct PriceRequest {
    pub price: Price,
    pub currency: Currency,
    pub quantity: Quantity,
}

/// `line` also hears whether more lines were read already; it answers whether to go on.
pub fn read<R: Read>(
    input: R,
    file: &str,
    mut line: impl FnMut(Asked<'_>, bool) -> bool,
) -> Result<(), IngestError> {
    text_lines::read(input, file, |_, text, more| {
        let Line::Text(bytes) = text else {
            let problem = "the line is longer than 1 MiB".to_owned();
            return line(Asked { id: "null", request: Err(problem) }, more);
        };
        match object(bytes) {
            Ok(entries) => {
                let id = id(&entries).unwrap_or("null");
                line(Asked { id, request: request(entries).map_err(|fault| fault.to_string()) }, more)
            }
            Err(problem) => line(Asked { id: "null", request: Err(problem) }, more),
        }
    })
}

/// One Price object by itself, and the currency that it names.
pub fn read_price(text: &str, file: &str) -> Result<(Price, Option<Currency>), IngestError> {
    let failed = |problem: String| IngestError::Toml { file: file.to_owned(), problem };
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| failed(format!("is no JSON object: {error}")))?;
    let node = Node::from_json(raw).map_err(failed)?;
    let price = Fields::of(&node, "price", &[&price::PRICING[..], &BESIDES_PRICING].concat());
    price.and_then(|price| price_of(&price)).map_err(|fault| failed(fault.to_string()))
}

/// Of two ids neither is the line's.
fn id<'a>(entries: &Entries<'a>) -> Option<&'a str> {
    let mut ids = entries.all.iter().filter(|(key, _)| key == "id").map(|(_, id)| id.get());
    ids.next().filter(|_| ids.next().is_none())
}

fn object(bytes: &[u8]) -> Result<Entries<'_>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8".to_owned())?;
    serde_json::from_str(text).map_err(|error| format!("the line is no JSON object: {error}"))
}

fn request(entries: Entries<'_>) -> Result<PriceRequest, CatalogFault> {
    let entries = entries.once_each().map_err(|problem| CatalogFault::new("the line", problem))?;
    if let Some((key, _)) = entries.iter().find(|(key, _)| !LINE.contains(&key.as_str())) {
        let key: String = key.chars().take(64).collect();
        let problem = format!("the key `{key}` is unknown: {}", did_you_mean::hint(&key, LINE));
        return Err(CatalogFault::new(key, problem));
    }
    let node = |name: &str| -> Result<Option<Node>, CatalogFault> {
        let raw = entries.iter().find(|(key, _)| key == name).map(|(_, raw)| raw);
        raw.map(|raw| Node::from_json(raw).map_err(|problem| CatalogFault::new(name, problem))).transpose()
    };
    let line = Node::table(
        ["currency", "price", "quantity"]
            .into_iter()
            .filter_map(|name| node(name).map(|node| node.map(|node| (name.to_owned(), node))).transpose())
            .collect::<Result<_, _>>()?,
    );
    let fields = Fields::of(&line, "", &LINE)?;
    let missing = |name: &str| fields.fault(name, "is missing");
    let price = fields.get("price").ok_or_else(|| missing("price"))?;
    let price = Fields::of(price, "price", &[&price::PRICING[..], &BESIDES_PRICING].concat())?;
    let (own, (rated, of_price)) = (currency(&fields)?, price_of(&price)?);
    if let (Some(own), Some(of_price)) = (own, of_price)
        && own != of_price
    {
        return Err(price.fault("currency", format!("is {of_price}, but the line's currency is {own}")));
    }
    let text = fields.number_text("quantity")?.ok_or_else(|| missing("quantity"))?;
    Ok(PriceRequest {
        currency: own.or(of_price).ok_or_else(|| missing("currency"))?,
        price: rated,
        quantity: Quantity::parse(text).map_err(|error| fields.no_number("quantity", text, &error))?,
    })
}

fn price_of(price: &Fields<'_>) -> Result<(Price, Option<Currency>), CatalogFault> {
    if price.get("custom_unit_amount").is_some() {
        let problem = "must be null: an amount that the customer chooses cannot be rated";
        return Err(price.fault("custom_unit_amount", problem));
    }
    Ok((price::read(price)?, currency(price)?))
}

fn currency(fields: &Fields<'_>) -> Result<Option<Currency>, CatalogFault> {
    let parsed = |text| Currency::parse(text).map_err(|error| fields.fault("currency", error.to_string()));
    fields.text("currency")?.map(parsed).transpose()
}
