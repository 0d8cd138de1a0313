//! The program's `key`, and `--key` of those roles that ask a server.

use std::process::{Output, Stdio};

use counterpart::access::Role;
use reqwest::{Method, header};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::lives::with_history;
use crate::tester::{Answer, Server};

async fn program(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"));
    command.args(arguments).env("DATABASE_URL", &server.db.url).env_remove("COUNTERPART_KEY");
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked_by_hand() {
    let server = Server::start().await;
    let (code, output, remark) = program(&server, &["key", "list"]).await;
    assert!(code == 0 && output.contains("counterpart key create --name NAME --role admin"), "{output} {remark}");

    let (code, key, remark) = program(&server, &["key", "create", "--name", "Ada", "--role", "admin"]).await;
    assert_eq!((code, key.len(), key.ends_with('\n')), (0, 57, true), "nothing but the key: {key}{remark}");
    let key = key.trim();
    assert!(remark.contains("only time") && !remark.contains(&key[13..]), "{remark}");
    server.get("/v1/assets").await.problem(401, "key-needed");
    assert_eq!(Answer::to(server.with_key(Method::GET, "/v1/assets", key)).await.status, 200);

    let (_, device, _) =
        program(&server, &["key", "create", "--name", "pump", "--role", "device", "--days", "30"]).await;
    let (_, list, _) = program(&server, &["key", "list"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].starts_with("KEY ") && lines[1].contains(" pump ") && lines[2].contains(" Ada "), "{list}");
    assert!(
        lines[2].starts_with(&key[..12]) && lines[2].contains(" admin ") && lines[2].contains(" active "),
        "{list}"
    );
    assert!(!list.contains(&key[13..]), "{list}");

    let (code, _, remark) = program(&server, &["key", "revoke", &device[..12]]).await;
    assert!(code == 0 && remark.contains("revoked"), "{remark}");
    server.rooms.access.look().await.unwrap();
    Answer::to(server.with_key(Method::GET, "/v1/session", device.trim())).await.problem(401, "key-needed");
    let (code, _, refusal) = program(&server, &["key", "revoke", &key[..12]]).await;
    assert!(code != 0 && refusal.contains("last active key of an admin"), "{refusal}");
    assert_eq!(program(&server, &["key", "revoke", &key[..12], "--force"]).await.0, 0);
    for unknown in ["cpk_00000000", "01890000-0000-7000-8000-000000000000", "Ada"] {
        let (code, _, refusal) = program(&server, &["key", "revoke", unknown]).await;
        assert!(code == 1 && refusal.contains(unknown) && refusal.contains("key list"), "{refusal}");
    }
    let (code, _, refusal) = program(&server, &["key", "create", "--name", " ", "--role", "admin"]).await;
    assert!(code == 1 && refusal.contains("the name has 1 to 100 characters"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_keys_does_not_serve_other_machines() {
    let server = Server::start().await;
    let (code, output, refusal) = program(&server, &["serve", "--bind", "0.0.0.0:0"]).await;
    assert_eq!((code, output.as_str()), (1, ""), "{refusal}");
    assert!(refusal.contains("counterpart key create --name NAME --role admin"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_what_if_brings_its_key() {
    let server = with_history(700).await;
    let reader = server.key(Role::Reader).await;
    let device = server.key(Role::Device).await;
    server.key(Role::Admin).await;
    let url = server.url("");
    let ask = async |more: &[&str]| {
        program(&server, &[&["what-if", "tank-1", "--horizon", "5", "--url", &url], more].concat()).await
    };
    let (code, _, refusal) = ask(&[]).await;
    assert!(code == 4 && refusal.contains("(401)"), "{refusal}");
    let (code, _, refusal) = ask(&["--key", &device]).await;
    assert!(code == 4 && refusal.contains("reader, operator or admin"), "{refusal}");
    let (code, output, _) = ask(&["--key", &reader]).await;
    assert!(code == 0 && output.contains("tank-1"), "{output}");
    assert_eq!(ask(&["--key", "secret"]).await.0, 2);
    let mut by_environment = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"));
    by_environment.args(["what-if", "tank-1", "--horizon", "5", "--url", &url]).env("COUNTERPART_KEY", &reader);
    assert!(by_environment.output().await.unwrap().status.success());
    let (_, help, _) = ask(&["--help"]).await;
    assert!(help.contains("COUNTERPART_KEY") && !help.contains(&reader), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged() {
    let database = Server::start().await.db.clone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"));
    command.args(["serve", "--bind", "127.0.0.1:0", "--log", "trace"]).env("DATABASE_URL", &database.url);
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(&file).unwrap()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = said.next_line().await.unwrap().expect("it says where it is");
    let url = first.strip_prefix("dashboard ").unwrap().to_owned();

    let client = reqwest::Client::new();
    // The line that makes a key names the database, and never its password.
    let line = Answer::to(client.get(format!("{url}/v1/session/key-command"))).await.success();
    let expected = "counterpart key --database-url \"$DATABASE_URL\" create --name NAME --role reader";
    assert_eq!(line["command"], expected);
    let keys = client.post(format!("{url}/v1/api-keys")).json(&json!({"name": "Ada", "role": "admin"}));
    let key = Answer::to(keys).await.success()["key"].as_str().unwrap().to_owned();
    let wrong = format!("{}{}", &key[..13], "b".repeat(43));
    let read = |key: &str| client.get(format!("{url}/v1/assets")).bearer_auth(key);
    let with_cookie =
        |request: reqwest::RequestBuilder| request.header(header::COOKIE, format!("counterpart_key={key}"));
    let sign_in = |key: &str| client.post(format!("{url}/v1/session")).json(&json!({"key": key}));
    Answer::to(read(&key)).await.success();
    Answer::to(read(&wrong)).await.problem(401, "key-needed");
    Answer::to(with_cookie(client.get(format!("{url}/v1/assets")))).await.success();
    Answer::to(with_cookie(client.post(format!("{url}/v1/assets")).json(&json!({})))).await.problem(403, "forbidden");
    assert_eq!(Answer::to(sign_in(&key)).await.status, 204);
    Answer::to(sign_in(&wrong)).await.problem(401, "key-needed");
    // An error whose cause is logged.
    sqlx::query("drop table asset cascade").execute(&database.pool).await.unwrap();
    Answer::to(read(&key)).await.problem(500, "internal");
    child.kill().await.unwrap();

    let log = std::fs::read_to_string(&file).unwrap();
    for line in ["a key was made", "http.status=401", "http.status=403", "request failed", "TRACE"] {
        assert!(log.contains(line), "{line} is not in {log}");
    }
    assert!(!log.contains(&key[13..]) && !log.contains(&wrong[13..]), "{log}");
}
