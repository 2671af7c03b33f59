//! The statements on an own ledger's table: the ledger as a query on it, and what is wrong with its rows.
//!
//! In: a looked-up table, where to look. Out: SQL. Names are quoted, everything else is bound or written here. It judges rows by
//! the rules and in the order of `Known::judge`, so that a row is taken exactly where an import would take its line.

use jiff::{Timestamp, Unit};

use crate::domain::period::Window;
use crate::domain::usage::QuarantineReason;
use crate::store::connection::Value;
use crate::store::ledger::own::Near;
use crate::store::ledger::own::relation::{Column, Kind, Relation};

/// Years in which an instant may lie: our nanoseconds end in 2262.
const FIRST: &str = "'2000-01-01 00:00:00+00'::timestamptz";
const END: &str = "'2262-01-01 00:00:00+00'::timestamptz";
/// As `char::is_control` has it; not as the collation of a column does.
const CONTROLS: &str = r"E'[\\u0001-\\u001f\\u007f-\\u009f]'";
/// What `Quantity::parse` takes, no longer than any number in range needs: a cast must not fail.
const DECIMAL: &str = r"E'^[-+]?[0-9]{1,40}(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?$'";

/// Numbers of the values that statements share.
pub(super) struct Given {
    pub latest: Option<usize>,
    pub gauges: Option<usize>,
}

/// Rows of a range, counted by what is wrong with them.
pub struct Seen {
    pub tenant_id: String,
    pub meter: String,
    /// Empty: nothing.
    pub reason: String,
    pub records: u64,
}

/// The last instant of PostgreSQL that is not later.
pub(super) fn instant_down(instant: Timestamp) -> String {
    let rounded = jiff::TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Floor);
    within(instant.round(rounded).unwrap_or(instant))
}

/// The first instant of PostgreSQL that is not earlier: it has microseconds, and we have nanoseconds.
fn instant_up(instant: Timestamp) -> String {
    let rounded = jiff::TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Ceil);
    within(instant.round(rounded).unwrap_or(instant))
}

/// No row beyond these years is taken, and not each of them can be written in PostgreSQL.
fn within(instant: Timestamp) -> String {
    let (first, last) = (Timestamp::from_second(946_684_799), Timestamp::from_second(9_214_646_400));
    let clamped = first.map_or(instant, |first| instant.max(first));
    last.map_or(clamped, |last| clamped.min(last)).to_string()
}

/// A value of the statement by its number.
fn number_of(values: &mut Vec<Value>, value: impl Into<Value>) -> usize {
    values.push(value.into());
    values.len()
}

impl Relation {
    /// The ledger's nine columns as a query on the table. A range and tenants stand in it once more, on the raw columns: only
    /// these can be asked of the user's indexes, and the statement around it compares our nanoseconds and bytes exactly.
    pub(super) fn ledger(&self, near: Near<'_>, given: &Given, values: &mut Vec<Value>) -> String {
        let tenants = self.one_of(near.tenants, values);
        let mut conditions = self.valid("r", given, tenants.as_deref());
        if let Some(range) = near.range {
            conditions.extend(self.between("r", range, values));
        }
        conditions.extend(tenants.map(|condition| format!("r.{condition}")));
        let [tenant_id, id, meter] = self.ids("r");
        let recorded_at = match &self.recorded_at {
            None => nanoseconds(&of("r", &self.occurred_at)),
            Some(column) => {
                let times = [of("r", column), of("r", &self.occurred_at)].map(|time| nanoseconds(&time));
                format!("COALESCE({})", times.join(", "))
            }
        };
        let [outcome, source] = [&self.outcome, &self.source].map(|column| optional("r", column.as_ref()));
        let rows = format!(
            "SELECT {tenant_id} COLLATE \"C\" AS tenant_id, {id} COLLATE \"C\" AS source_event_id, {meter} COLLATE \"C\" AS meter, \
             trim_scale({}) AS quantity, {} AS occurred_at, {recorded_at} AS recorded_at, {outcome} COLLATE \"C\" AS outcome, \
             {source} COLLATE \"C\" AS source, {}::text COLLATE \"C\" AS properties FROM {} AS r WHERE {}",
            self.units("r"),
            nanoseconds(&of("r", &self.occurred_at)),
            self.facts("r"),
            self.from,
            conditions.join(" AND ")
        );
        if self.ids_are_unique {
            return rows;
        }
        // A copy of a row counts once, as a line that is imported twice does.
        format!(
            "SELECT tenant_id, source_event_id, meter, quantity, occurred_at, MIN(recorded_at) AS recorded_at, outcome, source, \
             properties FROM ({rows}) AS copies GROUP BY 1, 2, 3, 4, 5, 7, 8, 9"
        )
    }

