//! Units of systemd and a crontab, read as strictly as their readers do not.

use std::collections::BTreeMap;

use super::read;
use super::rules::is_hourly;

const FOLDER: &str = "deploy/systemd";
const UNITS: [&str; 4] =
    ["billrecon.service", "billrecon.timer", "billrecon-guard.service", "billrecon-guard.timer"];

/// Keys that our units use; systemd only warns of one that it does not know, and goes on without it.
const KEYS: &[(&str, &str)] = &[
    ("Unit", "Description Documentation Wants After"),
    (
        "Service",
        "Type ExecStart SuccessExitStatus TimeoutStartSec TimeoutStopSec DynamicUser StateDirectory \
         StateDirectoryMode WorkingDirectory UMask Environment LoadCredential NoNewPrivileges CapabilityBoundingSet \
         AmbientCapabilities ProtectSystem ProtectHome PrivateTmp PrivateDevices ProtectClock ProtectControlGroups \
         ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProcSubset \
         RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID RemoveIPC LockPersonality \
         MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter SystemCallErrorNumber",
    ),
    ("Timer", "OnCalendar AccuracySec Persistent Unit"),
    ("Install", "WantedBy"),
];
/// They may stand more than once.
const REPEATED: [&str; 2] = ["Environment", "LoadCredential"];

#[derive(Debug)]
pub struct Unit {
    name: String,
    /// By section and key.
    values: BTreeMap<(String, String), Vec<String>>,
}

impl Unit {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut unit = Self { name: name.to_owned(), values: BTreeMap::new() };
        let mut section = String::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(inside) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                inside.clone_into(&mut section);
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(format!("no setting: {line}"))?;
            let known = KEYS.iter().find(|(one, _)| *one == section).map(|(_, keys)| *keys);
            if !known.is_some_and(|keys| keys.split_whitespace().any(|one| one == key)) {
                return Err(format!("[{section}] has no {key}"));
            }
            let values = unit.values.entry((section.clone(), key.to_owned())).or_default();
            if !values.is_empty() && !REPEATED.contains(&key) {
                return Err(format!("{key} stands twice"));
            }
            values.push(value.to_owned());
        }
        Ok(unit)
    }

    fn all(&self, section: &str, key: &str) -> &[String] {
        self.values.get(&(section.to_owned(), key.to_owned())).map(Vec::as_slice).unwrap_or_default()
    }

    #[track_caller]
    fn one(&self, section: &str, key: &str) -> &str {
        let [one] = self.all(section, key) else { panic!("{}: [{section}] {key}", self.name) };
        one
    }

    fn is_timer(&self) -> bool {
        self.values.keys().any(|(section, _)| section == "Timer")
    }

    /// Arguments and names of variables of a service.
    pub fn use_of_program(&self) -> Option<(Vec<String>, Vec<String>)> {
        let [start] = self.all("Service", "ExecStart") else { return None };
        let arguments = start.strip_prefix("/usr/local/bin/billrecon ").unwrap();
        let names =
            self.all("Service", "Environment").iter().map(|one| one.split_once('=').unwrap().0.to_owned());
        Some((arguments.split(' ').map(str::to_owned).collect(), names.collect()))
    }
}

#[track_caller]
pub fn units() -> Vec<Unit> {
    UNITS.iter().map(|name| Unit::parse(name, &read(&format!("{FOLDER}/{name}"))).unwrap()).collect()
}

pub struct Crontab {
    variables: Vec<String>,
    /// Schedule and command.
    lines: Vec<(String, String)>,
}

impl Crontab {
    fn parse(text: &str) -> Result<Self, String> {
        let mut crontab = Self { variables: Vec::new(), lines: Vec::new() };
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let is_variable = line
                .split_once('=')
                .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
            if let Some((name, _)) = is_variable {
                crontab.variables.push(name.to_owned());
                continue;
            }
            let fields: Vec<&str> = line.splitn(6, ' ').collect();
            let [schedule @ .., command] = &fields[..] else { return Err(format!("no line: {line}")) };
            let schedule = schedule.join(" ");
            if !is_hourly(&schedule) {
                return Err(format!("`{schedule}` is not once an hour"));
            }
            // cron takes it for the end of the line.
            if command.contains('%') {
                return Err(format!("a percent sign: {command}"));
            }
            crontab.lines.push((schedule, (*command).to_owned()));
        }
        Ok(crontab)
    }

    pub fn uses(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let arguments = |command: &str| {
            let command = command.strip_prefix("cd /srv/billrecon && billrecon ").unwrap();
            command.split(" >> ").next().unwrap().split(' ').map(str::to_owned).collect()
        };
        self.lines.iter().map(|(_, command)| (arguments(command), self.variables.clone())).collect()
    }
}

