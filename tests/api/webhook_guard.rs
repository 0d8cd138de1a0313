//! Where webhooks may not go: at registration, at delivery, by redirect, under another name; and encryption.

use axum::Router;
use chrono::TimeDelta;
use counterpart::db::fixture;
use counterpart::server::{Config, RoomsConfig};
use counterpart::webhook::guard::Names;
use counterpart::webhook::{EventType, WebhookForm};
use serde_json::{Value, json};

use crate::receiver::{Receiver, Reply, certified, one_connection};
use crate::tester::Server;
use crate::webhooks::{HOOKS, deliveries, hook, level, path, rule, server, told};

fn form(url: &str) -> WebhookForm {
    WebhookForm {
        name: "pager".to_owned(),
        url: url.to_owned(),
        events: vec![EventType::AlarmRaised],
        assets: None,
        asset_types: None,
        severities: None,
        enabled: true,
    }
}

/// One of each kind of address that is not public, with what it is called in the refusal.
const CLOSED: [(&str, &str); 17] = [
    ("0.0.0.0", "unspecified"),
    ("127.0.0.1", "loopback"),
    ("localhost", "loopback"),
    ("2130706433", "loopback"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("192.168.0.1", "private"),
    ("169.254.169.254", "link-local"),
    ("100.64.0.1", "carrier"),
    ("224.0.0.1", "multicast"),
    ("255.255.255.255", "reserved"),
    ("[::1]", "loopback"),
    ("[::ffff:169.254.169.254]", "disguise"),
    ("[64:ff9b::a9fe:a9fe]", "translated"),
    ("[fd00::1]", "unique to a site"),
    ("[fe80::1]", "link-local"),
    ("[ff02::1]", "multicast"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_address_that_is_not_public_is_refused_at_registration() {
    let server = Server::start().await;
    for (host, what) in CLOSED {
        let body = json!({"name": "a", "url": format!("https://{host}:9/hook"), "events": ["alarm.raised"]});
        let refused = server.post(HOOKS, body).await;
        assert_eq!(refused.problem(422, "invalid"), ["/url"], "{host}");
        assert!(refused.text.contains(what), "{host}: {}", refused.text);
    }
    for (url, what) in [
        ("http://8.8.8.8/", "https://"),
        ("ftp://8.8.8.8/", "https://"),
        ("https://ada:secret@8.8.8.8/", "password"),
        ("https://8.8.8.8/#a", "fragment"),
        ("8.8.8.8", "absolute URL"),
        ("https://no-such-name.invalid/", "cannot be resolved"),
    ] {
        let refused = server.post(HOOKS, json!({"name": "a", "url": url, "events": ["alarm.raised"]})).await;
        assert_eq!(refused.problem(422, "invalid"), ["/url"], "{url}");
        assert!(refused.text.contains(what) && !refused.text.contains("secret@"), "{url}: {}", refused.text);
    }
    let count = server.get(HOOKS).await.success()["items"].as_array().unwrap().len();
    assert_eq!(count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_that_is_not_public_is_refused_at_delivery_too() {
    // Registered while a setting allowed everything; the setting is gone.
    let server = Server::start().await;
    server.asset("tank-1").await;
    rule(&server, "major").await;
    let everything: Vec<_> = ["0.0.0.0/0", "::/0"].iter().map(|network| network.parse().unwrap()).collect();
    let mut settings = RoomsConfig::default();
    settings.webhook.webhook_networks = everything;
    let lax = Server::start_with_rooms(Config::default(), server.db.clone(), &settings).await;
    let mut made = Vec::new();
    for (host, what) in CLOSED {
        made.push((lax.rooms.webhooks.create(form(&format!("https://{host}:9/hook"))).await.unwrap().0, what));
    }
    level(&server, 6.0).await;
    assert_eq!(told(&server).await, CLOSED.len());
    for (webhook, what) in made {
        let one = deliveries(&server, &json!({"id": webhook.id})).await[0].clone();
        assert_eq!((&one["status"], &one["http_status"]), (&json!("pending"), &Value::Null));
        let error = one["error"].as_str().unwrap();
        assert!(error.starts_with("the address ") && error.contains(what), "{}: {error}", webhook.form.url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_elsewhere_a_moment_later_gains_nothing() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    let names = Names::fixed();
    let hooks = server.rooms.webhooks.clone().with_names(names.clone());
    let url = format!("http://receiver.example:{}/", receiver.address.port());
    // 127.0.0.0/8 is allowed here: it stands for what is public.
    names.point("receiver.example", &["127.0.0.1".parse().unwrap()]);
    let made = json!({"id": hooks.create(form(&url)).await.unwrap().0.id});
    level(&server, 6.0).await;
    names.point("receiver.example", &["169.254.169.254".parse().unwrap(), "::1".parse().unwrap()]);
    hooks.spread().await.unwrap();
    assert_eq!(hooks.deliver().await.unwrap(), 1);
    let refused = deliveries(&server, &made).await[0].clone();
    assert!(
        refused["error"].as_str().unwrap().contains("169.254.169.254 is no public address but link-local"),
        "{refused}"
    );
    assert_eq!(receiver.heard().len(), 0);
    // It leads back, with others that are not tried.
    let mixed = ["10.0.0.1", "127.0.0.1", "fe80::1"].map(|address| address.parse().unwrap());
    names.point("receiver.example", &mixed);
    server.clock.advance(TimeDelta::seconds(10));
    assert_eq!(hooks.deliver().await.unwrap(), 1);
    assert_eq!(deliveries(&server, &made).await[0]["status"], "delivered");
    let heard = receiver.heard();
    assert_eq!(heard[0].header("host"), format!("receiver.example:{}", receiver.address.port()));
    assert!(hooks.create(form("http://other.example/")).await.is_err(), "it leads nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let server = server().await;
    let (receiver, secret_place) = (Receiver::start().await, Receiver::start().await);
    rule(&server, "major").await;
    let made = hook(&server, &receiver.url("/"), json!({})).await;
    for status in [301, 302, 303, 307, 308] {
        let away = Reply { headers: vec![("location", secret_place.url("/admin"))], ..Reply::of(status) };
        receiver.reply([away]);
        let tested = server.post(&path(&made, "/test"), json!({})).await.success();
        assert_eq!((&tested["status"], &tested["http_status"]), (&json!("failed"), &json!(status)));
        assert_eq!(tested["error"], format!("answered {status}: redirects are not followed"));
    }
    assert_eq!((receiver.heard().len(), secret_place.heard().len()), (5, 0));
}

/// A receiver that speaks TLS with a certificate of its own, which is written to a file.
async fn encrypted(folder: &std::path::Path) -> (u16, std::path::PathBuf) {
    let (acceptor, file) = certified(folder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let router = Router::new().fallback(async || "taken");
                // A client that trusts nobody here leaves.
                if let Ok(stream) = acceptor.accept(stream).await {
                    one_connection(stream, router).await;
                }
            });
        }
    });
    (port, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_that_is_trusted_is_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (port, file) = encrypted(folder.path()).await;
    let mut settings = RoomsConfig::default();
    settings.webhook.webhook_networks = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let db = fixture::fresh().await;
    let stranger = Server::start_with_rooms(Config::default(), db.clone(), &settings).await;
    settings.webhook.webhook_ca_file = Some(file);
    let friend = Server::start_with_rooms(Config::default(), db, &settings).await;
    let made = hook(&friend, &format!("https://localhost:{port}/"), json!({})).await;
    let test = async |server: &Server, hook: &Value| server.post(&path(hook, "/test"), json!({})).await.success();
    let refused = test(&stranger, &made).await;
    assert_eq!(refused["status"], "failed");
    assert!(refused["error"].as_str().unwrap().starts_with("the encryption failed: "), "{refused}");
    let taken = test(&friend, &made).await;
    assert_eq!((&taken["status"], &taken["answer"]), (&json!("delivered"), &json!("taken")), "{taken}");
    // The certificate is for a name, and the address is not that name.
    let other = hook(&friend, &format!("https://127.0.0.1:{port}/"), json!({})).await;
    let refused = test(&friend, &other).await;
    assert!(refused["error"].as_str().unwrap().starts_with("the encryption failed: "), "{refused}");
}