    /// Tenant, meter, what is wrong, and how many rows: of a range, and of all that have no time that can be read.
    pub(super) fn seen(&self, range: Window, given: &Given, values: &mut Vec<Value>) -> String {
        use QuarantineReason as Reason;
        let mut checks = vec![
            (self.is_present("r"), Reason::MissingField),
            (self.is_clean("r"), Reason::BadText),
            (self.is_counted("r"), Reason::BadQuantity),
            (self.is_shaped("r"), Reason::Malformed),
            (self.is_signed("r", given), Reason::Negative),
            (self.is_dated("r"), Reason::BadTimestamp),
            (self.is_past("r", given), Reason::Future),
        ];
        checks.extend(self.is_single("r", given, None).map(|check| (check, Reason::Conflict)));
        let cases = checks.iter().map(|(check, reason)| {
            let reason = reason.as_str();
            format!("WHEN ({check}) IS NOT TRUE THEN '{reason}'")
        });
        let cases: Vec<String> = cases.collect();
        let ([tenant_id, _, meter], time) = (self.ids("r"), of("r", &self.occurred_at));
        format!(
            "SELECT tenant_id, meter, reason, COUNT(*) FROM (SELECT left(COALESCE({tenant_id}, ''), 255) COLLATE \"C\" AS \
             tenant_id, left(COALESCE({meter}, ''), 255) COLLATE \"C\" AS meter, CASE {} ELSE '' END AS reason \
             FROM {} AS r WHERE ({}) OR {time} IS NULL OR {time} < {FIRST} OR {time} >= {END}) AS judged \
             GROUP BY tenant_id, meter, reason",
            cases.join(" "),
            self.from,
            self.between("r", range, values).join(" AND ")
        )
    }

    /// On the raw column, which an index may lie on.
    fn between(&self, row: &str, range: Window, values: &mut Vec<Value>) -> [String; 2] {
        let time = of(row, &self.occurred_at);
        let [start, end] = [range.start, range.end].map(|instant| number_of(values, instant_up(instant)));
        [format!("{time} >= ${start}::text::timestamptz"), format!("{time} < ${end}::text::timestamptz")]
    }

    /// A condition on the tenant's column. Equality needs no collation, so any index on the column serves; a range of bytes would ask for one in the collation
    /// `C`, which hardly a table has. An id that is none of the column's type belongs to no row.
    fn one_of(&self, ids: &[&str], values: &mut Vec<Value>) -> Option<String> {
        let is_canonical = |id: &&&str| match self.tenant_id.kind {
            Kind::Whole => id.parse::<i64>().is_ok_and(|number| number.to_string() == **id),
            Kind::Uuid => uuid::Uuid::parse_str(id).is_ok_and(|uuid| uuid.to_string() == **id),
            _ => true,
        };
        let cast = match self.tenant_id.kind {
            Kind::Text => "text[]",
            Kind::Whole => "text[]::bigint[]",
            Kind::Uuid => "text[]::uuid[]",
            _ => return None,
        };
        if ids.is_empty() {
            return None;
        }
        let ids: Vec<String> = ids.iter().filter(is_canonical).map(|id| (*id).to_owned()).collect();
        Some(format!("{} = ANY (${}::{cast})", self.tenant_id.name, number_of(values, ids)))
    }

    /// Everything that a row must be to count.
    fn valid(&self, row: &str, given: &Given, tenants: Option<&str>) -> Vec<String> {
        let mut checks = self.is_record(row, given);
        checks.push(self.is_signed(row, given));
        checks.extend(self.is_single(row, given, tenants));
        checks.into_iter().map(|check| format!("({check})")).collect()
    }

    /// All that can be told of a row without looking at another.
    fn is_record(&self, row: &str, given: &Given) -> Vec<String> {
        vec![
            self.is_present(row),
            self.is_clean(row),
            self.is_counted(row),
            self.is_shaped(row),
            self.is_dated(row),
            self.is_past(row, given),
        ]
    }

    fn is_present(&self, row: &str) -> String {
        let texts = [&self.tenant_id, &self.source_event_id, &self.meter, &self.quantity, &self.occurred_at];
        let is_there = |column: &&Column| match column.kind {
            Kind::Text => format!("COALESCE({}, '') <> ''", of(row, column)),
            _ => format!("{} IS NOT NULL", of(row, column)),
        };
        texts.iter().map(is_there).collect::<Vec<_>>().join(" AND ")
    }

    fn is_clean(&self, row: &str) -> String {
        let required = [&self.tenant_id, &self.source_event_id, &self.meter].into_iter();
        let columns = required.chain(&self.outcome).chain(&self.source);
        let texts = columns.filter(|column| matches!(column.kind, Kind::Text | Kind::Enumerated));
        let texts: Vec<String> = texts.map(|column| optional(row, Some(column))).collect();
        if texts.is_empty() {
            return "TRUE".to_owned();
        }
        let lengths: Vec<String> = texts.iter().map(|text| format!("octet_length({text}) <= 255")).collect();
        // One search for all of them: this is asked of every row.
        let all = texts.join(" || ");
        format!("{} AND ({all}) COLLATE \"C\" !~ {CONTROLS}", lengths.join(" AND "))
    }

    /// NaN sorts above every number.
    fn is_counted(&self, row: &str) -> String {
        let units = self.units(row);
        format!("{units} > -1000000000000000 AND {units} < 1000000000000000 AND {units} = trunc({units}, 12)")
    }

