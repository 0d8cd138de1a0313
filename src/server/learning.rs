//! The process that learns for a server, where `COUNTERPART_TRAINING_IN=process` asks for one: this program once
//! more, in the role `child`.
//!
//! Always: it ends when the server does, however that ends, because its standard input is a pipe that only the
//! server holds. It is told by its environment what the server was told, never on its command line, which everybody
//! on the machine may read. One that ends unasked is followed by another. What it was working on needs nothing
//! of this: its lease runs out, which costs an attempt. It has `libtorch` to itself, on one thread as everywhere.

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Config, END, Rooms};
use crate::observe::{Counter, Gauge};

/// This very program on Linux, also when another one lies in its place by now: a newer one would change the schema
/// under the server's feet.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// What the kernel is told of who is to go first when memory runs out: -1000 to 1000 (Linux, proc(5)).
const GOES_FIRST: (&str, &str) = ("/proc/self/oom_score_adj", "1000");

/// How long a process that was told to end may take, before it is killed: less than the server itself.
const PATIENCE: Duration = Duration::from_secs(END.as_secs() - 1);
/// How long one takes at most whose server is gone, so that nobody else can kill it.
const LONGEST_END: Duration = Duration::from_secs(END.as_secs() + 5);
/// A process that lived so long did not fail to start.
const STEADY: Duration = Duration::from_mins(1);
/// The longest wait for the next one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Starts the process, sees it end, and starts it again.
pub(super) struct LearningProcess {
    flags: Vec<(OsString, OsString)>,
    database_url: String,
    running: Gauge,
    ended: Counter,
}

impl LearningProcess {
    /// That of a server with these rooms, if it wants one and has left it anything to do.
    pub(super) fn of(rooms: &Rooms, config: &Config, database_url: String) -> Option<Self> {
        if !rooms.learns_elsewhere() || rooms.training.workers() + rooms.backtests.workers() == 0 {
            return None;
        }
        let running = "Processes that fine-tune and backtest for this server";
        let ended = "How often such a process ended unasked, or did not start";
        Some(Self {
            flags: config.flags.clone(),
            database_url,
            running: rooms.metrics.register("learning_processes", running, Gauge::default()),
            ended: rooms.metrics.register("learning_process_ends", ended, Counter::default()),
        })
    }

    /// Keeps one running until the end.
    pub(super) async fn keep(self, end: CancellationToken) {
        let mut in_a_row = 0;
        loop {
            let begun = Instant::now();
            let ended = self.run(&end).await;
            if end.is_cancelled() {
                return;
            }
            self.ended.inc();
            in_a_row = counted(in_a_row, begun.elapsed());
            let pause = pause(in_a_row);
            let pause_s = pause.as_secs();
            match ended {
                Ok(status) => {
                    tracing::warn!(process.status = %status, pause_s, "the process that learns ended; another follows");
                }
                Err(error) => {
                    let error = &error as &dyn Error;
                    tracing::error!(error, pause_s, "the process that learns cannot be started");
                }
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// One process from its start to its end.
    async fn run(&self, end: &CancellationToken) -> io::Result<ExitStatus> {
        let process = self.command()?.spawn()?;
        tracing::info!(process.id = process.id(), "started the process that learns");
        self.running.set(1);
        let ended = attend(process, end, PATIENCE).await;
        self.running.set(0);
        ended
    }

    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(program()?);
        command
            .arg0("counterpart")
            .arg("child")
            .envs(self.flags.iter().map(|(name, value)| (name, value)))
            .env("DATABASE_URL", &self.database_url)
            .stdin(Stdio::piped())
            // What is said goes where the server's log goes; what is answered is the server's.
            .stdout(Stdio::null())
            // Ctrl-C in the terminal is for the server, which passes it on.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

/// In the process that learns: it goes first when memory runs out, and has the program's name although it was
/// started by another path. Where the kernel does not take that, it learns all the same.
pub(super) fn give_way() {
    let (file, most) = GOES_FIRST;
    let _ = std::fs::write(file, most);
    let _ = prctl::set_name(c"counterpart");
}

/// In the process that learns: the end of standard input asks for the end. The server has let go of the pipe, or is
/// gone, and what does not end in time is cut.
pub(super) fn end_with_server(end: &CancellationToken) -> anyhow::Result<()> {
    let end = end.clone();
    // Not one of the runtime's threads: at the end it would wait for them.
    let watch = move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::info!("the server that this process learns for ends or is gone");
        end.cancel();
        std::thread::sleep(LONGEST_END);
        let _ = kill(Pid::this(), Signal::SIGKILL);
    };
    std::thread::Builder::new().name("server".to_owned()).spawn(watch).context("the server cannot be watched")?;
    Ok(())
}

/// Waits until a process ends: by itself, or at the end because it is told to, after so long at most.
async fn attend(mut process: Child, end: &CancellationToken, patience: Duration) -> io::Result<ExitStatus> {
    // Out of its hands, which close the pipe when it is waited for.
    let pipe = process.stdin.take();
    tokio::select! {
        ended = process.wait() => return ended,
        () = end.cancelled() => drop(pipe),
    }
    if let Ok(ended) = timeout(patience, process.wait()).await {
        return ended;
    }
    tracing::warn!("the process that learns was killed because it did not end in time");
    process.kill().await?;
    process.wait().await
}

fn program() -> io::Result<PathBuf> {
    let this = Path::new(THIS_PROGRAM);
    if this.exists() { Ok(this.to_owned()) } else { std::env::current_exe() }
}

/// How many have ended in a row without having been steady, with one that lived so long.
fn counted(before: u32, lived: Duration) -> u32 {
    if lived < STEADY { before.saturating_add(1) } else { 1 }
}

/// How long the next one is waited with: 1 s, 2 s, 4 s, a minute at most.
fn pause(in_a_row: u32) -> Duration {
    let doublings = in_a_row.saturating_sub(1).min(6);
    Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn started(program: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
    }

    fn ended() -> CancellationToken {
        let end = CancellationToken::new();
        end.cancel();
        end
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute() {
        let seconds = [1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(|in_a_row| pause(in_a_row).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_process_that_was_steady_begins_the_row_anew() {
        let lived = [0, 59, 60, 1].map(Duration::from_secs);
        let rows = lived.iter().scan(0, |row, &lived| {
            *row = counted(*row, lived);
            Some(*row)
        });
        assert_eq!(rows.collect::<Vec<_>>(), [1, 2, 1, 2]);
    }

    #[tokio::test]
    async fn a_process_that_is_told_to_end_hears_it_by_its_pipe() {
        let status = attend(started("cat", &[]), &ended(), Duration::from_mins(1)).await.unwrap();
        assert!(status.success(), "{status}");
    }

    #[tokio::test]
    async fn a_process_that_does_not_end_in_time_is_killed() {
        let status = attend(started("sleep", &["600"]), &ended(), Duration::ZERO).await.unwrap();
        assert_eq!(status.signal(), Some(9), "{status}");
    }

    #[tokio::test]
    async fn how_a_process_ended_by_itself_is_told() {
        let status = attend(started("false", &[]), &CancellationToken::new(), Duration::ZERO).await.unwrap();
        assert_eq!(status.code(), Some(1), "{status}");
    }
}
