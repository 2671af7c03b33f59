//! A tree of values with their places, the same for TOML and for JSON.
//!
//! In: text. Out: tables, lists, texts and numbers; each number keeps the digits that were written, and each value of a
//! TOML file knows where it stands. Never makes a binary float, and never lets one of two equal keys win.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// Nothing that we read is as deep; it bounds the work on hostile text.
const DEPTH_MAX: usize = 16;

#[derive(Debug)]
pub struct Node {
    pub value: Value,
    /// The byte where it begins; of an entry of a table, its key.
    at: usize,
}

#[derive(Debug)]
pub enum Value {
    Null,
    Boolean(bool),
    /// As it was written, in decimal digits.
    Number(String),
    /// TOML's own decimals are binary floats by its specification.
    BinaryFloat(String),
    /// A date of TOML.
    Date,
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Value {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "true or false",
            Self::Number(_) | Self::BinaryFloat(_) => "a number",
            Self::Date => "a date",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// A whole TOML file; the error is that of the TOML reader, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        Ok(Self { at: table.span().start, value: toml_table(table.get_ref()) })
    }

    /// One JSON value.
    pub fn from_json(raw: &RawValue) -> Result<Self, String> {
        json(raw.get(), 0).map(|value| Self { value, at: 0 })
    }

    /// A table of values that were read apart.
    pub fn table(entries: Vec<(String, Self)>) -> Self {
        Self { value: Value::Table(entries), at: 0 }
    }

    /// The byte where the value of a path stands, or as much of the path as is there.
    pub fn place(&self, path: &str) -> usize {
        let path = path.strip_prefix('.').unwrap_or(path);
        let deeper = match &self.value {
            Value::Table(entries) => {
                let inside = |(key, node): &'_ (String, Node)| {
                    let rest = path.strip_prefix(key.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then(|| (key.len(), node.place(rest)))
                };
                entries.iter().filter_map(inside).max_by_key(|(length, _)| *length).map(|(_, at)| at)
            }
            Value::List(nodes) => path.strip_prefix('[').and_then(|path| {
                let (index, rest) = path.split_once(']')?;
                nodes.get(index.parse::<usize>().ok()?).map(|node| node.place(rest))
            }),
            _ => None,
        };
        deeper.unwrap_or(self.at)
    }
}

fn toml_table(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), Node { value: toml_value(value.get_ref()), at: key.span().start })
    };
    Value::Table(table.iter().map(entry).collect())
}

fn toml_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Value::Number(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            Value::Number(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
        }
        DeValue::Float(number) => Value::BinaryFloat(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(values) => {
            let node = |one: &toml::Spanned<DeValue<'_>>| Node {
                value: toml_value(one.get_ref()),
                at: one.span().start,
            };
            Value::List(values.iter().map(node).collect())
        }
        DeValue::Table(table) => toml_table(table),
    }
}

fn json(text: &str, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err("is nested too deeply".to_owned());
    }
    let node = |raw: &RawValue| json(raw.get(), depth + 1).map(|value| Node { value, at: 0 });
    let broken = |error: serde_json::Error| error.to_string();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let entries = serde_json::from_str::<Entries<'_>>(text).map_err(broken)?.once_each()?;
            let entry = |(key, raw): (String, &RawValue)| node(raw).map(|node| (key, node));
            Value::Table(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        Some(b'[') => {
            let raws: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
            Value::List(raws.into_iter().map(node).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(broken)?),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(text.to_owned()),
    })
}

/// The entries of a JSON object in their order.
pub struct Entries<'a> {
    pub all: Vec<(String, &'a RawValue)>,
    /// The first key that stands twice.
    doubled: Option<String>,
}

impl<'a> Entries<'a> {
    /// A key that stands twice is an error.
    pub fn once_each(self) -> Result<Vec<(String, &'a RawValue)>, String> {
        match self.doubled {
            None => Ok(self.all),
            Some(key) => {
                let key: String = key.chars().take(64).collect();
                Err(format!("the field `{key}` stands twice"))
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Entries { all: Vec::new(), doubled: None };
                let mut seen = std::collections::BTreeSet::new();
                while let Some((key, raw)) = map.next_entry::<String, &RawValue>()? {
                    if !seen.insert(key.clone()) {
                        entries.doubled.get_or_insert_with(|| key.clone());
                    }
                    entries.all.push((key, raw));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_place_or_to_as_much_of_it_as_is_there() {
        let text = "a = 1\n[[b]]\n\"c.d\" = [10, { e = 2 }]\n";
        let tree = Node::from_toml(text).unwrap();
        let at = |path: &str| &text[tree.place(path)..];
        assert!(at("b[0].c.d[1].e").starts_with("e = 2"));
        assert!(at("b[0].c.d[0]").starts_with("10,"));
        assert!(at("b[0].c.d[7].x").starts_with("\"c.d\""));
        assert!(at("a").starts_with("a = 1"));
    }

    #[test]
    fn json_nested_without_end_is_refused() {
        let text = "[".repeat(100_000) + &"]".repeat(100_000);
        let raw: Result<&RawValue, _> = serde_json::from_str(&text);
        assert!(raw.map_err(|error| error.to_string()).and_then(Node::from_json).is_err());
    }
}
