//! Stripe's answers → our own types, tolerantly: what we do not need may be missing, new or of another shape.
//!
//! In: the bytes of an answer. Out: domain values, or a [`Problem`] that names the path of the field. Numbers are read
//! from their text and never become binary floats. What we need and cannot read is never 0, never a default and never
//! left out.

pub(super) mod invoice;
pub(super) mod meter;
pub(super) mod price;
pub(super) mod subscription;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::domain::money::Currency;
use crate::domain::number::{NumberError, Quantity, UnitAmount};
use crate::domain::period::Window;

/// A foreign value in a message is cut here.
const VALUE_CHARS: usize = 60;

/// Why an answer is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// An HTML page, a body that was cut, an empty one: the next attempt may bring another.
    NotJson(String),
    /// JSON whose field means nothing to us: it would be the same next time.
    Field { path: String, what: String },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotJson(what) => out.write_str(what),
            Self::Field { path, what } => write!(out, "{path} {what}"),
        }
    }
}

/// One JSON value of an answer, with the path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    path: String,
    /// `None`: absent or null, which Stripe does not tell apart either.
    raw: Option<&'a RawValue>,
}

/// The fields of an object.
pub(super) struct Fields<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> Node<'a> {
    /// Checks the syntax of the whole body once.
    pub(super) fn root(body: &'a [u8]) -> Result<Self, Problem> {
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| {
            let seen =
                if body.is_empty() { "it is empty".to_owned() } else { format!("it is no JSON ({error})") };
            Problem::NotJson(seen)
        })?;
        Ok(Self { path: String::new(), raw: Some(raw) })
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw.is_none()
    }

    pub(super) fn problem(&self, what: impl Into<String>) -> Problem {
        let path = if self.path.is_empty() { "the answer" } else { &self.path };
        Problem::Field { path: path.to_owned(), what: what.into() }
    }

    pub(super) fn fields(&self) -> Result<Fields<'a>, Problem> {
        let raw = self.needed()?;
        let fields = serde_json::from_str(raw.get()).map_err(|_| self.not("an object"))?;
        Ok(Fields { path: self.path.clone(), fields })
    }

    /// The fields of an object that need not be there.
    pub(super) fn fields_if_any(&self) -> Result<Fields<'a>, Problem> {
        if self.is_null() {
            return Ok(Fields { path: self.path.clone(), fields: BTreeMap::new() });
        }
        self.fields()
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, Problem> {
        let raw = self.needed()?;
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| self.not("a list"))?;
        let node = |(index, raw)| Self { path: format!("{}[{index}]", self.path), raw: present(raw) };
        Ok(items.into_iter().enumerate().map(node).collect())
    }

    pub(super) fn text(&self) -> Result<String, Problem> {
        serde_json::from_str(self.needed()?.get()).map_err(|_| self.not("a text"))
    }

    pub(super) fn text_if_any(&self) -> Result<Option<String>, Problem> {
        if self.is_null() { Ok(None) } else { self.text().map(Some) }
    }

    pub(super) fn boolean(&self) -> Result<bool, Problem> {
        serde_json::from_str(self.needed()?.get()).map_err(|_| self.not("true or false"))
    }

    pub(super) fn is_object(&self) -> bool {
        self.raw.is_some_and(|raw| raw.get().starts_with('{'))
    }

    /// The id of an object that may stand here whole (expanded) or as its id alone.
    pub(super) fn id_if_any(&self) -> Result<Option<String>, Problem> {
        match self.raw {
            None => Ok(None),
            Some(raw) if raw.get().starts_with('{') => self.fields()?.get("id").text().map(Some),
            Some(_) => self.text().map(Some),
        }
    }

    /// What is deleted stands there as little more than its id.
    pub(super) fn is_deleted(&self) -> Result<bool, Problem> {
        match self.raw {
            Some(raw) if raw.get().starts_with('{') => {
                let deleted = self.fields()?.get("deleted");
                if deleted.is_null() { Ok(false) } else { deleted.boolean() }
            }
            _ => Ok(false),
        }
    }

    pub(super) fn quantity(&self) -> Result<Quantity, Problem> {
        Quantity::parse(&self.number()?).map_err(|error| self.no_number(&error))
    }

    /// A quantity that Stripe keeps in a binary float.
    pub(super) fn float_quantity(&self) -> Result<Quantity, Problem> {
        Quantity::parse_float(&self.number()?).map_err(|error| self.no_number(&error))
    }

    pub(super) fn unit_amount(&self) -> Result<UnitAmount, Problem> {
        UnitAmount::parse(&self.number()?).map_err(|error| self.no_number(&error))
    }

    /// A whole number, however it is written: `1012`, `1012.0`, `"1012"`.
    pub(super) fn integer(&self) -> Result<i64, Problem> {
        let text = self.number()?;
        if let Ok(whole) = text.parse() {
            return Ok(whole);
        }
        match Quantity::parse(&text).map_err(|error| self.no_number(&error))?.floor_and_fraction() {
            (whole, 0) => Ok(whole),
            _ => Err(self.not("a whole number")),
        }
    }

    /// Seconds since 1970.
    pub(super) fn timestamp(&self) -> Result<Timestamp, Problem> {
        Timestamp::from_second(self.integer()?).map_err(|_| self.not("an instant"))
    }

    pub(super) fn currency(&self) -> Result<Currency, Problem> {
        Currency::parse(&self.text()?).map_err(|_| self.not("a currency that we know"))
    }

    /// The text of a number, quoted or not.
    fn number(&self) -> Result<String, Problem> {
        let raw = self.needed()?.get();
        match raw.as_bytes().first() {
            Some(b'"') => self.text(),
            Some(b'-' | b'0'..=b'9') => Ok(raw.to_owned()),
            _ => Err(self.not("a number")),
        }
    }

    fn no_number(&self, error: &NumberError) -> Problem {
        self.problem(format!("{error}: `{}`", self.excerpt()))
    }

    pub(super) fn not(&self, expected: &str) -> Problem {
        self.problem(format!("is not {expected}: `{}`", self.excerpt()))
    }

    fn needed(&self) -> Result<&'a RawValue, Problem> {
        self.raw.ok_or_else(|| self.problem("is missing"))
    }

    fn excerpt(&self) -> String {
        self.raw.map_or("", RawValue::get).chars().take(VALUE_CHARS).collect()
    }
}

