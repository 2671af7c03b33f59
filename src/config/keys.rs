//! Every setting: its key in `billrecon.toml`, its variable, its default and what it means.
//!
//! In: nothing. Out: one table, from which come the defaults, the variables, `config show`, the file that `init` writes and the check
//! for unknown keys; a test holds the table of `docs/operations.md` to it. Never a value that somebody has set.

use figment::value::Value;

pub struct Key {
    /// Dotted, as in `lease.ttl`.
    pub path: &'static str,
    pub kind: Kind,
    /// As it would stand in the file, without quotes; empty where there is none.
    pub default: &'static str,
    /// What a commented file shows where there is no default.
    pub example: &'static str,
    pub meaning: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// `true` or `false`; a variable may also say 1 or 0.
    Flag,
    Whole,
    /// The path of a file that holds a secret: its variable is that of the secret.
    SecretFile,
}

/// Tables whose other keys are currencies.
pub const OPEN_TABLES: [&str; 2] = ["bounds", "tolerance"];

const fn text(
    path: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, kind: Kind::Text, default, example, meaning }
}

const fn flag(path: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind: Kind::Flag, default, example: "", meaning }
}

const fn whole(
    path: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, kind: Kind::Whole, default, example, meaning }
}

/// In the order of the file: keys without a table first.
pub const KEYS: &[Key] = &[
    text("database", "sqlite://billrecon.db", "", "`sqlite://PATH` or `postgres://USER@HOST/NAME`"),
    text("reports", "reports", "", "folder that takes the reports"),
    text("log", "info", "", "`error`, `warn`, `info`, `debug`, `trace`, or a filter"),
    text("log_format", "text", "", "`text`, or `json`: one object on each line"),
    text(
        "time_zone",
        "UTC",
        "",
        "zone of calendar months, for tenants without `billing_anchor`, and of schedules",
    ),
    text(
        "first_period",
        "",
        "2026-10",
        "nothing before it is ever due; required with a real account, else the first tenant's start",
    ),
    whole(
        "late_usage_periods",
        "12",
        "",
        "how many closed periods, the newest first, are looked at again when usage comes for them",
    ),
    text(
        "settle_delay",
        "2h",
        "",
        "how long after a window's end its usage is final, where no invoice says so",
    ),
    text(
        "policy",
        "",
        "policy.toml",
        "file with the rules of the verdict, instead of those that are built in",
    ),
    text("lease.ttl", "60s", "", "how long a run that died keeps others waiting"),
    text(
        "ledger.table",
        "",
        "billing.usage_events",
        "table or view of your own PostgreSQL that usage is read from; without it usage is imported",
    ),
    text("ledger.columns.tenant_id", "", "account_id", "your column for it"),
    text("ledger.columns.source_event_id", "", "event_id", "the same: unique within a tenant"),
    text("ledger.columns.meter", "", "metric", "the same: the key of a meter of the catalog"),
    text("ledger.columns.quantity", "", "amount", "the same: a decimal or whole number, no binary float"),
    text("ledger.columns.occurred_at", "", "happened_at", "the same: a timestamptz"),
    text(
        "ledger.columns.recorded_at",
        "",
        "inserted_at",
        "the same, if you have it: when the row was written",
    ),
    text("ledger.columns.outcome", "", "outcome", "the same, if you have it"),
    text("ledger.columns.source", "", "source", "the same, if you have it"),
    text("ledger.columns.properties", "", "properties", "the same, if you have it: jsonb"),
    Key {
        path: "stripe.api_key_file",
        kind: Kind::SecretFile,
        default: "",
        example: "/run/secrets/stripe_api_key",
        meaning: "file that holds Stripe's key, where no variable does",
    },
    text(
        "stripe.api_base",
        "",
        "https://api.stripe.com/",
        "where Stripe answers; `http` only for this machine",
    ),
    flag("stripe.sandbox", "false", "let the sandbox stand in for Stripe; there may be no key then"),
    text(
        "stripe.sandbox_state",
        "",
        "billrecon.sandbox",
        "file that keeps the sandbox's state [default: by the database]",
    ),
    whole(
        "stripe.requests_per_second",
        "",
        "80",
        "most requests a second in all, below Stripe's limit [default: 80 live, 20 test]; a sandbox on this machine has no limit unless one is set",
    ),
    whole("stripe.requests_per_second_per_endpoint", "", "20", "the same for each endpoint [default: 20]"),
    whole("stripe.meter_events_per_second", "", "20", "the same for pushes [default: as an endpoint]"),
    whole("stripe.requests_at_a_time", "", "32", "requests under way [default: 32]"),
    text(
        "push.mode",
        "",
        "observe",
        "`push`: usage is sent; `observe`: it is only compared with what the application sent [default: `observe` with a real account]",
    ),
    text("push.off_switch", "billrecon.off", "", "while this file is there nothing is pushed"),
    text("slack.channel", "", "C024BE91L", "id of the bot's channel"),
    text("slack.owner", "", "U024BE7LH", "whom each message names: a Slack id, which mentions, or a name"),
    text("slack.notify", "all", "", "which verdicts are told: `all`, `changes`, `problems`"),
    text("slack.alert_again", "24h", "", "the same alert is not told again within it"),
    flag("slack.files", "true", "whether the bot puts `report.html` and `report.xlsx` into the thread"),
    text(
        "slack.api_base",
        "https://slack.com/api",
        "",
        "where Slack's Web API answers; `http` only for this machine",
    ),
    text(
        "serve.schedule",
        "5 * * * *",
        "",
        "when `serve` runs: a cron expression, read in `time_zone`; a sixth field in front counts seconds",
    ),
    text(
        "serve.guard",
        "25 * * * *",
        "",
        "when `serve` looks at drafts as `billrecon guard` does, and tells Slack; `off`: never",
    ),
    text(
        "serve.reminders",
        "0 9 * * MON-FRI",
        "",
        "when `serve` reminds Slack of what waits for a person; `off`: never",
    ),
    text(
        "serve.listen",
        "127.0.0.1:9464",
        "",
        "where `serve` answers `/health`, `/ready` and `/metrics`; `off`: nowhere",
    ),
    text(
        "metrics.textfile",
        "",
        "/var/lib/node_exporter/billrecon.prom",
        "file that takes the vital signs of each wake",
    ),
    flag("approval.runner_may_approve", "true", "`false`: whoever ran a period may not approve it"),
    text(
        "tolerance.quantity",
        "0",
        "",
        "by how many units a row of the comparison may differ and still match",
    ),
    text(
        "tolerance.quantity_relative",
        "0",
        "",
        "the same as a share of the ledger's quantity, such as `0.001`",
    ),
    whole(
        "bounds.overage_factor",
        "10",
        "",
        "how many times the highest of its last closed windows a tenant's overage may come to; `0`: any",
    ),
];

