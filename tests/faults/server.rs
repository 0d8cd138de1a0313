//! A server under test: the built binary in its role `serve`, with a process that learns for it.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::LEASE_S;

/// Longer than a start, an end or an attempt on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    process: Child,
    log: tempfile::NamedTempFile,
    address: String,
    client: reqwest::Client,
}

impl Server {
    /// A server on a database, with a short lease. All that it is told is told by flags, so that the process that
    /// learns knows it only because it was handed on.
    pub(crate) async fn start(database_url: &str) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let out = File::options().append(true).open(log.path()).expect("the log was just made");
        let process = Command::new(env!("CARGO_BIN_EXE_counterpart"))
            .args(["serve", "--bind", "127.0.0.1:0", "--training-in", "process", "--training-poll-ms", "100"])
            .args(["--training-lease-s", &LEASE_S.to_string(), "--database-url", database_url])
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out)
            .spawn()
            .expect("the binary was built");
        let mut server = Self { process, log, address: String::new(), client: reqwest::Client::new() };
        server.address = server.until_it_listens().await;
        server
    }

    async fn until_it_listens(&self) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            // It says both at once, this one last.
            if log.contains("API http://")
                && let Some(address) = log.lines().find_map(|line| line.strip_prefix("dashboard http://"))
            {
                return address.to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "it never listened:\n{log}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until something is so of a job, as this server shows it, which answers at every look.
    pub(crate) async fn until(&self, job: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            assert_eq!(self.get("/readyz").await, "ready\n");
            let seen = self.get(&format!("/v1/fine-tune-jobs/{job}")).await;
            let seen = serde_json::from_str(&seen).expect("JSON");
            if is_so(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {seen}\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// What an address of it answers: a success.
    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await;
        text(answer.expect("the server answers")).await
    }

    /// Has it predict: a success.
    pub(crate) async fn predict(&self) {
        let url = format!("http://{}/v1/assets/tank-1/predict", self.address);
        let answer = self.client.post(url).json(&json!({"horizon": 30})).send().await;
        text(answer.expect("the server answers")).await;
    }

    /// The process that learns for it, while it has one. Its command line says nothing that it was told.
    pub(crate) fn learner(&self) -> Option<Pid> {
        let processes = fs::read_dir("/proc").expect("Linux").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let ours = Some(self.process.id().to_string());
        pids.map(Pid::from_raw).find(|&pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words == b"counterpart\0child\0" && status(pid, "PPid:") == ours && !is_gone(pid)
        })
    }

    /// Waits for another such process than one that is gone.
    pub(crate) async fn another_learner(&self, gone: Pid) -> Pid {
        let begun = Instant::now();
        loop {
            if let Some(learner) = self.learner().filter(|&learner| learner != gone) {
                return learner;
            }
            assert!(begun.elapsed() < PATIENCE, "no other came:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends it with a signal; returns when its own process is gone.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).expect("the server is our child");
        self.process.wait().expect("the server is our child")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failed test leaves nothing running either: what learns ends with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a process is gone, whoever was its parent.
pub(crate) async fn until_gone(pid: Pid) {
    let begun = Instant::now();
    while !is_gone(pid) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{pid} was left behind");
        tokio::time::sleep(POLL).await;
    }
}

/// It has ended, whether or not its parent has taken note.
fn is_gone(pid: Pid) -> bool {
    status(pid, "State:").is_none_or(|state| state.starts_with(['Z', 'X']))
}

fn status(pid: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
}

async fn text(answer: reqwest::Response) -> String {
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    assert!(status.is_success(), "{status} {text}");
    text
}
