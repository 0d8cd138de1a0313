//! Finds PostgreSQL's programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::Account;
use super::{Config, DbError};

/// A folder with `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// The programs to use, newest first; for a cluster that exists, those of its major version.
pub(super) fn find(
    config: &Config,
    account: Option<&Account>,
    existing: Option<(&Path, u32)>,
) -> Result<Binaries, DbError> {
    let mut usable: Vec<Binaries> = if let Some(dir) = &config.db_bin {
        vec![probe(dir, account).ok_or_else(|| DbError::NotBinaries(dir.clone()))?]
    } else {
        candidates().iter().filter_map(|dir| probe(dir, account)).collect()
    };
    usable.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    let Some((dir, data)) = existing else { return usable.into_iter().next().ok_or(DbError::NoBinaries) };
    if usable.is_empty() {
        return Err(DbError::NoBinaries);
    }
    let mut installed: Vec<String> = usable.iter().map(|binaries| binaries.major.to_string()).collect();
    installed.dedup();
    usable.into_iter().find(|binaries| binaries.major == data).ok_or_else(|| DbError::OtherMajor {
        dir: dir.to_owned(),
        data,
        installed: installed.join(", "),
    })
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        dirs.extend(named.map(|entry| entry.path().join("bin")));
    }
    // Where docker/setup.sh unpacks a fallback: for root in a place that other users reach too.
    dirs.push(PathBuf::from("/usr/local/lib/counterpart/postgresql/bin"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    dirs.extend(cache.map(|cache| cache.join("counterpart/postgresql/bin")));
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs
}

/// The major version of the programs in a folder, when the account can run them.
fn probe(dir: &Path, account: Option<&Account>) -> Option<Binaries> {
    let major = ["initdb", "postgres"].map(|program| {
        let mut command = Command::new(dir.join(program));
        Account::drop_to(account, &mut command);
        let output =
            command.arg("--version").current_dir("/").output().ok().filter(|output| output.status.success())?;
        major_version(&String::from_utf8_lossy(&output.stdout))
    });
    match major {
        [Some(initdb), Some(postgres)] if initdb == postgres => Some(Binaries { dir: dir.to_owned(), major: postgres }),
        _ => None,
    }
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15, `initdb (PostgreSQL) 19devel` is 19.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_the_programs_say() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("initdb (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major_version("command not found"), None);
    }
}
