//! The private cluster: made, started, joined and stopped.
//!
//! A process that runs it holds the lock file for its life. PostgreSQL is the child of a shell, the
//! keeper, whose standard input is a pipe from us: when the pipe closes, because we stop or because
//! we were killed, the keeper ends PostgreSQL. There is one way to end, and it needs no help from a
//! process that may be dead. A keeper that was killed as well leaves PostgreSQL behind; whoever next
//! gets the lock ends it first.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::binaries::{self, Binaries};
use super::place::{Account, Place, file};
use super::residents::{PidFile, evict, residents};
use super::{Config, DbError};

/// The database, and the role that owns it.
pub(super) const DATABASE: &str = "counterpart";

/// Recovery after a crash replays the log; it is waited for this long.
const START_PATIENCE: Duration = Duration::from_mins(5);
/// How long another process may take to start or to end the cluster that we want.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);
/// A fast shutdown writes a checkpoint.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Runs PostgreSQL until it ends or standard input closes. The reader has the pipe as descriptor 3,
/// because a shell gives its background jobs an empty standard input.
const KEEPER: &str = r#"
signal=$1 remove=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
postgres=$!
{ while read -r _; do :; done; kill -s "$signal" "$postgres"; } <&3 2>/dev/null &
reader=$!
exec 3<&-
wait "$postgres"
code=$?
kill "$reader" 2>/dev/null
[ -z "$remove" ] || rm -rf -- "$remove"
exit "$code"
"#;

/// What differs between the real thing and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Survives power cuts.
    Durable,
    /// For tests: nothing is forced to the disk, and the directory goes with the process.
    Passing,
}

/// A running private cluster: ours, or that of another counterpart process.
#[derive(Debug)]
pub(super) struct Cluster {
    /// PostgreSQL's programs.
    pub(super) bin: PathBuf,
    dir: PathBuf,
    socket: PathBuf,
    ours: Option<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    shell: Child,
    pipe: Option<ChildStdin>,
    _lock: File,
}

impl Cluster {
    /// Starts the cluster of the data directory, or joins the one that runs.
    pub(super) async fn open(config: &Config) -> Result<Self, DbError> {
        let config = config.clone();
        let cluster = blocking(move || {
            let place = Place::settle(config.data_dir.as_deref())?;
            Self::start_or_join(&config, &place, Use::Durable)
        })
        .await?;
        cluster.make_database().await?;
        Ok(cluster)
    }

    /// A cluster for tests below the temporary directory.
    pub(super) fn passing(config: &Config, name: &str) -> Result<Self, DbError> {
        let place = Place::temporary(name)?;
        Self::start_or_join(config, &place, Use::Passing)
    }

