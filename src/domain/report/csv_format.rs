//! How the CSV files of a run are written: for programs, or for a spreadsheet of some country.
//!
//! In: flags, or what a manifest says. Out: a mark at the start of each file or none, and the character between cells.
//! The line ends, the quotes and the decimal point are always the same.

use serde::{Deserialize, Serialize};

/// The default is RFC 4180 in UTF-8 without a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CsvFormat {
    /// Excel takes a file for UTF-8 only with a byte order mark.
    pub bom: bool,
    pub delimiter: Delimiter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    #[default]
    Comma,
    Semicolon,
    Tab,
    Pipe,
}

impl CsvFormat {
    pub const BOM: &str = "\u{feff}";
}

impl Delimiter {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "," => Ok(Self::Comma),
            ";" => Ok(Self::Semicolon),
            "\t" | "\\t" | "tab" => Ok(Self::Tab),
            "|" => Ok(Self::Pipe),
            _ => Err("write a comma, a semicolon, the word tab or a vertical bar, in quotes".to_owned()),
        }
    }

    pub fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Delimiter> for String {
    fn from(one: Delimiter) -> Self {
        char::from(one.byte()).to_string()
    }
}
