//! Every way in which Stripe, Slack or the database can fail, at trace level, with secrets in all settings.
//!
//! In: servers that refuse, break off, hang, and tell the client everything that it has said. Out: neither what is printed nor
//! what is left behind holds a secret. Waits are real, so what waits runs side by side.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::{CANARY, KEY, scanner};
use crate::billing::server::{Act, Asked};
use crate::billing::world::{FINAL, OPEN, SHADOW, World, tenants, usage};
use crate::dry_run::known;
use crate::slack::server::{Answer, FakeSlack, LONG_PATH};
use crate::support::account::COMPANY;
use crate::support::{ENGINES, Ended, Engine, Workspace};

/// How a server answers, given the whole request.
type Manner = fn(&str) -> String;

/// Each tells the client what it has said, its key too.
const MANNERS: [(&str, Manner); 12] = [
    ("401", |asked| error(401, "Invalid API Key provided", asked)),
    ("403", |asked| error(403, "Having the 'rak_invoice_read' permission would help", asked)),
    ("400", |asked| error(400, "no", asked)),
    ("404", |asked| error(404, "no", asked)),
    ("429", |asked| error(429, "slow down", asked)),
    ("500", |asked| error(500, "trouble", asked)),
    ("503 in HTML", |asked| answer(503, "", &format!("<pre>{asked}</pre>"))),
    ("200 in HTML", |asked| answer(200, "", &format!("<pre>{asked}</pre>"))),
    ("200 of another shape", |asked| answer(200, "", &format!("{{\"id\": [{asked:?}]}}"))),
    ("302", |asked| answer(302, &format!("Location: http://127.0.0.1:1/{}\r\n", key_in(asked)), "")),
    ("cut off", |asked| format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{asked}")),
    ("reset", |_| String::new()),
];

fn key_in(asked: &str) -> &str {
    asked.split("Bearer ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default()
}

fn error(status: u16, message: &str, asked: &str) -> String {
    let key = key_in(asked);
    let body = format!(
        r#"{{"error": {{"type": "invalid_request_error", "code": "{key}", "param": "{key}", "message": "{message}: {key}"}}}}"#
    );
    let headers = format!("Request-Id: req_{key}\r\nStripe-Rate-Limited-Reason: {key}\r\n");
    answer(status, &headers, &body)
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A server that answers in this manner; its base URL.
fn serve(manner: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // It lives as long as the test's process.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = String::new();
            let mut reader = BufReader::new(&stream);
            while reader.read_line(&mut asked).is_ok_and(|read| read > 2) {}
            let _left = stream.write_all(manner(&asked).as_bytes());
        }
    });
    url
}

/// A company whose settings hold every secret.
fn company() -> Workspace {
    let workspace = Workspace::with_company(Engine::Sqlite);
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    workspace
}

#[track_caller]
fn run(workspace: &Workspace, key: &str, api_base: &str) -> Ended {
    let mut command = workspace.command(&["run", "--log", "trace"]);
    command.env("BILLRECON_STRIPE_API_KEY", key).env("BILLRECON_STRIPE_API_BASE", api_base);
    let ended = Ended::of(command.env("BILLRECON_SLACK_WEBHOOK_URL", webhook(1)).output().unwrap());
    assert!(ended.stderr.contains("TRACE"), "{ended:?}");
    scanner().clears(&ended);
    scanner().clears_files(workspace.folder.path());
    ended
}

fn webhook(port: u16) -> String {
    format!("http://127.0.0.1:{port}{LONG_PATH}")
}