impl<'a> Fields<'a> {
    /// Absent and null fields are nodes too, so that an error can name them.
    pub(super) fn get(&self, name: &str) -> Node<'a> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Node { path, raw: self.fields.get(name).and_then(|raw| present(raw)) }
    }

    /// `[start, end)` from two fields of instants.
    pub(super) fn window(&self, start: &str, end: &str) -> Result<Window, Problem> {
        Ok(Window { start: self.get(start).timestamp()?, end: self.get(end).timestamp()? })
    }

    /// The first of these fields that is there; the last one if none is.
    pub(super) fn first_of(&self, names: [&str; 2]) -> Node<'a> {
        let [first, last] = names.map(|name| self.get(name));
        if first.is_null() { last } else { first }
    }
}

fn present(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

/// A page of a list.
pub(super) struct Page<'a> {
    pub data: Vec<Node<'a>>,
    pub has_more: bool,
}

pub(super) fn page<'a>(list: &Node<'a>) -> Result<Page<'a>, Problem> {
    let fields = list.fields()?;
    Ok(Page { data: fields.get("data").list()?, has_more: fields.get("has_more").boolean()? })
}

/// What an answer says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The code, or the type where there is no code. Empty: this is no error of Stripe's own.
    pub code: String,
    pub message: String,
}

/// Never fails: an answer that is no error object of Stripe's (a proxy's page) has neither code nor message.
pub(super) fn error_body(body: &[u8]) -> ErrorBody {
    let read = || -> Result<ErrorBody, Problem> {
        let error = Node::root(body)?.fields()?.get("error").fields()?;
        let text = |name: &str| error.get(name).text_if_any().map(Option::unwrap_or_default);
        let (kind, code) = (text("type")?, text("code")?);
        // The type says more than the code here: the key was used for something else.
        let code = if code.is_empty() || kind == IDEMPOTENCY_ERROR { kind } else { code };
        Ok(ErrorBody { code, message: text("message")? })
    };
    read().unwrap_or_default()
}

