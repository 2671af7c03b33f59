//! The fields of a table, read by name.
//!
//! In: a node of the tree and its path. Out: values of the kind that is wanted, or a fault with the path and what to write
//! instead. A null is no value. Never accepts a key that it does not know: a misspelt price must not be a free one.

use crate::domain::catalog::CatalogFault;
use crate::domain::number::{NumberError, Quantity};
use crate::ingest::did_you_mean;
use crate::ingest::node::{Node, Value};

/// How much of somebody's text a message repeats.
const SHOWN_CHARS: usize = 64;

pub struct Fields<'a> {
    path: String,
    entries: &'a [(String, Node)],
}

impl<'a> Fields<'a> {
    /// The fields of a table with these keys and no other.
    pub fn of(node: &'a Node, path: &str, known: &[&str]) -> Result<Self, CatalogFault> {
        let Value::Table(entries) = &node.value else {
            return Err(CatalogFault::new(path, format!("must be a table, not {}", node.value.kind())));
        };
        let fields = Self { path: path.to_owned(), entries };
        match entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(fields),
            Some((key, _)) => {
                let key = shown(key);
                let hint = did_you_mean::hint(&key, known.iter().copied());
                Err(fields.fault(&key, format!("the key `{key}` is unknown: {hint}")))
            }
        }
    }

    /// The path of a field.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn fault(&self, key: &str, problem: impl Into<String>) -> CatalogFault {
        CatalogFault::new(self.path(key), problem)
    }

    /// A fault of the whole table.
    pub fn fault_here(&self, problem: impl Into<String>) -> CatalogFault {
        CatalogFault::new(&self.path, problem)
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, CatalogFault> {
        self.get(key)
            .map(|node| match &node.value {
                Value::Text(text) => Ok(text.as_str()),
                other => Err(self.wrong_kind(key, other, "text in quotes")),
            })
            .transpose()
    }

    pub fn required_text(&self, key: &str) -> Result<&'a str, CatalogFault> {
        self.text(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// Text with 1 to 255 bytes and no control character.
    pub fn identifier(&self, key: &str) -> Result<Option<String>, CatalogFault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(self.fault(key, "must have 1 to 255 bytes and no control characters"));
        }
        Ok(Some(text.to_owned()))
    }

    pub fn required_identifier(&self, key: &str) -> Result<String, CatalogFault> {
        self.identifier(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// False where nothing is said.
    pub fn boolean(&self, key: &str) -> Result<bool, CatalogFault> {
        self.get(key).map_or(Ok(false), |node| match &node.value {
            Value::Boolean(value) => Ok(*value),
            other => Err(self.wrong_kind(key, other, "true or false, without quotes")),
        })
    }

    pub fn integer(&self, key: &str) -> Result<Option<i64>, CatalogFault> {
        self.get(key)
            .map(|node| match &node.value {
                Value::Number(text) => text.parse().map_err(|_| {
                    let text = shown(text);
                    self.fault(key, format!("`{text}` is not a whole number that fits 64 bits"))
                }),
                Value::BinaryFloat(text) => {
                    let problem =
                        format!("`{}` is no integer: write a whole number without a point", shown(text));
                    Err(self.fault(key, problem))
                }
                other => Err(self.wrong_kind(key, other, "a whole number, without quotes")),
            })
            .transpose()
    }

    /// A number as it was written, bare or in quotes.
    pub fn number_text(&self, key: &str) -> Result<Option<&'a str>, CatalogFault> {
        self.get(key)
            .map(|node| match &node.value {
                Value::Number(text) | Value::Text(text) => Ok(text.as_str()),
                other => Err(self.wrong_kind(key, other, "an integer, or a decimal number in quotes")),
            })
            .transpose()
    }

    /// A quantity that is not negative.
    pub fn quantity(&self, key: &str) -> Result<Option<Quantity>, CatalogFault> {
        let Some(text) = self.number_text(key)? else { return Ok(None) };
        match Quantity::parse(text) {
            Ok(quantity) if quantity.is_negative() => Err(self.fault(key, "must not be negative")),
            Ok(quantity) => Ok(Some(quantity)),
            Err(error) => Err(self.no_number(key, text, &error)),
        }
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, CatalogFault> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*meant));
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let meant = did_you_mean::closest(text, words.iter().map(|(word, _)| *word));
        let hint = meant.map(|meant| format!(": did you mean \"{meant}\"?")).unwrap_or_default();
        let problem = format!("`{}` is none of {}{hint}", shown(text), known.join(", "));
        Err(self.fault(key, problem))
    }

    /// The elements of a list with their paths; none where nothing is said.
    pub fn list(&self, key: &str) -> Result<Vec<(&'a Node, String)>, CatalogFault> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(nodes) = &node.value else {
            return Err(self.wrong_kind(key, &node.value, "a list"));
        };
        Ok((0..)
            .zip(nodes)
            .map(|(index, node): (usize, _)| (node, format!("{}[{index}]", self.path(key))))
            .collect())
    }

    pub fn no_number(&self, key: &str, text: &str, error: &NumberError) -> CatalogFault {
        let hint = match error {
            NumberError::NotDecimal => ": write digits with a point, such as 0.05",
            NumberError::TooManyPlaces => ": Stripe takes no more",
            NumberError::Empty | NumberError::TooLarge | NumberError::Overflow => "",
        };
        self.fault(key, format!("`{}` {error}{hint}", shown(text)))
    }

    fn wrong_kind(&self, key: &str, found: &Value, wanted: &str) -> CatalogFault {
        match found {
            Value::BinaryFloat(text) => {
                let text = shown(text);
                let problem = format!(
                    "`{text}` is a binary float in TOML and could lose digits; it must be {wanted}: if it is a decimal, \
                     write \"{text}\""
                );
                self.fault(key, problem)
            }
            other => self.fault(key, format!("must be {wanted}, not {}", other.kind())),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
