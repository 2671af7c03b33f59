//! Requests as Stripe takes them: form-encoded parameters with brackets for what is nested.
//!
//! In: a query string or a body. Out: [`Params`], read by name and type. A parameter that nobody knows, a wrong type or a
//! missing value is an error that names the parameter as Stripe does, such as `recurring[meter]`.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;

use super::decimal;
use super::error::ApiError;
use super::records::Metadata;

const DEPTH_MAX: usize = 8;
/// The end of the year 2999: later instants are typing errors.
const INSTANT_MAX: i64 = 32_503_680_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Map(BTreeMap<String, Node>),
}

#[derive(Clone, Debug, Default)]
pub struct Params {
    /// The name of the parameter that holds these, empty at the top.
    prefix: String,
    map: BTreeMap<String, Node>,
}

impl Params {
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut map = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let path =
                path_of(&name).ok_or_else(|| ApiError::invalid(format!("Invalid parameter: {name}")))?;
            insert(&mut map, &path, value).ok_or_else(|| {
                ApiError::invalid(format!("Invalid request: `{name}` is given as text and as a hash"))
            })?;
        }
        Ok(Self { prefix: String::new(), map })
    }

    /// Refuses every parameter that is not in the list; `expand` is always known.
    pub fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let stranger = self.map.keys().find(|name| *name != "expand" && !known.contains(&name.as_str()));
        stranger.map_or(Ok(()), |name| {
            let name = self.full(name);
            let message = format!("Received unknown parameter: {name}");
            Err(ApiError::parameter("parameter_unknown", name, message))
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// An empty value counts as not given.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.map.get(name) {
            Some(Node::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(Node::Map(_)) => {
                Err(ApiError::about(self.full(name), format!("Invalid string: {}", self.full(name))))
            }
            _ => Ok(None),
        }
    }

    pub fn owned(&self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.map(str::to_owned))
    }

    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing_parameter(self.full(name)))
    }

    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parsed = |text: &str| {
            text.parse().map_err(|_| {
                let message = format!("Invalid integer: {text}");
                ApiError::parameter("parameter_invalid_integer", self.full(name), message)
            })
        };
        self.text(name)?.map(parsed).transpose()
    }

    pub fn instant(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.integer(name)? {
            Some(instant) if !(0..=INSTANT_MAX).contains(&instant) => {
                let message = format!("Invalid timestamp: {}", self.full(name));
                Err(ApiError::parameter("parameter_invalid_integer", self.full(name), message))
            }
            instant => Ok(instant),
        }
    }

    pub fn required_instant(&self, name: &str) -> Result<i64, ApiError> {
        self.required(name)?;
        self.instant(name)?.ok_or_else(|| ApiError::missing_parameter(self.full(name)))
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let value = self.choice(name, &["true", "false"])?;
        Ok(value.map(|text| text == "true"))
    }

    /// One of some words.
    pub fn choice(&self, name: &str, words: &[&str]) -> Result<Option<&str>, ApiError> {
        match self.text(name)? {
            Some(text) if !words.contains(&text) => {
                let message = format!("Invalid {}: must be one of {}", self.full(name), words.join(", "));
                Err(ApiError::about(self.full(name), message))
            }
            word => Ok(word),
        }
    }

    /// A decimal as its text, checked, without needless zeros.
    pub fn decimal(&self, name: &str) -> Result<Option<BigDecimal>, ApiError> {
        let parsed = |text: &str| {
            decimal::parse(text).ok_or_else(|| {
                let message = format!("Invalid decimal: {text}; at most 12 decimal places");
                ApiError::parameter("parameter_invalid_decimal", self.full(name), message)
            })
        };
        self.text(name)?.map(parsed).transpose()
    }

    /// The parameters below a name; none where it is not given.
    pub fn below(&self, name: &str) -> Result<Self, ApiError> {
        let map = match self.map.get(name) {
            None => BTreeMap::new(),
            Some(Node::Map(map)) => map.clone(),
            Some(Node::Text(text)) if text.is_empty() => BTreeMap::new(),
            Some(Node::Text(_)) => {
                let message = format!("Invalid hash: {}", self.full(name));
                return Err(ApiError::about(self.full(name), message));
            }
        };
        Ok(Self { prefix: self.full(name), map })
    }

    /// The hashes of an array, in its order.
    pub fn hashes(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let array = self.below(name)?;
        array.places().into_iter().map(|place| array.below(&place)).collect()
    }

    /// The texts of an array, in its order.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let array = self.below(name)?;
        let places = array.places().into_iter();
        places.map(|place| array.required(&place).map(str::to_owned)).collect()
    }

    /// A map from text to text, such as `metadata`.
    pub fn map(&self, name: &str) -> Result<Metadata, ApiError> {
        let below = self.below(name)?;
        let mut map = Metadata::new();
        for key in below.map.keys() {
            map.insert(key.clone(), below.text(key)?.unwrap_or_default().to_owned());
        }
        Ok(map)
    }

    /// The name as a client would write it.
    pub fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.prefix) }
    }

    /// The same parameters always give the same text, whatever their order was.
    pub fn canonical(&self) -> String {
        format!("{:?}", self.map)
    }

    fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self.map.keys().cloned().collect();
        places.sort_by_key(|place| place.parse::<u64>().unwrap_or(u64::MAX));
        places
    }
}

