//! The PostgreSQL processes that live in a data directory, and how they are made to leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::DbError;
use super::place::file;

const POLL: Duration = Duration::from_millis(20);

/// What PostgreSQL writes about itself into `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    started: String,
    pub(super) socket: PathBuf,
    pub(super) ready: bool,
}

impl PidFile {
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    /// Lines: pid, data directory, start, port, socket directory, address, shared memory, status.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        Some(Self {
            pid: lines.first()?.trim().parse().ok()?,
            started: (*lines.get(2)?).to_owned(),
            socket: PathBuf::from(lines.get(4)?),
            ready: lines.get(7).is_some_and(|status| status.trim() == "ready"),
        })
    }
}

/// The PostgreSQL processes of a cluster: they work in its data directory.
pub(super) fn residents(data: &Path) -> Vec<i32> {
    let Ok(data) = fs::canonicalize(data) else { return Vec::new() };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == data)
            && fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres")
    })
    .collect()
}

/// Waits for the end of a cluster that nobody keeps any more, and brings it about. We hold the lock.
pub(super) fn evict(data: &Path) -> Result<(), DbError> {
    let start = Instant::now();
    // Politely first; then as a crash, which PostgreSQL recovers from.
    for (signal, patience) in [(Signal::SIGINT, 20), (Signal::SIGQUIT, 5), (Signal::SIGKILL, 5)] {
        let pids = residents(data);
        if pids.is_empty() {
            break;
        }
        let postmaster = PidFile::read(data).map(|pid_file| pid_file.pid).filter(|pid| pids.contains(pid));
        tracing::warn!(db.processes = pids.len(), %signal, "ending a PostgreSQL that was left behind");
        match (signal, postmaster) {
            (Signal::SIGKILL, _) => send(&pids, signal),
            (_, Some(postmaster)) => send(&[postmaster], signal),
            // Without their postmaster, backends understand SIGQUIT.
            (_, None) => send(&pids, Signal::SIGQUIT),
        }
        let deadline = Instant::now() + Duration::from_secs(patience);
        while !residents(data).is_empty() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
    if !residents(data).is_empty() {
        let reason = format!("a PostgreSQL that was left behind does not end ({} s)", start.elapsed().as_secs());
        return Err(DbError::Stuck { dir: data.to_owned(), reason });
    }
    // The file of a killed postmaster: its number may by now be somebody else's, which would keep
    // PostgreSQL from starting.
    match fs::remove_file(data.join("postmaster.pid")) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(file(data, source)),
        _ => Ok(()),
    }
}

fn send(pids: &[i32], signal: Signal) {
    for &pid in pids {
        // One that has just ended is what we want.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_tells_the_socket_and_whether_the_cluster_is_ready() {
        let text = "4711\n/data\n1795000000\n5432\n/data/socket\n\n  123  456\nready   \n";
        let ready = PidFile::parse(text).unwrap();
        assert_eq!((ready.pid, ready.ready), (4711, true));
        assert_eq!(ready.socket, PathBuf::from("/data/socket"));
        assert!(!PidFile::parse(&text.replace("ready   ", "starting")).unwrap().ready);
        assert_eq!(PidFile::parse("4711\n/data\n"), None, "half written");
    }
}
