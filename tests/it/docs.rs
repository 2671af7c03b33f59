//! The documents: every command that they show is run here, in their order, as a reader would.
//!
//! In: `sh` blocks of the README, of `docs/` and of the examples (each in a copy of its folder). Out: a failure where a command does not end as the page says: with 0,
//! or with N where the line says `# ends with N`. A `text` block may hold no command, so nothing escapes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::postgres::{TestDatabase, rows};
use crate::support::{Engine, Workspace};

/// Commands that the tests cannot run from within themselves, with what stands for them.
const STAND_INS: [(&str, &str); 2] = [
    ("cargo run --locked -- demo", "billrecon demo"),
    ("scripts/test", "test -x \"$REPOSITORY/scripts/test\""),
];

/// The database of a company that meters already, and how its programs find it.
struct Company {
    database: TestDatabase,
    programs: String,
}

impl Company {
    fn new() -> Self {
        let programs = std::env::var("BILLRECON_TEST_POSTGRES_BIN").expect("scripts/test says where psql is");
        Self { database: TestDatabase::empty(), programs }
    }

    /// As psql reads them.
    fn settle(&self, command: &mut Command) {
        let url: url::Url = self.database.url().parse().unwrap();
        command
            .env("PGHOST", url.host_str().unwrap())
            .env("PGPORT", url.port().unwrap().to_string())
            .env("PGUSER", url.username())
            .env("PGDATABASE", url.path().trim_start_matches('/'))
            .env("PGOPTIONS", "-c client_min_messages=warning");
    }
}

impl Drop for Company {
    /// Roles outlive the database.
    fn drop(&mut self) {
        for statement in ["DROP OWNED BY billrecon_reader", "DROP ROLE billrecon_reader"] {
            rows(&self.database.url(), statement);
        }
    }
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages =
        vec![home().join("README.md"), home().join("reports/README.md"), home().join("ARCHITECTURE.md")];
    pages.extend(fs::read_dir(home().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let examples = fs::read_dir(home().join("examples")).unwrap();
    pages.extend(examples.map(|entry| entry.unwrap().path().join("README.md")));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// The fenced blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A shell script that checks the exit code of each command line.
fn script(block: &str) -> String {
    let mut script = "set -u\n".to_owned();
    let mut lines = block.lines().filter(|line| !line.trim().is_empty());
    while let Some(line) = lines.next() {
        // What a command reads from the lines below it.
        let end = line.split_once("<<'").and_then(|(_, rest)| rest.split_once('\''));
        let read: String = match end {
            Some((end, _)) => {
                let within = lines.by_ref().take_while(|line| *line != end);
                within.chain([end]).map(|line| format!("{line}\n")).collect()
            }
            None => String::new(),
        };
        let expected = line.split_once("# ends with ").map_or("0", |(_, rest)| {
            rest.split(|one: char| !one.is_ascii_digit()).next().unwrap_or_default()
        });
        let stand_in = STAND_INS.iter().find(|(shown, _)| line.starts_with(shown));
        let command = stand_in.map_or(line, |(_, command)| command);
        script.push_str(&format!(
            "{command}\n{read}code=$?; [ $code -eq {expected} ] || {{ echo \"ended with $code: {}\" >&2; exit 99; }}\n",
            command.replace('"', "'").replace('$', "")
        ));
    }
    script
}

/// Where the page says that it is the same on both databases.
#[test]
fn the_quickstart_is_the_same_on_postgresql() {
    let page = fs::read_to_string(home().join("docs/quickstart.md")).unwrap();
    let shown = blocks(&page).into_iter().filter(|(language, _)| language == "sh");
    let shown: String = shown.map(|(_, block)| script(&block)).collect();
    let workspace = Workspace::fresh(Engine::Postgres);
    let folder = Path::new(env!("CARGO_BIN_EXE_billrecon")).parent().unwrap();
    let ended = Command::new("bash")
        .args(["-c", &shown])
        .current_dir(workspace.folder.path())
        .env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()))
        .env("BILLRECON_DATABASE_URL", &workspace.url)
        .env("BILLRECON_STRIPE_SANDBOX", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(
        workspace.sql("SELECT status FROM billing_period_jobs WHERE period = '2026-09'"),
        [["closed"]]
    );
}

#[test]
fn every_command_in_the_documents_ends_as_the_page_says() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let shown: String = blocks(&text)
            .into_iter()
            .filter(|(language, _)| language == "sh")
            .map(|(_, block)| script(&block))
            .collect();
        if shown.is_empty() {
            continue;
        }
        let workspace = Workspace::fresh(Engine::Sqlite);
        if page.strip_prefix(home().join("examples")).is_ok() {
            for file in fs::read_dir(page.parent().unwrap()).unwrap().map(|entry| entry.unwrap()) {
                fs::copy(file.path(), workspace.path(file.file_name().to_str().unwrap())).unwrap();
            }
        }
        let binary_folder = Path::new(env!("CARGO_BIN_EXE_billrecon")).parent().unwrap();
        let path = format!("{}:{}", binary_folder.display(), std::env::var("PATH").unwrap());
        let company = page.ends_with("adopting.md").then(Company::new);
        let mut command = Command::new("bash");
        if let Some(company) = &company {
            company.settle(&mut command);
        }
        let path = match &company {
            Some(company) => format!("{path}:{}", company.programs),
            None => path,
        };
        let ended = command
            .arg("-c")
            .arg(&shown)
            .current_dir(workspace.folder.path())
            .env("PATH", path)
            .env("REPOSITORY", home())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.success(),
            "{}: {stderr}\n{}",
            page.display(),
            String::from_utf8_lossy(&ended.stdout)
        );
    }
}

