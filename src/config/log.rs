//! The settings about logs: what is told, and as what.
//!
//! In: two texts. Out: a checked [`LogConfig`]. Whether the filter can be read is for the logging to say.

/// What `log` and `log_format` say.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A level or a filter.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One object on each line, for a collector.
    Json,
}

impl LogFormat {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}