    /// The cluster of the data directory when one runs; starts nothing.
    pub(super) async fn running(config: &Config) -> Result<Self, DbError> {
        let config = config.clone();
        blocking(move || {
            let place = Place::settle(config.data_dir.as_deref())?;
            let lock = open_lock(&place)?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => Self::join(&config, &place, Instant::now() + LOCK_PATIENCE)?
                    .ok_or_else(|| DbError::NotRunning(place.dir.clone())),
                _ => Err(DbError::NotRunning(place.dir)),
            }
        })
        .await
    }

    fn start_or_join(config: &Config, place: &Place, use_: Use) -> Result<Self, DbError> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            let lock = open_lock(place)?;
            match lock.try_lock() {
                Ok(()) => return Self::start(config, place, use_, lock),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(file(&place.dir, source)),
            }
            drop(lock);
            if let Some(cluster) = Self::join(config, place, deadline)? {
                return Ok(cluster);
            }
        }
    }

    /// The cluster that the lock's holder runs; none when the lock is free again.
    fn join(config: &Config, place: &Place, deadline: Instant) -> Result<Option<Self>, DbError> {
        loop {
            let pid_file = PidFile::read(&place.data());
            if let Some(pid_file) = pid_file
                && pid_file.ready
                && residents(&place.data()).contains(&pid_file.pid)
            {
                let binaries = binaries::find(config, place.account.as_ref(), existing(place).as_ref().map(borrow))?;
                return Ok(Some(Self {
                    bin: binaries.dir,
                    dir: place.dir.clone(),
                    socket: pid_file.socket,
                    ours: None,
                }));
            }
            if Instant::now() > deadline {
                let reason = "another counterpart process holds it but does not get it ready".to_owned();
                return Err(DbError::Stuck { dir: place.dir.clone(), reason });
            }
            std::thread::sleep(POLL);
            if open_lock(place)?.try_lock().is_ok() {
                return Ok(None);
            }
        }
    }

    fn start(config: &Config, place: &Place, use_: Use, lock: File) -> Result<Self, DbError> {
        let data = place.data();
        let binaries = binaries::find(config, place.account.as_ref(), existing(place).as_ref().map(borrow))?;
        if data.exists() {
            evict(&data)?;
        } else {
            initialise(place, &binaries, use_)?;
        }
        let socket = place.socket_dir()?;
        let before = PidFile::read(&data);
        let mut shell = keep(place, &binaries, &socket, use_)?;
        let pipe = shell.stdin.take();
        let ours = Some(Keeper { shell, pipe, _lock: lock });
        let mut cluster = Self { bin: binaries.dir, dir: place.dir.clone(), socket, ours };
        cluster.wait_until_ready(&data, before.as_ref())?;
        Ok(cluster)
    }

    fn wait_until_ready(&mut self, data: &Path, before: Option<&PidFile>) -> Result<(), DbError> {
        let start = Instant::now();
        let mut said = start;
        loop {
            let now = PidFile::read(data);
            if now.as_ref().is_some_and(|now| now.ready) && now.as_ref() != before {
                return Ok(());
            }
            let ended = self.ours.as_mut().is_none_or(|keeper| !matches!(keeper.shell.try_wait(), Ok(None)));
            if ended {
                let output = last_lines(&self.dir.join("postgres.log"));
                return Err(DbError::Program { program: "postgres", output });
            }
            if start.elapsed() > START_PATIENCE {
                let reason = format!("it still recovers; see {}", self.dir.join("postgres.log").display());
                return Err(DbError::Stuck { dir: self.dir.clone(), reason });
            }
            if said.elapsed() > Duration::from_secs(5) {
                said = Instant::now();
                tracing::info!(took_s = start.elapsed().as_secs(), "the database is still recovering from a crash");
            }
            std::thread::sleep(POLL);
        }
    }

    /// How to connect to one of its databases.
    pub(super) fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(5432)
            .username(DATABASE)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .application_name("counterpart")
    }

    /// The same as a URL that psql and others take, whatever PGPORT and PGSSLMODE say.
    pub(super) fn url(&self, database: &str) -> String {
        // Every byte that could mean something in a URL is escaped, and the slashes with them.
        let host = self.socket.as_os_str().as_encoded_bytes().iter().fold(String::new(), |mut text, &byte| {
            use std::fmt::Write as _;
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(byte as char);
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        });
        format!("postgresql://{DATABASE}@localhost:5432/{database}?host={host}&sslmode=disable")
    }

    /// Its directory.
    pub(super) fn place(&self) -> String {
        self.dir.display().to_string()
    }

    /// Whether this process runs it.
    pub(super) fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    async fn make_database(&self) -> Result<(), DbError> {
        use sqlx::{ConnectOptions as _, Connection as _};
        let wrong = |source| DbError::Connect { place: self.place(), source };
        let mut connection = self.options("postgres").connect().await.map_err(wrong)?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = 'counterpart')")
            .fetch_one(&mut connection)
            .await
            .map_err(wrong)?;
        if !exists {
            let made = sqlx::query("create database counterpart").execute(&mut connection).await;
            // 42P04: another process was faster.
            if let Err(error) = made
                && error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() != Some("42P04")
            {
                return Err(wrong(error));
            }
        }
        connection.close().await.map_err(wrong)
    }

    /// Ends a cluster of ours and waits for it; leaves another process's alone.
    pub(super) async fn stop(self) {
        let Some(mut keeper) = self.ours else { return };
        drop(keeper.pipe.take());
        let data = self.dir.join("data");
        let ended = blocking(move || {
            let start = Instant::now();
            while start.elapsed() < STOP_PATIENCE {
                if !matches!(keeper.shell.try_wait(), Ok(None)) {
                    // The keeper is gone; PostgreSQL too, unless somebody killed the keeper alone.
                    return evict(&data);
                }
                std::thread::sleep(POLL);
            }
            evict(&data)
        })
        .await;
        if let Err(error) = ended {
            tracing::error!(%error, "the private database did not stop");
        }
    }
}

