//! The scanner: hunts secrets in whatever came out of a program, however they are written.
//!
//! In: secrets by name, then bytes, files, folders. Out: what was found of them. Any twelve characters of a secret in a row are
//! a find: plain, percent-encoded, in base64, in hexadecimal, or as a list of numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::Ended;

/// So much of a secret is enough to tell.
const PART: usize = 12;

pub struct Scanner {
    /// What is looked for, by its first bytes.
    needles: BTreeMap<[u8; PART], Vec<(Vec<u8>, String)>>,
    /// The first two bytes of each: most places need no second look.
    starts: Vec<bool>,
}

impl Scanner {
    /// Of a key without what all keys begin with.
    pub fn of(secrets: &[(&str, &str)]) -> Self {
        let mut scanner = Self { needles: BTreeMap::new(), starts: vec![false; 1 << 16] };
        for (name, secret) in secrets {
            assert!(secret.len() >= PART, "{name} is too short to be looked for");
            for part in secret.as_bytes().windows(PART) {
                // Letters and digits are the same in a URL.
                let is_other = |(form, needle): &(&str, Vec<u8>)| *form == "plain" || needle != part;
                for (form, needle) in forms(part).into_iter().filter(is_other) {
                    let first = needle[..PART].try_into().unwrap();
                    scanner.starts[start(&needle)] = true;
                    scanner.needles.entry(first).or_default().push((needle, format!("{name}, {form}")));
                }
            }
        }
        scanner
    }

    pub fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(PART - 1) {
            if !self.starts[start(&bytes[at..])] {
                continue;
            }
            let first: [u8; PART] = bytes[at..at + PART].try_into().unwrap();
            let needles = self.needles.get(&first).into_iter().flatten();
            let here = needles.filter(|(needle, _)| bytes[at..].starts_with(needle));
            found.extend(here.map(|(_, what)| what.as_str()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What each file below a folder holds.
    pub fn find_in_files(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                found.extend(self.find_in_files(&path));
            } else {
                let bytes = fs::read(&path).unwrap();
                found.extend(self.find(&bytes).into_iter().map(|what| format!("{}: {what}", path.display())));
            }
        }
        found
    }

    #[track_caller]
    pub fn clears(&self, ended: &Ended) {
        let found = [self.find(ended.stdout.as_bytes()), self.find(ended.stderr.as_bytes())].concat();
        assert!(found.is_empty(), "{found:?} in {ended:#?}");
    }

    #[track_caller]
    pub fn clears_files(&self, folder: &Path) {
        let found = self.find_in_files(folder);
        assert!(found.is_empty(), "{found:#?}");
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Base64 needs no place of its own for each shift: of three parts in a row one lies where it would be cut.
fn forms(part: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |written: &dyn Fn(u8) -> String| part.iter().map(|one| written(*one)).collect::<String>();
    let reserved = |one: u8| !(one.is_ascii_alphanumeric() || b"-_.~".contains(&one));
    let plain_or = |one: u8, escape: String| if reserved(one) { escape } else { char::from(one).to_string() };
    let numbers: Vec<String> = part.iter().map(u8::to_string).collect();
    let base64 = base64(part);
    vec![
        ("plain", part.to_vec()),
        ("percent-encoded", each(&|one| plain_or(one, format!("%{one:02X}"))).into_bytes()),
        ("percent-encoded", each(&|one| plain_or(one, format!("%{one:02x}"))).into_bytes()),
        ("percent-encoded whole", each(&|one| format!("%{one:02X}")).into_bytes()),
        ("percent-encoded whole", each(&|one| format!("%{one:02x}")).into_bytes()),
        ("hexadecimal", each(&|one| format!("{one:02x}")).into_bytes()),
        ("hexadecimal", each(&|one| format!("{one:02X}")).into_bytes()),
        ("numbers", numbers.join(", ").into_bytes()),
        ("base64", base64.replace('-', "+").replace('_', "/").into_bytes()),
        ("base64", base64.into_bytes()),
    ]
}

/// With the letters for URLs; twelve bytes need no padding.
fn base64(part: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let four = |three: &[u8]| {
        let bits = three.iter().fold(0_usize, |bits, one| bits << 8 | usize::from(*one));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    };
    part.chunks_exact(3).flat_map(four).collect()
}

/// Written by other programs than this one.
#[test]
fn it_finds_a_planted_secret_in_each_way_of_writing() {
    let secret = "c4n4ry+p4ss/w0rd=9zQ7x";
    let scanner = Scanner::of(&[("password", secret)]);
    let planted = [
        ("plain", "c4n4ry+p4ss/w0rd=9zQ7x"),
        ("plain", "c4n4ry+p4ss/"),
        ("plain", "s/w0rd=9zQ7x"),
        ("plain", "postgres://app:c4n4ry+p4ss/w0rd=9zQ7x@host/db"),
        ("base64", "YzRuNHJ5K3A0c3MvdzByZD05elE3eA=="),
        ("base64", "YTpjNG40cnkrcDRzcy93MHJkPTl6UTd4"),
        ("base64", "YXA6YzRuNHJ5K3A0c3MvdzByZD05elE3eDo="),
        ("base64", "YXBwOmM0bjRyeStwNHNzL3cwcmQ9OXpRN3g="),
        ("base64", "YzRuNHJ5K3A0c3Mv"),
        ("percent-encoded", "c4n4ry%2Bp4ss%2Fw0rd%3D9zQ7x"),
        ("percent-encoded", "c4n4ry%2bp4ss%2fw0rd%3d9zQ7x"),
        ("percent-encoded whole", "%63%34%6E%34%72%79%2B%70%34%73%73%2F%77%30%72%64%3D%39%7A%51%37%78"),
        ("hexadecimal", "63346e3472792b703473732f773072643d397a513778"),
        ("hexadecimal", "63346E3472792B703473732F773072643D397A513778"),
        (
            "numbers",
            "[99, 52, 110, 52, 114, 121, 43, 112, 52, 115, 115, 47, 119, 48, 114, 100, 61, 57, 122, 81, 55, 120]",
        ),
    ];
    for (form, text) in planted {
        for before in ["", "x", "xy", "a longer text: "] {
            let bytes = format!("{before}{text}\u{1f600} and more");
            assert_eq!(scanner.find(bytes.as_bytes()), [format!("password, {form}")], "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/report.csv"), [b"\xff\0", text.as_bytes()].concat()).unwrap();
        let found = scanner.find_in_files(folder.path());
        assert!(found.len() == 1 && found[0].contains("report.csv: password"), "{form}: {found:?}");
    }
    for harmless in ["", "c4n4ry+p4ss", "w0rd=9zQ7x and c4n4ry", "p4ss c4n4ry w0rd"] {
        assert_eq!(scanner.find(harmless.as_bytes()), [""; 0]);
    }
}