#[track_caller]
pub fn crontab() -> Crontab {
    Crontab::parse(&read("deploy/crontab")).unwrap()
}

#[test]
fn units_are_what_systemd_knows_and_wake_once_an_hour() {
    for unit in units() {
        if unit.is_timer() {
            let calendar = unit.one("Timer", "OnCalendar");
            let minute = calendar.strip_prefix("*-*-* *:").and_then(|rest| rest.strip_suffix(":00"));
            assert!(
                minute.is_some_and(|minute| minute.parse::<u8>().is_ok_and(|minute| minute < 60)),
                "{calendar}"
            );
            assert_eq!(unit.one("Timer", "Unit"), unit.name.replace(".timer", ".service"));
            assert_eq!(unit.one("Install", "WantedBy"), "timers.target");
        } else {
            assert_eq!(unit.one("Service", "Type"), "oneshot");
            for hardened in
                ["NoNewPrivileges", "PrivateTmp", "ProtectHome", "DynamicUser", "MemoryDenyWriteExecute"]
            {
                assert_eq!(unit.one("Service", hardened), "yes");
            }
            assert_eq!(unit.one("Service", "ProtectSystem"), "strict");
        }
    }
    let [run, timer, guard, ..] = &units()[..] else { unreachable!() };
    assert_eq!(timer.one("Timer", "Persistent"), "true");
    // Another run that works is no failure; whatever else is not 0 is one.
    assert_eq!(run.one("Service", "SuccessExitStatus"), "11");
    assert_eq!(guard.all("Service", "SuccessExitStatus"), [""; 0]);
}

/// A variable that ends in `_FILE` names a credential that the unit loads.
#[test]
fn each_secret_of_a_unit_is_one_of_its_credentials() {
    for unit in units().iter().filter(|unit| !unit.is_timer()) {
        let loaded: Vec<&str> =
            unit.all("Service", "LoadCredential").iter().map(|one| one.split_once(':').unwrap().0).collect();
        let variables = unit.all("Service", "Environment").iter().map(|one| one.split_once('=').unwrap());
        let mut named: Vec<&str> = Vec::new();
        for (name, value) in variables.filter(|(name, _)| *name != "BILLRECON_REPORTS") {
            assert!(name.ends_with("_FILE"), "{name} would stand in the unit");
            named.push(value.strip_prefix("%d/").unwrap());
        }
        assert_eq!(named, loaded);
    }
}

#[test]
fn the_crontab_wakes_once_an_hour_and_holds_no_secret() {
    let crontab = crontab();
    assert_eq!(crontab.lines.len(), 2);
    let ours = crontab.variables.iter().filter(|name| name.starts_with("BILLRECON_"));
    assert!(ours.clone().count() == 2 && ours.clone().all(|name| name.ends_with("_FILE")));
}

#[test]
fn a_wrong_key_a_wrong_section_and_a_wrong_schedule_are_found() {
    for (text, found) in [
        ("[Service]\nExecStrat=/bin/true", "has no ExecStrat"),
        ("[Timer]\nExecStart=/bin/true", "has no ExecStart"),
        ("[Timer]\nPersistent=true\nPersistent=false", "stands twice"),
        ("Persistent=true", "has no Persistent"),
        ("[Timer]\nPersistent", "no setting"),
    ] {
        let error = Unit::parse("x", text).unwrap_err();
        assert!(error.contains(found), "{error}");
    }
    for (text, found) in [
        ("5 2 * * * cd /srv", "once an hour"),
        ("99 * * * * x", "once an hour"),
        ("5 * * * * date +%s", "percent"),
    ] {
        let error = Crontab::parse(text).err().unwrap();
        assert!(error.contains(found), "{error}");
    }
}
