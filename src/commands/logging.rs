//! Logging: what the program tells of its work, on stderr.
//!
//! In: a filter and a format. Out: lines for a person, in colour only on a terminal, or one JSON object on each line, with the
//! period, the run and the tenant that it concerns as fields of their own. Never a secret: what libraries log of addresses and
//! parameters is turned off here.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{FmtSpan, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::commands::print;
use crate::commands::stages::Stages;
use crate::config::{ConfigError, LogConfig, LogFormat, no_color};

/// Libraries that would tell secrets or each step of their own.
const QUIET: [&str; 4] = [
    // It warns of URL parameters that it does not know, with their values: one may be a password.
    "sqlx_postgres::options=off",
    // At `debug` it tells its requests: a second lock beside its own, which hides addresses for uploads.
    "slack_morphism=info",
    // The alarm clock.
    "tokio_cron_scheduler=warn",
    // Each step of a stage, which the line on a terminal counts.
    "billrecon::job::progress=off",
];

/// Spans that only name what the lines inside of them concern: fields in JSON, and nothing that a person has to read.
const CONCERNS: [&str; 2] = ["period", "tenant"];

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From here on there are logs; the stages that the work goes through can be asked for, and shown.
pub fn start_logging(config: &LogConfig) -> Result<Stages, ConfigError> {
    let problem = |error| ConfigError::Key {
        origin: "logging".to_owned(),
        key: "log".to_owned(),
        problem: format!("is no level or filter: {error}"),
    };
    let mut filter = EnvFilter::try_new(&config.filter).map_err(problem)?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse().map_err(problem)?);
    }
    let is_json = config.format == LogFormat::Json;
    IS_JSON.store(is_json, Ordering::Relaxed);
    // With `billrecon=debug`: how long each stage of a run took.
    let tells_stages = filter.max_level_hint().is_none_or(|level| level >= LevelFilter::DEBUG);
    let span_events = if tells_stages { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let stages = Stages::default();
    let writer = stages.clone();
    let writer = move || Stderr(writer.clone());
    let colour = io::stderr().is_terminal() && !no_color();
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_span_events(span_events);
    let layer = if is_json {
        layer
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine)
            .with_filter(filter)
            .boxed()
    } else {
        let filter = filter.and(filter_fn(|metadata| !is_concern(metadata)));
        layer.with_ansi(colour).with_target(false).with_filter(filter).boxed()
    };
    tracing_subscriber::registry().with(layer).with(stages.clone().layer()).init();
    Ok(stages)
}

/// Whether stderr takes JSON only; what is said there besides logs is one object a line too.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Words for a person, as a line of a log.
pub fn line(words: &str) -> String {
    let fields = [("level", "INFO"), ("message", words.trim())];
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
    json_line(fields.into_iter().collect())
}

fn is_concern(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && CONCERNS.contains(&metadata.name())
}

/// Writes around what is shown of the stages.
struct Stderr(Stages);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.aside(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// One flat object: time, level, message, then what the line concerns and its own fields.
struct JsonLine;

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        // The end of a span: of a stage it is told, a concern has no time of its own.
        if is_concern(metadata) {
            return Ok(());
        }
        let mut fields = Map::new();
        fields.insert("level".to_owned(), metadata.level().as_str().into());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let stored = extensions.get::<FormattedFields<JsonFields>>();
            let stored = stored.and_then(|stored| serde_json::from_str::<Map<_, _>>(stored).ok());
            fields.extend(stored.unwrap_or_default());
        }
        if metadata.is_span() {
            fields.insert("stage".to_owned(), metadata.name().into());
        }
        event.record(&mut Fields(&mut fields));
        writeln!(writer, "{}", json_line(fields))
    }
}

fn json_line(fields: Map<String, Value>) -> String {
    let mut time = String::new();
    let known = SystemTime.format_time(&mut Writer::new(&mut time)).is_ok();
    let mut all = Map::new();
    all.extend(known.then(|| ("time".to_owned(), time.into())));
    all.extend(fields);
    print::json(&Value::Object(all).to_string())
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}