#[test]
fn no_answer_of_stripes_brings_a_key_to_light() {
    thread::scope(|scope| {
        for (name, manner) in MANNERS {
            // From the first request on, and after the account is known.
            for knows in [false, true] {
                scope.spawn(move || {
                    let url = serve(move |asked| {
                        let is_known = knows && asked.starts_with("GET /v1/account ");
                        if is_known { answer(200, "", COMPANY) } else { manner(asked) }
                    });
                    let key = if knows { "sk_live_" } else { "rk_test_" };
                    let ended = run(&company(), &format!("{key}{KEY}"), &url);
                    assert!(matches!(ended.code, Some(75 | 77 | 78)), "{name}: {ended:?}");
                });
            }
        }
    });
}

#[test]
fn no_stripe_that_is_not_there_brings_a_key_to_light() {
    // Accepts and says nothing: half a minute, twice.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().map(Result::unwrap).collect::<Vec<TcpStream>>());
    // Speaks no TLS.
    let plain = serve(|asked| answer(400, "", asked)).replace("http://", "https://");
    let nowhere = ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "https://no-such-host.invalid/"];
    thread::scope(|scope| {
        for url in [&silent, &plain].map(String::as_str).into_iter().chain(nowhere) {
            scope.spawn(move || {
                let ended = run(&company(), &format!("rk_live_{KEY}"), url).expect(75);
                assert!(ended.stderr.contains("run again later"), "{}", ended.stderr);
            });
        }
    });
}

#[test]
fn a_certificate_that_nobody_knows_gets_no_key_and_shows_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client tells at once what it wants.
            let _asked = stream.read(&mut [0; 4096]);
            let _left = stream.write_all(&unknown_certificate());
            let _left = stream.read(&mut [0; 4096]);
        }
    });
    let ended = run(&company(), &format!("rk_live_{KEY}"), &url).expect(75);
    assert!(ended.stderr.contains("invalid peer certificate"), "{}", ended.stderr);
}

/// What a server of TLS 1.2 says first. The certificate is judged before the signature, so that may be made up: nobody has the
/// key of this one any more.
fn unknown_certificate() -> Vec<u8> {
    let certificate = include_bytes!("self_signed.der");
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..].to_vec();
    // TLS 1.2, a random, no session, ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
    let hello = [&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2b, 0]].concat();
    let one = [length(certificate), certificate.to_vec()].concat();
    let certificates = [length(&one), one].concat();
    // A point on secp256r1, and a signature by ecdsa_secp256r1_sha256.
    let exchange = [&[3, 0, 0x17, 65, 4][..], &[7; 64], &[4, 3, 0, 8], &[7; 8]].concat();
    let message = |kind: u8, body: &[u8]| [&[kind][..], &length(body), body].concat();
    let all =
        [message(2, &hello), message(11, &certificates), message(12, &exchange), message(14, &[])].concat();
    [&[0x16, 3, 3][..], &length(&all)[1..], &all].concat()
}

