//! A PostgreSQL server of the test's own, which may be stopped while others go on with theirs.
//!
//! In: the programs and the user of the server that `scripts/test` started. Out: databases on a server that listens on a
//! socket in its folder only. Ends with its owner.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Engine, Workspace, migrate, postgres};

/// Every process that stands still keeps its sessions. The machine stays up, so what was written is there after a restart, on the disk or not. A commit must have been written.
const SETTINGS: &str = "listen_addresses = ''\nmax_connections = 400\nfsync = off\nsynchronous_commit = on\nfull_page_writes = off\n";

pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    /// PostgreSQL does not run as root.
    user: Option<(u32, u32)>,
}

impl Cluster {
    pub fn start() -> Self {
        let server = std::env::var("BILLRECON_TEST_POSTGRES_URL").expect("run the tests with scripts/test");
        let programs = &postgres::rows(&server, "SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0];
        let data = std::env::var("BILLRECON_TEST_POSTGRES_DATA").expect("run the tests with scripts/test");
        let owner = fs::metadata(data).unwrap();
        // Not TMPDIR: the server's user must be able to enter it, and a socket's path is short.
        let folder = tempfile::Builder::new().prefix("billrecon-pg.").tempdir_in("/tmp").unwrap();
        let mine = fs::metadata(folder.path()).unwrap().uid();
        let user = (owner.uid() != mine).then(|| (owner.uid(), owner.gid()));
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let cluster = Self { folder, programs: programs.into(), user };
        let of_database = ["-U", "billrecon", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        cluster.call("initdb", &of_database);
        let settings = format!("{SETTINGS}unix_socket_directories = '{}'\n", cluster.folder.path().display());
        let file = cluster.folder.path().join("data/postgresql.conf");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &settings).unwrap();
        cluster.control(&["start"]);
        cluster
    }

    /// As if it had crashed: it does not wait for anybody.
    pub fn restart(&self) {
        self.control(&["-m", "immediate", "restart"]);
    }

    /// With the schema, in a folder of its own.
    pub fn workspace(&self, name: &str) -> Workspace {
        self.create(name, "template0");
        let workspace = self.at(name);
        migrate(&workspace.url);
        workspace
    }

    /// A copy of another one's database.
    pub fn copy(&self, name: &str, original: &str) -> Workspace {
        self.create(name, original);
        self.at(name)
    }

    fn create(&self, name: &str, template: &str) {
        postgres::rows(&self.url("postgres"), &format!("CREATE DATABASE {name} TEMPLATE {template}"));
    }

    fn at(&self, name: &str) -> Workspace {
        // The server is taken away as a whole, so nobody need drop its databases.
        let mut workspace = Workspace::fresh(Engine::Sqlite);
        workspace.url = self.url(name);
        workspace
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://billrecon@localhost/{database}?host={}", self.folder.path().display())
    }

    fn control(&self, arguments: &[&str]) {
        let log = self.folder.path().join("server.log").display().to_string();
        self.call("pg_ctl", &[&["-w", "-t", "60", "-l", &log], arguments].concat());
    }

    fn call(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(arguments)
            .current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        // The server keeps what it inherits open, so it must be no pipe.
        let status =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{log}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "stop"]);
    }
}