/// Runs work that waits for processes and disks away from the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn open_lock(place: &Place) -> Result<File, DbError> {
    let path = place.dir.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    opened.map_err(|source| file(&path, source))
}

/// The cluster's directory and the major version that made it, when there is a cluster.
fn existing(place: &Place) -> Option<(PathBuf, u32)> {
    let version = fs::read_to_string(place.data().join("PG_VERSION")).ok()?;
    Some((place.dir.clone(), version.trim().parse().ok()?))
}

fn borrow((dir, major): &(PathBuf, u32)) -> (&Path, u32) {
    (dir, *major)
}

/// One of PostgreSQL's programs as the cluster's user, deaf to the environment's PGDATA and the like.
fn program(place: &Place, path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    Account::drop_to(place.account.as_ref(), command.current_dir(&place.dir));
    command
}

/// Makes the cluster under another name and renames it once it is on the disk, so that a `data`
/// directory is always complete.
fn initialise(place: &Place, binaries: &Binaries, use_: Use) -> Result<(), DbError> {
    let (new, data) = (place.dir.join("data.new"), place.data());
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|source| file(&new, source))?;
    }
    let output = program(place, &binaries.dir.join("initdb"))
        .args(["--username", DATABASE, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"])
        .args(["--no-sync", "--no-instructions", "--pgdata"])
        .arg(&new)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| file(&binaries.dir, source))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(DbError::Program { program: "initdb", output });
    }
    let wrong = |source| file(&data, source);
    let dir = File::open(&place.dir).map_err(wrong)?;
    if use_ == Use::Durable {
        nix::unistd::syncfs(&dir).map_err(|errno| wrong(errno.into()))?;
    }
    fs::rename(&new, &data).map_err(wrong)?;
    dir.sync_all().map_err(wrong)
}

/// Starts PostgreSQL under its keeper, in a process group of its own: Ctrl-C in the terminal is for
/// us, and we still need the database to end in good order.
fn keep(place: &Place, binaries: &Binaries, socket: &Path, use_: Use) -> Result<Child, DbError> {
    use std::os::unix::process::CommandExt as _;
    let log = place.dir.join("postgres.log");
    if log.exists() {
        fs::rename(&log, place.dir.join("postgres.log.old")).map_err(|source| file(&log, source))?;
    }
    let sink = File::create(&log).map_err(|source| file(&log, source))?;
    let errors = sink.try_clone().map_err(|source| file(&log, source))?;
    let mut shell = program(place, Path::new("/bin/sh"));
    shell.args(["-c", KEEPER, "counterpart-keeper"]);
    match use_ {
        Use::Durable => shell.args(["INT", ""]),
        Use::Passing => shell.arg("QUIT").arg(&place.dir),
    };
    shell.arg(binaries.dir.join("postgres")).arg("-D").arg(place.data()).arg("-k").arg(socket);
    let mut settings = vec![
        "port=5432",
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "timezone=UTC",
        "log_timezone=UTC",
        // Compiling a plan costs more than our short statements take.
        "jit=off",
        // Errors of statements are the server's to log; this log is about the cluster itself.
        "log_min_messages=log",
        "log_checkpoints=off",
    ];
    match use_ {
        Use::Durable => settings.extend(["fsync=on", "synchronous_commit=on", "full_page_writes=on"]),
        Use::Passing => {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"]);
        }
    }
    for setting in settings {
        shell.args(["-c", setting]);
    }
    shell.stdin(Stdio::piped()).stdout(sink).stderr(errors).process_group(0);
    shell.spawn().map_err(|source| file(Path::new("/bin/sh"), source))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
