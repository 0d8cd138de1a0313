//! The server under test: the built binary with the private database of a data directory.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use counterpart::db;

/// Longer than any start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Server {
    data: PathBuf,
    address: SocketAddr,
    child: Child,
}

/// The settings of `db::Config` by themselves.
#[derive(clap::Parser)]
struct Settings {
    #[command(flatten)]
    db: db::Config,
}

impl Server {
    pub(crate) async fn start(data: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        // Root's PostgreSQL runs as another user, who must get in.
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        // A port that was free a moment ago: the same one in every life, as devices expect.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("a bound port has an address");
        drop(free);
        let child = spawn(data, address);
        let mut server = Self { data: data.to_owned(), address, child };
        server.until_ready().await;
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server was running");
        self.child.wait().expect("the server is our child");
    }

    /// A new life; returns how long it took to the first good answer.
    pub(crate) async fn restart(&mut self) -> Duration {
        let start = Instant::now();
        self.child = spawn(&self.data, self.address);
        self.until_ready().await;
        start.elapsed()
    }

    async fn until_ready(&mut self) {
        let client = reqwest::Client::new();
        let start = Instant::now();
        let url = format!("http://{}/readyz", self.address);
        loop {
            let answer = client.get(&url).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().expect("the server is our child");
            assert!(ended.is_none(), "the server ended by itself: {ended:?}\n{}", self.log());
            assert!(start.elapsed() < PATIENCE, "the server did not get ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("server.log")).unwrap_or_default()
    }

    /// A type with two signals, an asset for each writer and one for all.
    pub(crate) async fn make_assets(&self, writers: u64) {
        let signal = |name: &str| serde_json::json!({"name": name, "unit": "1", "kind": "number", "role": "output"});
        let made = serde_json::json!({"key": "crash", "interval": "PT1S", "signals": [signal("a"), signal("b")]});
        self.post("/v1/asset-types", &made).await;
        let keys = (0..writers).map(|number| format!("own-{number}")).chain([super::COMMON.to_owned()]);
        for key in keys {
            self.post("/v1/assets", &serde_json::json!({"key": key, "type": "crash"})).await;
        }
    }

    async fn post(&self, path: &str, body: &serde_json::Value) {
        let url = format!("http://{}{path}", self.address);
        let answer = reqwest::Client::new().post(url).json(body).send().await.expect("the server answers");
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap_or_default());
    }

    /// The address of the private database of the running server.
    pub(crate) async fn database_url(&self) -> String {
        let mut settings = Settings::parse_from(["crash"]);
        settings.db.database_url = None;
        settings.db.data_dir = Some(self.data.clone());
        db::url(&settings.db).await.expect("the server runs its database")
    }

    /// The killed server's database ends by itself.
    pub(crate) async fn until_no_postgres_is_left(&self) {
        let cluster = std::fs::canonicalize(self.data.join("postgres/data")).expect("the cluster exists");
        let start = Instant::now();
        while works_in(&cluster) {
            assert!(start.elapsed() < PATIENCE, "a PostgreSQL was left behind");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failed test leaves nothing running either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn works_in(directory: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    processes.map(|entry| std::fs::read_link(entry.path().join("cwd"))).any(|cwd| cwd.is_ok_and(|cwd| cwd == directory))
}

fn spawn(data: &Path, address: SocketAddr) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(data.join("server.log")).expect("a log file");
    Command::new(env!("CARGO_BIN_EXE_counterpart"))
        .arg("serve")
        .env_remove("DATABASE_URL")
        .env("COUNTERPART_DB_DATA_DIR", data)
        .env("COUNTERPART_SERVER_BIND", address.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the binary was built")
}