#[test]
fn no_block_of_text_hides_a_command() {
    for page in pages() {
        for (language, block) in blocks(&fs::read_to_string(&page).unwrap()) {
            assert!(
                ["sh", "text", "toml", "csv", "sql", "yaml"].contains(&language.as_str()),
                "{}: `{language}`",
                page.display()
            );
            let is_command = |line: &str| {
                ["billrecon ", "cargo ", "scripts/", "$ "].iter().any(|one| line.trim().starts_with(one))
            };
            assert!(language == "sh" || !block.lines().any(is_command), "{}: {block}", page.display());
        }
    }
}

#[test]
fn the_exit_codes_of_the_documents_are_those_of_the_program() {
    let code = fs::read_to_string(home().join("src/exit_code.rs")).unwrap();
    let codes: Vec<&str> =
        code.lines().filter_map(|line| line.trim().split_once(" = ")?.1.strip_suffix(',')).collect();
    assert!(codes.len() >= 12, "{codes:?}");
    for page in ["README.md", "docs/operations.md"] {
        let text = fs::read_to_string(home().join(page)).unwrap();
        let table = &text[text.find("| code |").unwrap()..];
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let listed: Vec<&str> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')).map(str::trim).collect();
        assert_eq!(listed, codes, "{page}");
    }
}

#[test]
fn the_alerts_of_the_documents_are_those_of_the_program() {
    use billrecon::notify::Topic;
    let page = fs::read_to_string(home().join("docs/operations.md")).unwrap();
    let table = &page[page.find("| alert | headline |").unwrap()..];
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let listed: Vec<(&str, &str)> = rows.iter().map(|row| (row[1], row[2])).collect();
    assert_eq!(listed, Topic::ALERTS.map(|topic| (topic.as_str(), topic.headline())));
}

#[test]
fn the_reasons_of_the_documents_are_those_of_the_program() {
    use billrecon::domain::figures::Disposition;
    use billrecon::domain::reconcile::Cause;
    use billrecon::domain::tenant::ParkReason;
    use billrecon::domain::usage::QuarantineReason;
    let page = fs::read_to_string(home().join("docs/operations.md")).unwrap();
    let listed = |kind: &str| -> Vec<String> {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {kind} |")));
        rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(listed("parked"), ParkReason::ALL.map(ParkReason::as_str));
    assert_eq!(listed("quarantined"), QuarantineReason::ALL.map(QuarantineReason::as_str));
    let page = fs::read_to_string(home().join("docs/causes.md")).unwrap();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, Cause::ALL.map(Cause::as_str));
    let excluded = Disposition::ALL.into_iter().filter(|one| *one != Disposition::Billable);
    assert_eq!(listed("excluded"), excluded.map(Disposition::as_str).collect::<Vec<_>>());
}