/// What Stripe says to an event is kept with the intent.
#[test]
fn no_answer_to_a_push_brings_a_key_to_light() {
    for engine in ENGINES {
        let records = usage([("a", "130"), ("b", "20"), ("a", "1"), ("a", "2"), ("b", "3")]);
        let mut world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
        let proxy = world.through_proxy();
        let key = format!("rk_test_{KEY}");
        world.set("BILLRECON_STRIPE_API_KEY", &key);
        for (status, code) in [(400, 3), (500, 3), (429, 3), (403, 77), (401, 77)] {
            let body: &'static str =
                format!(r#"{{"error": {{"code": "{key}", "message": "no: {key}"}}}}"#).leak();
            proxy.rule(move |asked| if asked.is_push() { Act::Answer(status, body) } else { Act::Pass });
            let more = usage([("a", format!("{status}").as_str())]);
            world.import_usage(&more);
            let ended = world.run_with(OPEN, &["--log", "trace"]).expect(code);
            assert!(proxy.take().iter().any(Asked::is_push), "{status}");
            scanner().clears(&ended);
            let kept = format!("{:?}", known(&world.workspace));
            assert_eq!(scanner().find(kept.as_bytes()), [""; 0]);
            // There was something to find.
            assert!(kept.contains("no: [redacted]") || status != 400 || engine == Engine::Sqlite);
        }
        proxy.rule(|_| Act::Pass);
        scanner().clears(&world.run_with(FINAL, &["--log", "trace"]));
        scanner().clears_files(world.workspace.folder.path());
    }
}

#[test]
fn no_trouble_with_slack_brings_the_webhook_to_light() {
    let troubles = [
        [Answer::Status(404, LONG_PATH, "")].as_slice(),
        &[Answer::Status(400, LONG_PATH, "Content-Type: text/html\r\n")],
        &[Answer::Status(200, LONG_PATH, "Content-Type: application/json\r\n")],
        &[Answer::Status(500, LONG_PATH, ""); 3],
        &[Answer::Status(429, LONG_PATH, "Retry-After: 99\r\n")],
        &[Answer::Status(302, LONG_PATH, "Location: /services/T0CANARY00/B0CANARY00/c4n4rys3cr3t\r\n")],
        &[Answer::Close],
        &[Answer::Hang],
    ];
    thread::scope(|scope| {
        for answers in troubles {
            scope.spawn(move || {
                let slack = FakeSlack::start(answers);
                let ended = closing(&webhook(slack.port()));
                assert!(!slack.requests().is_empty() && ended.stderr.contains("Slack"), "{ended:?}");
            });
        }
        for nobody in [webhook(1), webhook(1).replace("http:", "https:")] {
            scope.spawn(move || closing(&nobody));
        }
    });
}

/// A run whose message goes to this address.
fn closing(webhook: &str) -> Ended {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let mut command = workspace.command(&["run", "--period", "2026-09", "--log", "trace"]);
    let ended = Ended::of(command.env("BILLRECON_SLACK_WEBHOOK_URL", webhook).output().unwrap()).expect(0);
    scanner().clears(&ended);
    scanner().clears_files(workspace.folder.path());
    ended
}

/// It asks for the password in clear text, which goes over the wire then, and refuses it.
#[test]
fn a_password_that_a_server_has_asked_for_and_refused_is_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().try_for_each(refuse_password));
    let folder = tempfile::tempdir().unwrap();
    for mode in ["disable", "prefer"] {
        let url = format!("postgres://app:{CANARY}@{address}/billrecon?sslmode={mode}");
        for command in super::COMMANDS {
            let arguments = [command, &["--log", "trace", "--database", &url][..]].concat();
            let mut command = crate::cli::binary(folder.path(), &arguments);
            let ended = Ended::of(command.env("BILLRECON_STRIPE_SANDBOX", "1").output().unwrap());
            assert!(matches!(ended.code, Some(66 | 73..=78)), "{ended:?}");
            scanner().clears(&ended);
        }
    }
}

/// What a client asks for that wants TLS.
const ENCRYPTED: [u8; 4] = 80_877_103_u32.to_be_bytes();

fn refuse_password(mut stream: TcpStream) -> std::io::Result<()> {
    let read = |stream: &mut TcpStream, head: usize| {
        let mut bytes = vec![0; head + 4];
        stream.read_exact(&mut bytes)?;
        let length = u32::from_be_bytes(bytes[head..].try_into().unwrap()) as usize;
        let mut rest = vec![0; length - 4];
        stream.read_exact(&mut rest)?;
        std::io::Result::Ok(rest)
    };
    if read(&mut stream, 0)? == ENCRYPTED {
        stream.write_all(b"N")?;
        read(&mut stream, 0)?;
    }
    stream.write_all(b"R\0\0\0\x08\0\0\0\x03")?;
    let password = read(&mut stream, 1)?;
    assert_eq!(password, format!("{CANARY}\0").into_bytes());
    let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"app\"\0\0";
    stream.write_all(b"E")?;
    stream.write_all(&(u32::try_from(fields.len()).unwrap() + 4).to_be_bytes())?;
    stream.write_all(fields)
}
