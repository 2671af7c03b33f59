//! The environment: the only file that reads it.
//!
//! In: the variables of [`keys`](crate::config::keys), `NAME_FILE` for each secret, `NO_COLOR`, `USER`, `LOGNAME`, `TZDIR`. Out: a layer of settings, and
//! secrets. An empty variable counts as not set. Never shows a value: it may be a secret in the wrong place.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::ConfigError;
use crate::config::keys::{DATABASE_URL, KEYS, Key, Kind, SECRETS};
use crate::config::layers::{ENVIRONMENT, Layer};

/// All of our variables begin so.
const OURS: &str = "BILLRECON_";
/// Those of the project's own tests.
const OF_TESTS: &str = "BILLRECON_TEST_";

/// Readable or writable by people who are neither owner nor group, or writable by the group.
const LOOSE: u32 = 0o026;

/// A secret, and where it was found.
pub struct Secret {
    pub text: SecretString,
    pub origin: String,
    pub name: String,
}

/// The settings that variables hold.
pub fn layer() -> Result<Layer, ConfigError> {
    let mut values = Vec::new();
    for key in KEYS.iter().filter(|key| key.kind != Kind::SecretFile) {
        let name = key.variable();
        let text = match variable(&name)? {
            None if name == DATABASE_URL => file_variable(&name)?,
            text => text,
        };
        let Some(text) = text else { continue };
        values.push((key.path, key.value(&text).ok_or_else(|| wrong_variable(&name, key.expectation()))?));
    }
    Ok(Layer::new(ENVIRONMENT, values))
}

/// From the environment, else from the file that the config file names under `key`.
pub fn secret_or_file(
    name: &'static str,
    key: &str,
    file: Option<PathBuf>,
    origin: &str,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(secret) = secret(name)? {
        return Ok(Some(secret));
    }
    let Some(file) = file else { return Ok(None) };
    let text = read_secret(&file, &format!("{origin}: the file that {key} names"))?;
    Ok(Some(Secret { text, origin: origin.to_owned(), name: format!("the file that {key} names") }))
}

/// A secret from the variable or from the file that `NAME_FILE` names; from both it would be a guess.
pub fn secret(name: &'static str) -> Result<Option<Secret>, ConfigError> {
    let origin = ENVIRONMENT.to_owned();
    let file_name = format!("{name}_FILE");
    match (variable(name)?, variable(&file_name)?) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(wrong_variable(name, &format!("and {file_name} are both set; take one away")))
        }
        (Some(text), None) => Ok(Some(Secret { text: text.into(), origin, name: name.to_owned() })),
        (None, Some(path)) => {
            let what = format!("the file that {file_name} names");
            Ok(Some(Secret { text: read_secret(Path::new(&path), &what)?, origin, name: what }))
        }
    }
}

/// Where a secret stands, without it.
pub fn place_of_secret(name: &str) -> Option<String> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|text| !text.is_empty());
    let file_name = format!("{name}_FILE");
    if is_set(name) {
        return Some(name.to_owned());
    }
    is_set(&file_name).then(|| format!("the file that {file_name} names"))
}

/// Variables that begin as ours do and set nothing: most likely misspelt. Kubernetes makes some of its own for a service
/// of our name.
pub fn unknown_variables() -> Vec<String> {
    let known: Vec<String> = KEYS.iter().map(Key::variable).chain(secret_variables()).collect();
    let mut names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    let of_kubernetes = |name: &str| {
        name.starts_with("BILLRECON_SERVICE_")
            || name == "BILLRECON_PORT"
            || name.starts_with("BILLRECON_PORT_")
    };
    names.retain(|name| {
        name.starts_with(OURS) && !name.starts_with(OF_TESTS) && !known.contains(name) && !of_kubernetes(name)
    });
    names.sort();
    names
}

/// The known variable that a name is nearest to.
pub fn nearest_variable(name: &str) -> String {
    let known = KEYS.iter().map(Key::variable).chain(secret_variables());
    known.min_by_key(|one| strsim::damerau_levenshtein(one, name)).unwrap_or_default()
}

fn secret_variables() -> impl Iterator<Item = String> {
    let of_secret = |name: &str| [name.to_owned(), format!("{name}_FILE")];
    SECRETS.iter().map(|one| one.variable).chain([DATABASE_URL]).flat_map(of_secret)
}

/// `what` stands for the path, which is never shown: somebody may have put the secret itself there.
fn read_secret(path: &Path, what: &str) -> Result<SecretString, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { file: what.to_owned(), cause };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & LOOSE != 0 {
        return Err(ConfigError::Mode { file: what.to_owned(), mode });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(text.trim().into())
}

/// The content of the file that `NAME_FILE` names.
fn file_variable(name: &str) -> Result<Option<String>, ConfigError> {
    let file_name = format!("{name}_FILE");
    let Some(path) = variable(&file_name)? else { return Ok(None) };
    let text = read_secret(Path::new(&path), &format!("the file that {file_name} names"))?;
    Ok(Some(text.expose_secret().to_owned()))
}

fn variable(name: &str) -> Result<Option<String>, ConfigError> {
    match std::env::var_os(name).filter(|text| !text.is_empty()).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(wrong_variable(name, "is no UTF-8 text")),
    }
}

fn wrong_variable(name: &str, problem: &str) -> ConfigError {
    ConfigError::Key { origin: ENVIRONMENT.to_owned(), key: name.to_owned(), problem: problem.to_owned() }
}

/// The person at the machine, as far as it says so: who has said something where nobody is named.
pub fn user_name() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(std::env::var_os);
    let mut named = named.filter_map(|name| name.into_string().ok());
    named.find(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Whether the person asked for no colour: no-color.org.
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty())
}

/// The machine's own time zone files, to be compared with ours.
pub fn zone_files() -> PathBuf {
    std::env::var_os("TZDIR")
        .filter(|text| !text.is_empty())
        .map_or("/usr/share/zoneinfo".into(), PathBuf::from)
}
