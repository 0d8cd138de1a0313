//! The program's `what-if`: what it prints, what it draws, how it ends.

use std::process::Output;

use tokio::net::{TcpListener, TcpStream};

use crate::lives::with_history;
use crate::receiver::certified;
use crate::tester::Server;

async fn program(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"));
    command
        .arg("what-if")
        .args(arguments)
        .env_remove("COUNTERPART_SCENARIO_URL")
        .env_remove("COUNTERPART_SCENARIO_CA_FILE")
        .output()
        .await
        .unwrap()
}

async fn asked(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let url = server.url("");
    let output = program(&[arguments, &["--url", &url]].concat()).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_prints_a_table_and_draws_a_chart() {
    let server = with_history(700).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("what-if.svg");
    let svg = file.to_str().unwrap();
    let arguments = ["tank-1", "--ramp", "pump=70@5", "--horizon", "30", "--constraint", "level<9.5", "--svg", svg];
    let (code, output, complaint) = asked(&server, &arguments).await;
    assert_eq!((code, complaint.as_str()), (0, ""), "{output}");
    assert!(output.contains("tank-1: base (version 0)") && output.contains("level [m] now"), "{output}");
    assert!(output.contains("level < 9.500: broken with 0.0 %") && output.contains("kept"), "{output}");
    let drawn = std::fs::read_to_string(&file).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("<polyline") && drawn.trim_end().ends_with("</svg>"));

    let arguments = ["tank-1", "--set", "pump=55@3..", "--hold", "ambient", "--assume", "--horizon", "8", "--json"];
    let (code, output, _) = asked(&server, &arguments).await;
    let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &answer["scenarios"][0]["inputs"]["pump"]["values"][3]), (0, &serde_json::json!(55.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_exit_codes_say_what_came_of_it() {
    let server = with_history(700).await;
    let code = async |arguments: &[&str]| asked(&server, arguments).await;
    let (not_kept, output, _) =
        code(&["tank-1", "--set", "pump=58", "--constraint", "level<2", "--probability", "0.5"]).await;
    assert_eq!(not_kept, 3, "{output}");
    assert!(output.contains("NOT KEPT"), "{output}");

    let (refused, output, complaint) = code(&["tank-1", "--set", "level=3"]).await;
    assert_eq!((refused, output.as_str()), (4, ""));
    assert!(complaint.contains("role output") && complaint.contains("/scenarios/0/overrides/0/signal"), "{complaint}");
    assert_eq!(code(&["none"]).await.0, 4);
    assert_eq!(code(&["tank-1", "--set", "pump=90"]).await.0, 4, "faster than its ramp rate");
    assert_eq!(code(&["tank-1", "--set", "pump=90", "--clamp"]).await.0, 0);

    for wrong in
        [&["tank-1", "--set", "pump"][..], &["tank-1", "--constraint", "level"], &["tank-1", "--nonsense"], &[]]
    {
        assert_eq!(code(wrong).await.0, 2, "{wrong:?}");
    }
    let (unwritten, output, complaint) = code(&["tank-1", "--svg", "/nonexistent/what-if.svg"]).await;
    assert_eq!(unwritten, 6, "{complaint}");
    assert!(output.contains("tank-1"), "the table is printed all the same");

    let port = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let unreachable = program(&["tank-1", "--url", &format!("http://127.0.0.1:{port}")]).await;
    assert_eq!(unreachable.status.code(), Some(5), "{unreachable:?}");
    let secure = program(&["tank-1", "--url", &format!("https://127.0.0.1:{port}")]).await;
    assert_eq!(secure.status.code(), Some(5), "{secure:?}");
    let neither = program(&["tank-1", "--url", "ftp://localhost"]).await;
    assert_eq!(neither.status.code(), Some(2), "{neither:?}");

    let help = String::from_utf8(program(&["--help"]).await.stdout).unwrap();
    for line in [
        "Exit codes:",
        "  3  answered, but the scenario does not keep a constraint",
        "  5  the server could not be reached",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_only_a_certificate_that_is_believed_is_told_anything() {
    let server = with_history(700).await;
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, ca) = certified(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // What stands before a server that speaks plain HTTP.
    let plain = server.url("").trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                // A client that believes nobody here leaves.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut behind = TcpStream::connect(plain).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut behind).await);
                }
            });
        }
    });
    let url = format!("https://localhost:{port}");
    let ca = ca.to_str().unwrap();
    let asked = ["tank-1", "--set", "pump=55@3..", "--horizon", "8", "--url", url.as_str()];
    let answered = program(&[&asked[..], &["--ca", ca]].concat()).await;
    assert_eq!(answered.status.code(), Some(0), "{answered:?}");
    assert!(String::from_utf8_lossy(&answered.stdout).contains("tank-1: base (version 0)"), "{answered:?}");

    let stranger = program(&asked).await;
    assert_eq!(stranger.status.code(), Some(5), "{stranger:?}");
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("cannot be believed"), "{stranger:?}");
    // The certificate is for a name, and the address is not that name.
    let other = format!("https://127.0.0.1:{port}");
    let other = program(&["tank-1", "--url", &other, "--ca", ca]).await;
    assert_eq!(other.status.code(), Some(5), "{other:?}");
    let nothing = folder.path().join("none.pem");
    let unread = program(&[&asked[..], &["--ca", nothing.to_str().unwrap()]].concat()).await;
    assert_eq!(unread.status.code(), Some(2), "{unread:?}");
    assert!(String::from_utf8_lossy(&unread.stderr).contains("none.pem"), "{unread:?}");
}
