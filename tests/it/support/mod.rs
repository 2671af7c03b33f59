//! What the tests share: a folder with a database of its own, the real binary, SQL on the side.
//!
//! In: nothing but a PostgreSQL server's URL in `BILLRECON_TEST_POSTGRES_URL` (`scripts/test` sets it). Out:
//! [`Workspace`]s that clean up after themselves. Never skips: a missing server fails the test that needs it.

pub mod account;
pub mod cloud;
pub mod company;
pub mod gate;
pub mod journal;
pub mod memory;
pub mod own;
pub mod postgres;
pub mod served;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use billrecon::store::{Access, Database, Store};
use tempfile::TempDir;

pub use company::{CATALOG, TENANTS, USAGE};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

pub const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// Settings for [`Workspace::observing`], for tests that have others besides; it must stand last.
pub const OBSERVE: &str = "[push]\nmode = \"observe\"\n";

/// They tell of one run: its id, its time, request ids.
pub const OF_ONE_RUN: [&str; 4] = ["manifest.json", "evidence.ndjson", "report.xlsx", "report.html"];

/// A file as secrets have to lie: for its owner only.
pub fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder with input files, a database and reports.
pub struct Workspace {
    pub folder: TempDir,
    pub url: String,
    _database: Option<postgres::TestDatabase>,
}

/// What a finished process left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test with everything that was printed unless the code is the one expected.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The only line of stdout, as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Workspace {
    /// A migrated, empty database.
    pub fn new(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => {
                let workspace = Self::fresh_sqlite();
                fs::copy(sqlite_template(), workspace.path("billrecon.db")).unwrap();
                workspace
            }
            Engine::Postgres => Self::on(postgres::TestDatabase::from_template()),
        }
    }

    /// No file and no schema yet.
    pub fn fresh(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self::fresh_sqlite(),
            Engine::Postgres => Self::on(postgres::TestDatabase::empty()),
        }
    }

    pub fn on(database: postgres::TestDatabase) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: database.url(), _database: Some(database) }
    }

    fn fresh_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("billrecon.db").display());
        Self { folder, url, _database: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The binary under test in this folder, on this database, with nothing of the tester's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BILLRECON_"))
        {
            command.env_remove(name);
        }
        command.env("BILLRECON_DATABASE_URL", &self.url);
        if self.url.starts_with("postgres:") {
            // On SQLite the sandbox stands in by itself. A test may take this away again.
            command.env("BILLRECON_STRIPE_SANDBOX", "1");
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Imports a catalog, tenants and usage, each from text.
    pub fn import(&self, catalog: &str, tenants: &str, usage: &str) {
        self.import_rules(catalog, tenants);
        self.write("usage.csv", usage);
        self.run(&["import", "usage", "usage.csv"]).expect(0);
    }

    /// The same of a company that has used nothing yet.
    pub fn import_rules(&self, catalog: &str, tenants: &str) {
        self.write("catalog.toml", catalog);
        self.write("tenants.csv", tenants);
        self.run(&["import", "catalog", "catalog.toml"]).expect(0);
        self.run(&["import", "tenants", "tenants.csv"]).expect(0);
    }

    /// The small company of `company.rs`, imported.
    pub fn with_company(engine: Engine) -> Self {
        let workspace = Self::new(engine);
        workspace.import(CATALOG, TENANTS, USAGE);
        workspace
    }

    /// The same, and September was looked at while Stripe still took its usage: what closes it now finds all matched.
    pub fn with_watched_company(engine: Engine) -> Self {
        let workspace = Self::with_company(engine);
        workspace.watch("2026-09");
        workspace
    }

    /// A wake at noon (UTC) of a month's last day, which lies in every window that begins in that month: its usage is
    /// pushed in time. The sandbox's clock never goes back, so watch before anything runs at a later instant. The reports
    /// of the wake go to `watched`, out of the way of those that a test looks at.
    #[track_caller]
    pub fn watch(&self, period: &str) {
        let first: jiff::civil::Date = format!("{period}-01").parse().unwrap();
        let noon = format!("{}T12:00:00Z", first.last_of_month());
        self.watch_at(period, &noon);
    }

    /// The same at another instant.
    #[track_caller]
    pub fn watch_at(&self, period: &str, instant: &str) {
        let ended = self.run(&["run", "--period", period, "--as-of", instant, "--reports", "watched"]);
        // What is parked is the matter of the test.
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    }

    /// The same folder with settings that never push: closing finds nothing of the usage at Stripe and says so, with 0.
    /// For tests of the ledger's side only.
    pub fn observing(self) -> Self {
        assert!(!self.path("billrecon.toml").exists(), "this test has settings of its own");
        self.write("billrecon.toml", OBSERVE);
        self
    }

    /// Rows of a statement on the side; every column must be text.
    pub fn sql(&self, statement: &str) -> Vec<Vec<String>> {
        postgres::rows(&self.url, statement)
    }

    /// Takes away what keeps a table's rows as they are.
    pub fn unprotect(&self, table: &str) {
        postgres::unprotect(&self.url, table);
    }

    /// A single number, such as a count.
    pub fn number(&self, statement: &str) -> i64 {
        self.sql(&format!("SELECT CAST(({statement}) AS TEXT)"))[0][0].parse().unwrap()
    }

    /// The only folder of reports of a period.
    pub fn report_folder(&self, period: &str) -> PathBuf {
        let folders = self.report_folders(period);
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    pub fn report_folders(&self, period: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("reports").join(period)) else { return Vec::new() };
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders
    }

    /// The bytes of every data file of a period, by name: all but those that tell of one run.
    pub fn data_files(&self, period: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = files(&self.report_folder(period));
        files.retain(|name, _| !OF_ONE_RUN.contains(&name.as_str()));
        let sums = files.get_mut("SHA256SUMS").unwrap();
        let lines = std::str::from_utf8(sums).unwrap().split_inclusive('\n');
        *sums = lines
            .filter(|line| !OF_ONE_RUN.iter().any(|name| line.contains(name)))
            .collect::<String>()
            .into_bytes();
        files
    }
}

/// All files of a folder by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Rows of a CSV file as maps from column to text.
pub fn csv_rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| row.unwrap()).collect()
}

/// Sends a signal by name, such as `STOP`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// One migrated file that every test copies.
fn sqlite_template() -> &'static Path {
    static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = TEMPLATE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.db");
        migrate(&format!("sqlite://{}", path.display()));
        (folder, path)
    });
    path
}

/// Brings a database to the schema of the binary.
pub fn migrate(url: &str) {
    block_on(async {
        let database = Database::parse(url, Path::new("")).unwrap();
        Store::open(&database, Access::Write).await.unwrap().close().await;
    });
}