/// A secret: never in the file, by its variable or in the file that `NAME_FILE` names.
pub struct SecretKey {
    pub variable: &'static str,
    pub meaning: &'static str,
}

pub const SECRETS: &[SecretKey] = &[
    SecretKey {
        variable: "BILLRECON_STRIPE_API_KEY",
        meaning: "Stripe's secret or restricted key (`sk_…`, `rk_…`)",
    },
    SecretKey {
        variable: "BILLRECON_LEDGER_URL",
        meaning: "database of an own ledger, where it is not that of the books",
    },
    SecretKey {
        variable: "BILLRECON_SLACK_WEBHOOK_URL",
        meaning: "incoming webhook that gets verdicts and alerts",
    },
    SecretKey {
        variable: "BILLRECON_PING_URL",
        meaning: "check that hears of each wake: a dead-man's switch of the kind of healthchecks.io",
    },
    SecretKey {
        variable: "BILLRECON_SLACK_BOT_TOKEN",
        meaning: "token of a bot that gets them instead, with threads and files",
    },
];

/// The variable with the database's URL; the URL may hold a password, so it too can stand in a file.
pub const DATABASE_URL: &str = "BILLRECON_DATABASE_URL";

impl Key {
    /// The variable that sets it.
    pub fn variable(&self) -> String {
        if self.path == "database" {
            return DATABASE_URL.to_owned();
        }
        format!("BILLRECON_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// The default as figment takes it.
    pub fn default_value(&self) -> Option<Value> {
        Some(self.default).filter(|text| !text.is_empty()).and_then(|text| self.value(text))
    }

    /// A variable's text as the file would have it; `None`: it cannot be.
    pub fn value(&self, text: &str) -> Option<Value> {
        Some(match (self.kind, text) {
            (Kind::Text | Kind::SecretFile, _) => Value::from(text),
            (Kind::Flag, "1" | "true") => Value::from(true),
            (Kind::Flag, "0" | "false") => Value::from(false),
            (Kind::Flag, _) => return None,
            (Kind::Whole, _) => Value::from(text.parse::<i64>().ok()?),
        })
    }

    /// What a variable must say.
    pub fn expectation(&self) -> &'static str {
        match self.kind {
            Kind::Flag => "is neither 1, true, 0 nor false",
            Kind::Whole => "is no whole number",
            Kind::Text | Kind::SecretFile => "is no text",
        }
    }
}

/// The key that a path names.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether a path belongs to a table whose keys are not all known.
pub fn is_open(path: &str) -> bool {
    OPEN_TABLES.iter().any(|table| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')))
}

/// What is wrong with a key that nobody knows, and which one may be meant. `table` keys that are known are told where none is near.
pub fn unknown(path: &str) -> String {
    let near = KEYS.iter().map(|key| (distance(path, key.path), key.path)).min();
    let table = path.rsplit_once('.').map_or("", |(table, _)| table);
    match near {
        Some((letters, meant)) if letters <= (meant.len().min(path.len()) / 3).max(1) => {
            format!("is no key: did you mean `{meant}`?")
        }
        _ => {
            let of_table = |key: &&Key| key.path.rsplit_once('.').map_or("", |(table, _)| table) == table;
            let known: Vec<&str> = KEYS.iter().filter(of_table).map(|key| key.path).collect();
            let known = if known.is_empty() { KEYS.iter().map(|key| key.path).collect() } else { known };
            format!("is no key; known are: {}", known.join(", "))
        }
    }
}

fn distance(one: &str, other: &str) -> usize {
    let one: String = one.chars().take(64).collect();
    strsim::damerau_levenshtein(&one.to_lowercase(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_leads_to_the_right_one() {
        assert!(unknown("databse").contains("did you mean `database`"));
        assert!(unknown("lease.tll").contains("did you mean `lease.ttl`"));
        assert!(unknown("serve.every").contains("known are: serve.schedule"), "{}", unknown("serve.every"));
        assert!(unknown("colour").contains("known are: database, reports"));
    }

    #[test]
    fn each_key_has_one_variable_and_a_default_of_its_kind() {
        let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
        for key in KEYS {
            assert!(key.default.is_empty() || key.default_value().is_some(), "{}", key.path);
            assert!(!key.default.is_empty() || !key.example.is_empty(), "{}: nothing to show", key.path);
        }
    }
}
