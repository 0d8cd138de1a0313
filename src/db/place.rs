//! Where the private cluster lives and which user runs it.
//!
//! PostgreSQL refuses to run as root, so root lends the cluster to another user, who must be able
//! to reach it: a folder below `/root` (mode 0700) is then replaced by a link to one below
//! `/var/lib/counterpart`.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::User;

use super::DbError;

/// Where root keeps what another user must reach.
const ROOT_HOME: &str = "/var/lib/counterpart";

/// Longest path of a unix socket, less the name that PostgreSQL gives it (`/.s.PGSQL.5432`).
const LONGEST_SOCKET_DIR: usize = 107 - 15;

/// The user who runs PostgreSQL when we are root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Nobody else, unless we are root: then the owner of the cluster, `postgres`, or `nobody`.
    fn choose(cluster: &Path) -> Result<Option<Self>, DbError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = fs::metadata(cluster.join("data"))
            && metadata.uid() != 0
        {
            return Ok(Some(Self { uid: metadata.uid(), gid: metadata.gid() }));
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or_else(|| DbError::Root("there is neither a user postgres nor nobody".to_owned()))?;
        Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Makes a command run as the account.
    pub(super) fn drop_to(account: Option<&Self>, command: &mut Command) {
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
    }

    /// Whether the account can enter a directory and write there, as only the kernel can tell.
    fn reaches(self, dir: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cd \"$1\" && test -w .", "sh"]).arg(dir).current_dir("/");
        Self::drop_to(Some(&self), &mut command);
        command.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

/// The cluster's directory, which exists, with the user who runs it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Holds `data`, `socket`, `lock` and `postgres.log`.
    pub(super) dir: PathBuf,
    pub(super) account: Option<Account>,
}

impl Place {
    /// Prepares `<data_dir>/postgres`, or what stands in for it.
    pub(super) fn settle(data_dir: Option<&Path>) -> Result<Self, DbError> {
        let data_dir = data_dir.map_or_else(default_data_dir, Path::to_owned);
        let data_dir = std::path::absolute(&data_dir).map_err(|source| file(&data_dir, source))?;
        fs::create_dir_all(&data_dir).map_err(|source| file(&data_dir, source))?;
        let dir = data_dir.join("postgres");
        // A link of an earlier start whose target is gone.
        if dir.is_symlink() && !dir.exists() {
            fs::remove_file(&dir).map_err(|source| file(&dir, source))?;
        }
        let account = Account::choose(&dir)?;
        let linked = dir.is_symlink();
        let Some(lent) = account else {
            let dir = if linked { fs::canonicalize(&dir).map_err(|source| file(&dir, source))? } else { dir };
            private_dir(&dir, None)?;
            return Ok(Self { dir, account });
        };
        if !linked {
            private_dir(&dir, account)?;
            if lent.reaches(&dir) {
                return Ok(Self { dir, account });
            }
            lend(&dir, lent)?;
        }
        let dir = fs::canonicalize(&dir).map_err(|source| file(&dir, source))?;
        if lent.reaches(&dir) {
            return Ok(Self { dir, account });
        }
        Err(DbError::Root(format!("the user it would run as cannot reach {}", dir.display())))
    }

    /// A new directory for a cluster of tests.
    pub(super) fn temporary(name: &str) -> Result<Self, DbError> {
        let mut failure = None;
        for parent in [std::env::temp_dir(), PathBuf::from("/tmp")] {
            let dir = parent.join(name);
            let account = Account::choose(&dir)?;
            private_dir(&dir, account)?;
            if account.is_none_or(|account| account.reaches(&dir)) {
                return Ok(Self { dir, account });
            }
            let _ = fs::remove_dir(&dir);
            failure = Some(dir);
        }
        let dir = failure.unwrap_or_default();
        Err(DbError::Root(format!("the user it would run as cannot reach {}", dir.display())))
    }

