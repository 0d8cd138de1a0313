//! The private cluster as a process among processes, and what the pool promises.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::Connection as _;

use super::*;

fn config(data_dir: &Path) -> Config {
    Config {
        database_url: None,
        data_dir: Some(data_dir.to_owned()),
        db_bin: None,
        db_pool_size: 4,
        db_acquire_timeout_ms: 5_000,
    }
}

#[test]
fn a_command_for_the_same_database_is_told_without_its_secrets() {
    let named = |url: Option<&str>, dir: Option<&str>| {
        Config { database_url: url.map(str::to_owned), data_dir: dir.map(Into::into), ..config(Path::new("")) }
            .as_arguments()
    };
    assert_eq!(named(None, None), "");
    assert_eq!(named(None, Some("/srv/twin-1")), "--data-dir /srv/twin-1");
    assert_eq!(named(None, Some("/srv/it's a twin")), r"--data-dir '/srv/it'\''s a twin'");
    let here = std::env::current_dir().unwrap().join("data");
    assert_eq!(named(None, Some("data")), format!("--data-dir {}", here.display()), "from wherever it is called");
    assert_eq!(named(Some(" "), None), "", "an empty variable names none");
    let url = named(Some("postgres://ada:secret@db/twin"), Some("/srv/twin"));
    assert_eq!(url, "--database-url \"$DATABASE_URL\"");
}

/// A temporary directory that the cluster's user can reach when root runs the tests.
fn scratch() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn residents_of(data_dir: &Path) -> usize {
    residents::residents(&data_dir.join("postgres/data")).len()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

async fn insert(database: &Database, key: &str) {
    sqlx::query("insert into asset_type (key, version, document, created_at) values ($1, 1, '{}', now())")
        .bind(key)
        .execute(&database.pool)
        .await
        .unwrap();
}

async fn keys(database: &Database) -> Vec<String> {
    sqlx::query_scalar("select key from asset_type order by key").fetch_all(&database.pool).await.unwrap()
}

/// Another process that opens the data directory's database: this test binary again.
fn other_process(data_dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "db::tests::as_another_process", "--ignored", "--nocapture"])
        .env("COUNTERPART_TEST_DATA_DIR", data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("database is open")), "the other process opened the database");
    // What it says at its end wants a reader.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

#[tokio::test]
#[ignore = "runs only as the child of other tests"]
async fn as_another_process() {
    let Some(data_dir) = std::env::var_os("COUNTERPART_TEST_DATA_DIR") else { return };
    let database = open(&config(Path::new(&data_dir))).await.unwrap();
    insert(&database, &format!("by-{}", std::process::id())).await;
    std::io::stdout().write_all(b"\ndatabase is open\n").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    database.close().await;
}

#[tokio::test]
async fn everything_is_still_there_after_a_stop_and_a_start() {
    let data_dir = scratch();
    let first = open(&config(data_dir.path())).await.unwrap();
    insert(&first, "pump").await;
    first.close().await;
    assert_eq!(residents_of(data_dir.path()), 0, "close waits for the end of PostgreSQL");
    let again = open(&config(data_dir.path())).await.unwrap();
    assert_eq!(keys(&again).await, ["pump"]);
    let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&again.pool).await.unwrap();
    assert_eq!(fsync, "on");
    again.close().await;
}

#[tokio::test]
async fn a_killed_process_leaves_no_postgres_and_the_next_one_need_not_wait_for_that() {
    let data_dir = scratch();
    for round in 1..=3 {
        let mut child = other_process(data_dir.path());
        assert!(residents_of(data_dir.path()) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        // At once, while the old postmaster still ends.
        let database = open(&config(data_dir.path())).await.unwrap();
        assert_eq!(keys(&database).await.len(), round);
        database.close().await;
    }
    let mut child = other_process(data_dir.path());
    child.kill().unwrap();
    child.wait().unwrap();
    until("no PostgreSQL is left", || residents_of(data_dir.path()) == 0);
}

#[tokio::test]
async fn a_postgres_whose_keeper_was_killed_too_is_ended_by_the_next_start() {
    let data_dir = scratch();
    let mut child = other_process(data_dir.path());
    let data = data_dir.path().join("postgres/data");
    let postmaster = residents::PidFile::read(&data).unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{postmaster}/status")).unwrap();
    let keeper = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    // The whole group but PostgreSQL itself: the shell and its reader.
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let parent = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let is_reader = parent.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == keeper));
        if is_reader && pid != postmaster.to_string() {
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        }
    }
    assert!(Command::new("kill").args(["-9", &keeper]).status().unwrap().success());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(residents_of(data_dir.path()) > 0, "it was left behind");
    let database = open(&config(data_dir.path())).await.unwrap();
    assert_eq!(keys(&database).await.len(), 1);
    assert_ne!(residents::PidFile::read(&data).unwrap().pid, postmaster);
    database.close().await;
}

