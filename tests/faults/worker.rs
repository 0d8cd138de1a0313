//! A worker under test: the built binary in its role `work`, in a process of its own that can be killed,
//! frozen and starved of memory.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, prlimit};

use super::LEASE_S;

pub(crate) struct Worker {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Worker {
    /// A worker on a database, with a short lease.
    pub(crate) fn start(database_url: &str) -> Self {
        Self::start_with(database_url, &[])
    }

    /// The same, with settings beside.
    pub(crate) fn start_with(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let out = File::options().append(true).open(log.path()).expect("the log was just made");
        let child = Command::new(env!("CARGO_BIN_EXE_counterpart"))
            .arg("work")
            .env("DATABASE_URL", database_url)
            .env("COUNTERPART_DB_POOL_SIZE", "4")
            .env("COUNTERPART_TRAINING_LEASE_S", LEASE_S.to_string())
            .env("COUNTERPART_TRAINING_POLL_MS", "100")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out)
            .spawn()
            .expect("the binary was built");
        Self { child, log }
    }

    /// SIGKILL, as by the kernel when memory runs out; returns when the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the worker is our child");
        self.child.wait().expect("the worker is our child");
    }

    /// SIGSTOP: it lives and does nothing at all.
    pub(crate) fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("the worker is our child");
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub(crate) fn thaw(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("the worker is our child");
    }

    /// Lets it have no more memory than it has: whatever it asks for from now on is refused.
    pub(crate) fn allow_no_more_memory(&self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("what it has");
        let kibibytes: u64 = size.trim().trim_end_matches(" kB").parse().expect("a number");
        let bytes = Some(1024 * kibibytes);
        let pid = rustix::process::Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::As, Rlimit { current: bytes, maximum: bytes }).expect("the worker is our child");
    }

    /// Whether its process has ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("the worker is our child").is_some()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A failed test leaves nothing running either; SIGKILL ends what is frozen too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