/// `a[b][]` gives `a`, `b` and an empty part.
fn path_of(name: &str) -> Option<Vec<String>> {
    let (first, rest) = name.split_once('[').unwrap_or((name, ""));
    let mut path = vec![first.to_owned()];
    if !rest.is_empty() {
        path.extend(rest.strip_suffix(']')?.split("][").map(str::to_owned));
    }
    let is_sound = !first.is_empty() && path.len() <= DEPTH_MAX;
    (is_sound && !path.iter().any(|part| part.contains(['[', ']']))).then_some(path)
}

fn insert(map: &mut BTreeMap<String, Node>, path: &[String], value: String) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let key = if first.is_empty() { next_place(map, rest.first()) } else { first.clone() };
    if rest.is_empty() {
        map.insert(key, Node::Text(value));
        return Some(());
    }
    match map.entry(key).or_insert_with(|| Node::Map(BTreeMap::new())) {
        Node::Map(inner) => insert(inner, rest, value),
        Node::Text(_) => None,
    }
}

/// `a[][x]=1&a[][y]=2&a[][x]=3` holds two hashes: a name that comes again begins the next one.
fn next_place(map: &BTreeMap<String, Node>, inner: Option<&String>) -> String {
    let last = map.keys().filter_map(|place| place.parse::<u64>().ok()).max();
    match (last, inner) {
        (None, _) => "0".to_owned(),
        (Some(last), Some(inner)) => match map.get(&last.to_string()) {
            Some(Node::Map(map)) if !map.contains_key(inner) => last.to_string(),
            _ => (last + 1).to_string(),
        },
        (Some(last), None) => (last + 1).to_string(),
    }
}

fn decoded(text: &str) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).map_err(|_| ApiError::invalid("Invalid percent-encoding"))?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid("Invalid UTF-8 in a parameter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_nest_and_arrays_keep_their_order() {
        let text = "items[0][price]=a&items[10][price]=c&items[2][price]=b&expand[]=x&expand[]=y&name=A+b%21";
        let params = Params::parse(text).unwrap();
        let prices: Vec<String> = params
            .hashes("items")
            .unwrap()
            .iter()
            .map(|item| item.required("price").unwrap().to_owned())
            .collect();
        assert_eq!(prices, ["a", "b", "c"]);
        assert_eq!(params.texts("expand").unwrap(), ["x", "y"]);
        assert_eq!(params.text("name").unwrap(), Some("A b!"));
    }

    #[test]
    fn hashes_without_numbers_begin_anew_where_a_name_comes_again() {
        let params = Params::parse("t[][up_to]=1&t[][unit]=2&t[][up_to]=inf").unwrap();
        let tiers = params.hashes("t").unwrap();
        assert_eq!(tiers.len(), 2);
        assert_eq!(tiers[1].text("up_to").unwrap(), Some("inf"));
    }

    #[test]
    fn what_does_not_nest_is_refused() {
        for text in ["a=1&a[b]=2", "a[b", "[a]=1", "a%2=1", "a=%FF", "a[b]]=1"] {
            assert!(Params::parse(text).is_err(), "{text}");
        }
    }
}