#[tokio::test]
async fn a_second_process_joins_and_leaves_without_stopping_the_cluster() {
    let data_dir = scratch();
    let none = url(&config(data_dir.path())).await;
    assert!(matches!(none, Err(DbError::NotRunning(_))), "{none:?}");
    let database = open(&config(data_dir.path())).await.unwrap();
    let mut child = other_process(data_dir.path());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(keys(&database).await.len(), 1, "both worked on the same database");
    let url = url(&config(data_dir.path())).await.unwrap();
    assert_eq!(database.url(&config(data_dir.path())), url, "whoever runs it knows it too");
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    connection.ping().await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(
        psql(&config(data_dir.path()), &["-qAt".into(), "-o/dev/null".into(), "-cselect 1".into()]).await.unwrap(),
        0
    );
    assert_ne!(psql(&config(data_dir.path()), &["-qAtc".into(), "select nothing".into()]).await.unwrap(), 0);
    insert(&database, "still-here").await;
    database.close().await;
}

#[tokio::test]
async fn the_data_of_another_major_version_are_refused_with_advice() {
    let data_dir = scratch();
    let database = open(&config(data_dir.path())).await.unwrap();
    database.close().await;
    std::fs::write(data_dir.path().join("postgres/data/PG_VERSION"), "9\n").unwrap();
    let refused = open(&config(data_dir.path())).await.err().unwrap();
    assert!(matches!(refused, DbError::OtherMajor { data: 9, .. }), "{refused:?}");
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
}

#[tokio::test]
async fn a_folder_without_programs_is_refused() {
    let data_dir = scratch();
    let config = Config { db_bin: Some(data_dir.path().to_owned()), ..config(data_dir.path()) };
    assert!(matches!(open(&config).await.err(), Some(DbError::NotBinaries(_))));
}

#[tokio::test]
async fn a_data_directory_that_no_other_user_reaches_is_lent_elsewhere() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // As below /root: only root may pass.
    let closed = scratch();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data_dir = closed.path().join("data");
    let database = open(&config(&data_dir)).await.unwrap();
    insert(&database, "pump").await;
    database.close().await;
    let link = data_dir.join("postgres");
    assert!(link.is_symlink());
    let target = std::fs::read_link(&link).unwrap();
    let again = open(&config(&data_dir)).await.unwrap();
    assert_eq!(keys(&again).await, ["pump"]);
    again.close().await;
    std::fs::remove_dir_all(&data_dir).unwrap();
    let new = open(&config(&data_dir)).await.unwrap();
    assert_eq!(keys(&new).await.len(), 0, "a folder that was removed and made again is empty");
    new.close().await;
    std::fs::remove_dir_all(target).unwrap();
    std::fs::remove_dir_all(std::fs::read_link(&link).unwrap()).unwrap();
}

#[tokio::test]
async fn a_cancelled_begin_does_not_swallow_later_writes() {
    let fixture = fixture::fresh().await;
    let one = pool::build(fixture.url.parse().unwrap(), 1, Duration::from_secs(10)).await.unwrap();
    for round in 0..200_u64 {
        // Dropped in flight, at a different moment each time.
        let _ = tokio::time::timeout(Duration::from_micros(round * 5), one.begin()).await;
        sqlx::query("insert into asset_type (key, version, document, created_at) values ($1, 1, '{}', now())")
            .bind(format!("type-{round}"))
            .execute(&one)
            .await
            .unwrap();
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from asset_type").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(kept, 200);
}

#[tokio::test]
async fn fixtures_do_not_see_each_other() {
    let (one, other) = tokio::join!(fixture::fresh(), fixture::fresh());
    let done = sqlx::query("insert into asset_type (key, version, document, created_at) values ('a', 1, '{}', now())")
        .execute(&one.pool)
        .await
        .unwrap();
    assert!(touched_one(&done));
    let there: i64 = sqlx::query_scalar("select count(*) from asset_type").fetch_one(&other.pool).await.unwrap();
    assert_eq!(there, 0);
    let none = sqlx::query("delete from asset_type where key = 'b'").execute(&one.pool).await.unwrap();
    assert!(!touched_one(&none));
}
