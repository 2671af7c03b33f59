//! The places that settings come from, as layers for figment, and what is said of a wrong value.
//!
//! In: a path, or texts by key. Out: a figment provider each, and a [`ConfigError`] that names the key and its place.
//! Never shows a value: it may be a password in the wrong place.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use crate::config::{ConfigError, keys};

/// The file that is read where no other is named.
const FILE: &str = "billrecon.toml";

/// More than anybody would write; a larger file is no configuration.
const MOST_BYTES: u64 = 1024 * 1024;

pub const DEFAULTS: &str = "default";
pub const ENVIRONMENT: &str = "the environment";
pub const FLAGS: &str = "the command line";

/// The config file as a layer.
pub struct ConfigFile {
    pub path: String,
    pub folder: PathBuf,
    values: Dict,
}

impl ConfigFile {
    /// A file named by flag must be there; `billrecon.toml` of the current folder may be absent.
    pub fn find(named: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        let path = named.unwrap_or(Path::new(FILE));
        let file = path.display().to_string();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ConfigError::Unreadable { file, cause }),
        };
        let values = toml::from_str(&text).map_err(|error| ConfigError::Toml {
            file: file.clone(),
            problem: toml_problem(&text, &error),
        })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Some(Self { path: file, folder, values }))
    }

    /// A key that nobody reads is a setting that somebody believes in.
    pub fn require_known_keys(&self) -> Result<(), ConfigError> {
        for path in paths(&self.values) {
            let is_table =
                |key: &keys::Key| key.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'));
            let is_known =
                keys::find(&path).is_some() || keys::is_open(&path) || keys::KEYS.iter().any(is_table);
            if !is_known {
                let (origin, problem) = (self.path.clone(), keys::unknown(&path));
                return Err(ConfigError::Key { origin, key: path, problem });
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MOST_BYTES {
        return Err(std::io::Error::other("it is larger than 1 MiB, which no configuration is"));
    }
    Ok(text)
}

/// The dotted paths of all values that are no tables, and of empty tables.
pub fn paths(values: &Dict) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in values {
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => {
                found.extend(paths(inner).into_iter().map(|path| format!("{key}.{path}")));
            }
            _ => found.push(key.clone()),
        }
    }
    found
}

impl Provider for ConfigFile {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.path.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

/// Values from one place; a dotted key stands for a key in a table.
pub struct Layer {
    name: &'static str,
    values: Dict,
}

impl Layer {
    pub fn new(name: &'static str, given: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let mut values = Dict::new();
        for (key, value) in given {
            put(&mut values, key, value);
        }
        Self { name, values }
    }
}

fn put(values: &mut Dict, key: &str, value: Value) {
    let Some((table, rest)) = key.split_once('.') else {
        values.insert(key.to_owned(), value);
        return;
    };
    let inner = values.entry(table.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = inner {
        put(inner, rest, value);
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

/// Says which key is wrong and where it stands.
pub fn wrong_value(error: &figment::Error) -> ConfigError {
    use figment::error::Kind;
    let problem = match &error.kind {
        Kind::InvalidType(_, expected) => format!("has the wrong type; expected {expected}"),
        Kind::InvalidValue(_, expected) => format!("has a wrong value; expected {expected}"),
        Kind::UnknownField(_, known) => format!("is no key; known are: {}", known.join(", ")),
        Kind::MissingField(name) => format!("lacks the key `{name}`"),
        _ => "cannot be understood".to_owned(),
    };
    let origin = error.metadata.as_ref().map_or("configuration", |found| found.name.as_ref()).to_owned();
    let key = if error.path.is_empty() { "it".to_owned() } else { error.path.join(".") };
    ConfigError::Key { origin, key, problem }
}

/// What is wrong with TOML, with its place and without its text.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.as_bytes().get(..span.start)).unwrap_or_default();
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    format!("line {line}: {}", error.message())
}