    /// The cluster itself: complete whenever it exists.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The directory of the unix socket: beside the data or, where that path would be too long for
    /// a socket, below the runtime directory.
    pub(super) fn socket_dir(&self) -> Result<PathBuf, DbError> {
        let mut dir = self.dir.join("socket");
        if dir.as_os_str().len() > LONGEST_SOCKET_DIR {
            let runtime = match (self.account, std::env::var_os("XDG_RUNTIME_DIR")) {
                (None, Some(runtime)) => PathBuf::from(runtime),
                _ => PathBuf::from("/tmp"),
            };
            dir = runtime.join(format!("counterpart-{}", short_hash(&self.dir)));
        }
        private_dir(&dir, self.account)?;
        Ok(dir)
    }
}

fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from(ROOT_HOME);
    }
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("data"), |share| share.join("counterpart"))
}

/// Replaces `dir`, which the account cannot reach, by a link to a directory that it can.
fn lend(dir: &Path, account: Account) -> Result<(), DbError> {
    // A folder that was removed and made again gets a new cluster, not the old one back.
    let name = dir.parent().unwrap_or(dir).to_string_lossy().trim_start_matches('/').replace('/', "-");
    let parent = Path::new(ROOT_HOME).join("for");
    fs::create_dir_all(&parent).map_err(|source| file(&parent, source))?;
    for number in 1..1000 {
        let target = parent.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
        match fs::create_dir(&target) {
            Ok(()) => {
                private_dir(&target, Some(account))?;
                fs::remove_dir(dir).map_err(|source| file(dir, source))?;
                std::os::unix::fs::symlink(&target, dir).map_err(|source| file(dir, source))?;
                tracing::info!(
                    db.dir = %dir.display(), db.target = %target.display(),
                    "PostgreSQL does not run as root and no other user reaches this folder: its data lie elsewhere, behind a link"
                );
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(file(&target, source)),
        }
    }
    Err(DbError::Root(format!("{} is full of folders for {}", parent.display(), dir.display())))
}

/// Makes a directory that only the cluster's user may enter. One that exists must be theirs.
fn private_dir(dir: &Path, account: Option<Account>) -> Result<(), DbError> {
    let wrong = |source| file(dir, source);
    match fs::create_dir(dir) {
        Ok(()) => {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(wrong)?;
            if let Some(Account { uid, gid }) = account {
                std::os::unix::fs::chown(dir, Some(uid), Some(gid)).map_err(wrong)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(dir).map_err(wrong)?;
            let own = nix::unistd::geteuid().as_raw();
            let owner = account.map_or(own, |account| account.uid);
            if metadata.is_dir() && metadata.uid() == own && own != owner {
                // Root was interrupted before it gave the directory away.
                std::os::unix::fs::chown(dir, Some(owner), account.map(|account| account.gid)).map_err(wrong)?;
            } else if !metadata.is_dir() || metadata.uid() != owner {
                return Err(wrong(io::Error::other("it exists and belongs to somebody else")));
            }
            if metadata.mode() & 0o077 != 0 {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(wrong)?;
            }
            Ok(())
        }
        Err(source) => Err(wrong(source)),
    }
}

/// The first bytes of the path's SHA-256, in hexadecimal.
fn short_hash(path: &Path) -> String {
    use std::fmt::Write as _;

    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(path.as_os_str().as_encoded_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn file(path: &Path, source: io::Error) -> DbError {
    DbError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_its_socket_in_the_runtime_directory() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("a".repeat(60)).join("b".repeat(60));
        fs::create_dir_all(&long).unwrap();
        let place = Place { dir: long, account: None };
        let socket = place.socket_dir().unwrap();
        assert!(socket.as_os_str().len() <= LONGEST_SOCKET_DIR, "{}", socket.display());
        assert_eq!(socket, place.socket_dir().unwrap(), "another process finds the same one");
        fs::remove_dir(socket).unwrap();
        let short = Place { dir: parent.path().to_owned(), account: None };
        assert_eq!(short.socket_dir().unwrap(), parent.path().join("socket"));
    }
}