    fn is_shaped(&self, row: &str) -> String {
        let shaped = |column: &Column| {
            let facts = of(row, column);
            format!("{facts} IS NULL OR jsonb_typeof({facts}) = 'object'")
        };
        self.properties.as_ref().map_or("TRUE".to_owned(), shaped)
    }

    fn is_dated(&self, row: &str) -> String {
        let time = of(row, &self.occurred_at);
        format!("{time} >= {FIRST} AND {time} < {END}")
    }

    fn is_past(&self, row: &str, given: &Given) -> String {
        let past = |number: usize| format!("{} <= ${number}::text::timestamptz", of(row, &self.occurred_at));
        given.latest.map_or("TRUE".to_owned(), past)
    }

    /// Only a correction of a record that is there takes units back, and never from a gauge.
    fn is_signed(&self, row: &str, given: &Given) -> String {
        let units = self.units(row);
        let Some(properties) = &self.properties else { return format!("{units} >= 0") };
        let corrects = format!("({} ->> 'corrects')", of(row, properties));
        let [_, id, meter] = self.ids(row);
        let corrected = match self.source_event_id.kind {
            Kind::Text => of("f", &self.source_event_id),
            _ => format!("{}::text", of("f", &self.source_event_id)),
        };
        let gauges =
            given.gauges.map(|number| format!(" AND {meter} COLLATE \"C\" <> ALL (${number}::text[])"));
        let checks: Vec<String> =
            self.is_record("f", given).into_iter().map(|check| format!("({check})")).collect();
        format!(
            "{units} >= 0 OR ({} ->> 'kind' = 'correction' AND {corrects} <> {id}{} AND EXISTS (SELECT 1 FROM {} AS f \
             WHERE {} = {} AND {corrected} = {corrects} AND {}))",
            of(row, properties),
            gauges.unwrap_or_default(),
            self.from,
            of("f", &self.tenant_id),
            of(row, &self.tenant_id),
            checks.join(" AND ")
        )
    }

    /// No row with the same id says something else. `None`: an index proves it. The ids that do not fit are looked up once a
    /// statement and not for each row: no index has to help with that, and no statistics.
    fn is_single(&self, row: &str, given: &Given, tenants: Option<&str>) -> Option<String> {
        if self.ids_are_unique {
            return None;
        }
        let keys =
            |row: &str| [&self.tenant_id, &self.source_event_id].map(|column| of(row, column)).join(", ");
        let [_, _, meter] = self.ids("o");
        let [outcome, source] = [&self.outcome, &self.source].map(|column| optional("o", column.as_ref()));
        let (units, time, facts) = (self.units("o"), of("o", &self.occurred_at), self.facts("o"));
        let body = format!(
            "ROW({meter} COLLATE \"C\", {units}, {time}, {outcome} COLLATE \"C\", {source} COLLATE \"C\", {facts})"
        );
        let mut checks = self.is_record("o", given);
        checks.push(self.is_signed("o", given));
        let checks: Vec<String> = checks.into_iter().map(|check| format!("({check})")).collect();
        let tenants = tenants.map(|condition| format!(" AND o.{condition}")).unwrap_or_default();
        Some(format!(
            "({}) NOT IN (SELECT {others} FROM {} AS o WHERE {}{tenants} GROUP BY {others} \
             HAVING COUNT(*) > 1 AND COUNT(DISTINCT {body}) > 1)",
            keys(row),
            self.from,
            checks.join(" AND "),
            others = keys("o"),
        ))
    }

    /// Tenant, id and meter as text.
    fn ids(&self, row: &str) -> [String; 3] {
        [&self.tenant_id, &self.source_event_id, &self.meter]
            .map(|column| format!("{}::text", of(row, column)))
    }

    /// The quantity as a number; none where a text is no decimal.
    fn units(&self, row: &str) -> String {
        let column = of(row, &self.quantity);
        match self.quantity.kind {
            Kind::Text => format!(
                "(CASE WHEN octet_length({column}) <= 90 AND {column} COLLATE \"C\" ~ {DECIMAL} THEN {column}::numeric END)"
            ),
            _ => format!("{column}::numeric"),
        }
    }

    /// The properties, and none where there is no such column.
    fn facts(&self, row: &str) -> String {
        let column = self.properties.as_ref().map(|column| of(row, column));
        column.map_or("'{}'::jsonb".to_owned(), |column| format!("COALESCE({column}, '{{}}'::jsonb)"))
    }
}

fn of(row: &str, column: &Column) -> String {
    format!("{row}.{}", column.name)
}

/// A text that may be missing.
fn optional(row: &str, column: Option<&Column>) -> String {
    column.map_or("''::text".to_owned(), |column| format!("COALESCE({}::text, '')", of(row, column)))
}

/// Since 1970; none of an instant that no 64 bits hold, such as infinity.
fn nanoseconds(time: &str) -> String {
    format!(
        "(CASE WHEN {time} >= {FIRST} AND {time} < {END} THEN (EXTRACT(EPOCH FROM {time}) * 1000000)::bigint * 1000 END)"
    )
}