pub(super) const IDEMPOTENCY_ERROR: &str = "idempotency_error";

#[cfg(test)]
mod tests {
    use super::*;

    fn field(json: &str) -> Node<'_> {
        Node::root(json.as_bytes()).unwrap().fields().unwrap().get("x")
    }

    #[test]
    fn numbers_are_read_from_their_text() {
        for (json, expected) in [
            (r#"{"x": 130}"#, "130"),
            (r#"{"x": 130.0}"#, "130"),
            (r#"{"x": 1.3e2}"#, "130"),
            (r#"{"x": 1E+2}"#, "100"),
            (r#"{"x": 1e-7}"#, "0.0000001"),
            (r#"{"x": "0.100000000000"}"#, "0.1"),
            (r#"{"x": 9007199254740993}"#, "9007199254740993"),
            (r#"{"x": -3}"#, "-3"),
        ] {
            let read = field(json).quantity();
            if json.contains("9007199254740993") {
                // Beyond the ledger's bound: refused, and not rounded to …992 as a float would be.
                assert!(read.unwrap_err().to_string().contains("9007199254740993"));
            } else {
                assert_eq!(read.unwrap().to_string(), expected, "{json}");
            }
        }
        assert_eq!(field(r#"{"x": 9007199254740993}"#).integer().unwrap(), 9_007_199_254_740_993);
        assert_eq!(field(r#"{"x": 1012.0}"#).integer().unwrap(), 1012);
    }

    #[test]
    fn what_is_no_number_is_an_error_with_its_path() {
        for json in [
            r#"{"x": 1e-13}"#,
            r#"{"x": 0.1234567890123}"#,
            r#"{"x": "12 units"}"#,
            r#"{"x": ""}"#,
            r#"{"x": true}"#,
            r#"{"x": [1]}"#,
            r#"{"x": null}"#,
            "{}",
        ] {
            let problem = field(json).quantity().unwrap_err().to_string();
            assert!(problem.starts_with("x "), "{json}: {problem}");
        }
        assert!(field(r#"{"x": 1.5}"#).integer().is_err());
    }

    #[test]
    fn a_body_that_is_no_json_is_told_from_one_that_we_do_not_understand() {
        for body in ["", "<html>502</html>", r#"{"x": 1"#, "\u{feff}{}"] {
            assert!(matches!(Node::root(body.as_bytes()), Err(Problem::NotJson(_))), "{body}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        drop(Node::root(deep.as_bytes()));
        assert!(matches!(Node::root(b"[1]").unwrap().fields(), Err(Problem::Field { .. })));
    }

    #[test]
    fn an_object_may_stand_whole_or_as_its_id() {
        assert_eq!(field(r#"{"x": "cus_1"}"#).id_if_any().unwrap().unwrap(), "cus_1");
        assert_eq!(field(r#"{"x": {"id": "cus_1", "new": []}}"#).id_if_any().unwrap().unwrap(), "cus_1");
        assert_eq!(field(r#"{"x": null}"#).id_if_any().unwrap(), None);
        assert_eq!(
            field(r#"{"x": {"object": "customer"}}"#).id_if_any().unwrap_err().to_string(),
            "x.id is missing"
        );
    }

    #[test]
    fn an_error_is_read_if_it_is_one_of_stripes() {
        let read = |body: &str| error_body(body.as_bytes());
        let code = |body: &str| read(body).code;
        assert_eq!(
            code(r#"{"error": {"type": "invalid_request_error", "code": "resource_missing"}}"#),
            "resource_missing"
        );
        assert_eq!(
            code(r#"{"error": {"type": "invalid_request_error", "message": "x"}}"#),
            "invalid_request_error"
        );
        assert_eq!(code(r#"{"error": {"type": "idempotency_error", "code": "x"}}"#), IDEMPOTENCY_ERROR);
        for body in ["<html>", r#"{"error": "x"}"#, r#"{"message": "no Route matched"}"#, ""] {
            assert_eq!(read(body), ErrorBody::default());
        }
    }
}
