//! A stand-in for Slack's Web API: one channel, its messages, threads and files.
//!
//! In: answers that a method gives before it works. Out: the channel as a person would see it. Only what a bot of ours uses.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::server::{Answer, Request, answer, read};

pub const TOKEN: &str = "xoxb-1234-canary-s3cr3t";
pub const CHANNEL: &str = "C0BILLING1";

/// A message or a reply.
#[derive(Clone, Debug)]
pub struct Post {
    pub ts: String,
    /// Empty: it stands in the channel itself.
    pub thread: String,
    pub is_broadcast: bool,
    /// As it reads now.
    pub content: Value,
    /// How often it was changed.
    pub edits: usize,
}

#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub length: usize,
    pub thread: String,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    files: Vec<File>,
    /// Named and not yet shared.
    uploads: Vec<File>,
    /// Method, how many calls of it go well before, answer.
    faults: VecDeque<(&'static str, usize, Answer)>,
    calls: Vec<String>,
    strangers: usize,
}

#[derive(Clone)]
pub struct Channel {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Channel {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let channel = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(State::default())),
        };
        let served = channel.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if let Some(request) = read(&mut stream) {
                    let reply = served.serve(&request);
                    answer(&mut stream, reply);
                }
            }
        });
        channel
    }

    pub fn api_base(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    /// The next call of this method gets this answer and does nothing.
    pub fn fail(&self, method: &'static str, reply: Answer) {
        self.fail_after(0, method, reply);
    }

    /// The same after so many calls that go well.
    pub fn fail_after(&self, calls: usize, method: &'static str, reply: Answer) {
        self.state.lock().unwrap().faults.push_back((method, calls, reply));
    }

    /// What stands in the channel itself, oldest first.
    pub fn messages(&self) -> Vec<Post> {
        self.posts(|post| post.thread.is_empty())
    }

    pub fn replies(&self) -> Vec<Post> {
        self.posts(|post| !post.thread.is_empty())
    }

    fn posts(&self, is_wanted: impl Fn(&Post) -> bool) -> Vec<Post> {
        self.state.lock().unwrap().posts.iter().filter(|post| is_wanted(post)).cloned().collect()
    }

    pub fn files(&self) -> Vec<File> {
        self.state.lock().unwrap().files.clone()
    }

    /// Methods in the order of their calls.
    pub fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Calls without the bot's token.
    pub fn strangers(&self) -> usize {
        self.state.lock().unwrap().strangers
    }

    /// What somebody deletes by hand.
    pub fn forget_messages(&self) {
        self.state.lock().unwrap().posts.clear();
    }

    fn serve(&self, request: &Request) -> Answer {
        let mut state = self.state.lock().unwrap();
        let path = request.line.split(' ').nth(1).unwrap().to_owned();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let method = path.trim_start_matches("/api/").trim_start_matches('/');
        let method = method.split('/').next().unwrap().to_owned();
        state.calls.push(method.clone());
        state.strangers += usize::from(!request.headers.contains(&format!("authorization: bearer {TOKEN}")));
        if let Some(at) = state.faults.iter().position(|(of, ..)| *of == method) {
            if state.faults[at].1 == 0 {
                return state.faults.remove(at).unwrap().2;
            }
            state.faults[at].1 -= 1;
        }
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let reply = match method.as_str() {
            "chat.postMessage" => state.post(&body),
            "chat.update" => state.update(&body),
            "files.getUploadURLExternal" => state.upload(query, self.port),
            "upload" => json!({"ok": true}),
            "files.completeUploadExternal" => state.share(&body),
            other => panic!("nobody should call {other}"),
        };
        let text: &'static str = reply.to_string().leak();
        Answer::Status(200, text, "Content-Type: application/json; charset=utf-8\r\n")
    }
}

impl State {
    fn post(&mut self, body: &Value) -> Value {
        assert_eq!(body["channel"], CHANNEL);
        let ts = format!("1761955200.{:06}", self.posts.len());
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        self.posts.push(Post {
            ts: ts.clone(),
            thread: text("thread_ts"),
            is_broadcast: body["reply_broadcast"] == true,
            content: json!({"text": body["text"], "blocks": body["blocks"]}),
            edits: 0,
        });
        json!({"ok": true, "channel": CHANNEL, "ts": ts})
    }

    fn update(&mut self, body: &Value) -> Value {
        let Some(post) = self.posts.iter_mut().find(|post| body["ts"] == post.ts) else {
            return json!({"ok": false, "error": "message_not_found"});
        };
        post.content = json!({"text": body["text"], "blocks": body["blocks"]});
        post.edits += 1;
        json!({"ok": true, "channel": CHANNEL, "ts": post.ts})
    }

    fn upload(&mut self, query: &str, port: u16) -> Value {
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap().to_owned()
        };
        let length = value("length").parse().unwrap();
        self.uploads.push(File { name: value("filename"), length, thread: String::new() });
        let id = self.uploads.len() - 1;
        json!({"ok": true, "upload_url": format!("http://127.0.0.1:{port}/upload/{id}"), "file_id": format!("F{id}")})
    }

    fn share(&mut self, body: &Value) -> Value {
        assert_eq!(body["channel_id"], CHANNEL);
        let id = body["files"][0]["id"].as_str().unwrap();
        let file = self.uploads[id[1..].parse::<usize>().unwrap()].clone();
        self.files.push(File { thread: body["thread_ts"].as_str().unwrap().to_owned(), ..file });
        json!({"ok": true, "files": [{"id": id}]})
    }
}
