//! Vital signs as text for Prometheus, and as a file that a collector picks up.
//!
//! In: signs. Out: `OpenMetrics` text, which Prometheus's own parser reads too: gauges only, each with its help and type, in a fixed
//! order. The file is written beside its place and renamed, so that no reader ever sees half of it. Never computes a value.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::domain::vital::{Sign, Vital};

/// Where the text is served, this is its type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text, with its `# EOF` at the end.
pub fn text(signs: Vec<Sign>) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("billrecon");
    registry.register_collector(Box::new(Signs(signs)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Whoever collects it is another user, so everybody may read it: it names no tenant and holds no secret.
pub fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Collectors read `*.prom` only, so this name is none of theirs; two processes have two names.
    let beside = folder.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    let written = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        fs::rename(&beside, path)
    };
    let written = written();
    if written.is_err() {
        let _nothing_left = fs::remove_file(&beside);
    }
    written
}

/// The value of a sign without a label in a text that was written before.
pub fn value_in(text: &str, vital: Vital) -> Option<i64> {
    let name = format!("billrecon_{} ", vital.name());
    text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok())
}

#[derive(Debug)]
struct Signs(Vec<Sign>);

impl Collector for Signs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for vital in Vital::ALL {
            let mut signs = self.0.iter().filter(|sign| sign.vital == vital).peekable();
            if signs.peek().is_none() {
                continue;
            }
            let gauge = ConstGauge::new(0i64);
            let mut family =
                encoder.encode_descriptor(vital.name(), vital.help(), None, gauge.metric_type())?;
            let Some(label) = vital.label() else {
                // A sign without a label has one value; the newest counts.
                signs.last().map_or(Ok(()), |sign| ConstGauge::new(sign.value).encode(family))?;
                continue;
            };
            for sign in signs {
                let labels = [(label, sign.label.as_str())];
                ConstGauge::new(sign.value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_gauges_in_their_order_and_what_is_not_known_is_absent() {
        let signs = vec![
            Sign::labelled(Vital::Verdict, "GO", 1),
            Sign::labelled(Vital::ParkedWindows, "a\"b\\c\nd", 2),
            Sign::new(Vital::LastRun, 1_700_000_000),
        ];
        let text = text(signs).unwrap();
        let expected = "\
# HELP billrecon_last_run_timestamp_seconds When the last wake ended
# TYPE billrecon_last_run_timestamp_seconds gauge
billrecon_last_run_timestamp_seconds 1700000000
# HELP billrecon_parked_windows Windows that are parked, by reason
# TYPE billrecon_parked_windows gauge
billrecon_parked_windows{reason=\"a\\\"b\\\\c\\nd\"} 2
# HELP billrecon_verdict 1 for the verdict that was said last, 0 for the others
# TYPE billrecon_verdict gauge
billrecon_verdict{verdict=\"GO\"} 1
# EOF
";
        assert_eq!(text, expected);
        assert_eq!(value_in(&text, Vital::LastRun), Some(1_700_000_000));
        assert_eq!(value_in(&text, Vital::LastSuccess), None);
    }
}
