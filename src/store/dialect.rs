//! One SQL text for two databases.
//!
//! In: a statement with `?` for each value and a few tokens. Out: the text for SQLite or PostgreSQL. Never takes data:
//! templates are compiled in, values are bound.
//!
//! | token | SQLite | PostgreSQL |
//! |---|---|---|
//! | `?` | `?` | `$1`, `$2`, … |
//! | `{exact:quantity}` | `quantity_floor, quantity_rest` | `quantity::text` |
//! | `{sum:quantity}` | four partial sums | `SUM(quantity)::text` |
//! | `{sum_negative:quantity}` | the same over those below 0 | the same |
//! | `{count_negative:quantity}` | how many of them | the same |
//! | `{for_share}` | nothing: the transaction holds the only write lock | `FOR SHARE` |
//! | `{now_ms}` | the database's clock in milliseconds | the same |

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    pub fn render(self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 32);
        let mut placeholders = 0;
        let mut rest = template;
        while let Some(at) = rest.find(['?', '{']) {
            text.push_str(&rest[..at]);
            if rest[at..].starts_with('?') {
                placeholders += 1;
                text.push_str(&self.placeholder(placeholders));
                rest = &rest[at + 1..];
            } else {
                let end = rest[at..].find('}').map_or(rest.len(), |length| at + length);
                text.push_str(&self.token(&rest[at + 1..end]));
                rest = rest.get(end + 1..).unwrap_or_default();
            }
        }
        text.push_str(rest);
        text
    }

    /// The n-th value, from 1. SQLite gets no numbers: it looks a numbered one up in a list of all of them, which
    /// makes a statement of ten thousand values quadratic.
    pub fn placeholder(self, number: usize) -> String {
        match self {
            Self::Sqlite => "?".to_owned(),
            Self::Postgres => format!("${number}"),
        }
    }

    fn token(self, token: &str) -> String {
        match (self, token.split_once(':')) {
            (Self::Sqlite, Some(("exact", column))) => format!("{column}_floor, {column}_rest"),
            (Self::Postgres, Some(("exact", column))) => format!("{column}::text"),
            // Each half stays far below 2^63 for any number of rows, so SQLite's SUM can never raise an overflow.
            (Self::Sqlite, Some(("sum", column))) => format!(
                "SUM({column}_floor / 1000000), SUM({column}_floor % 1000000), \
                 SUM({column}_rest / 1000000), SUM({column}_rest % 1000000)"
            ),
            (Self::Postgres, Some(("sum", column))) => format!("SUM({column})::text"),
            (Self::Sqlite, Some(("sum_negative", column))) => {
                let half = |part: &str| format!("SUM(CASE WHEN {column}_floor < 0 THEN {part} ELSE 0 END)");
                [("floor", '/'), ("floor", '%'), ("rest", '/'), ("rest", '%')]
                    .map(|(part, sign)| half(&format!("{column}_{part} {sign} 1000000")))
                    .join(", ")
            }
            (Self::Postgres, Some(("sum_negative", column))) => format!("SUM(LEAST({column}, 0))::text"),
            (Self::Sqlite, Some(("count_negative", column))) => {
                format!("SUM(CASE WHEN {column}_floor < 0 THEN 1 ELSE 0 END)")
            }
            (Self::Postgres, Some(("count_negative", column))) => {
                format!("SUM(CASE WHEN {column} < 0 THEN 1 ELSE 0 END)")
            }
            (Self::Sqlite, None) if token == "for_share" => String::new(),
            (Self::Postgres, None) if token == "for_share" => "FOR SHARE".to_owned(),
            (Self::Sqlite, _) => "CAST(unixepoch('subsec') * 1000 AS INTEGER)".to_owned(),
            (Self::Postgres, _) => "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint".to_owned(),
        }
    }

    /// The column names that hold one exact number.
    pub fn exact_columns(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column}_floor, {column}_rest"),
            Self::Postgres => column.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_and_tokens_replaced() {
        let template = "SELECT {exact:quantity} FROM t WHERE a = ? AND b < ?";
        assert_eq!(
            Dialect::Postgres.render(template),
            "SELECT quantity::text FROM t WHERE a = $1 AND b < $2"
        );
        assert_eq!(
            Dialect::Sqlite.render(template),
            "SELECT quantity_floor, quantity_rest FROM t WHERE a = ? AND b < ?"
        );
    }
}
