//! The policy file's text.
//!
//! In: a path. Out: its name and content. Never looks into it: the names in it are those of a catalog, which lies in the
//! database.

use std::path::Path;

use crate::config::ConfigError;

/// What somebody wrote, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    pub file: String,
    pub text: String,
}

impl PolicyText {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { file, text }),
            Err(cause) => Err(ConfigError::Unreadable { file, cause }),
        }
    }
}
