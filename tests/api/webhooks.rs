//! Webhooks: who is told what, signed, again until it worked, and by whichever server is there.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::db::fixture;
use counterpart::server::{Config, RoomsConfig};
use reqwest::header;
use serde_json::{Value, json};

use crate::receiver::{Receiver, Reply};
use crate::tester::{Answer, START, Server};

pub(crate) const HOOKS: &str = "/v1/webhooks";

/// A server that may send to this machine, unencrypted.
pub(crate) async fn server() -> Server {
    on(fixture::fresh().await).await
}

pub(crate) fn open() -> RoomsConfig {
    let mut rooms = RoomsConfig::default();
    rooms.webhook.webhook_allow_http = true;
    rooms.webhook.webhook_networks = vec!["127.0.0.0/8".parse().unwrap()];
    rooms
}

async fn on(db: fixture::Fixture) -> Server {
    let server = Server::start_with_rooms(Config::default(), db, &open()).await;
    server.asset("tank-1").await;
    server
}

/// A webhook for all alarms, with changes to it.
pub(crate) async fn hook(server: &Server, url: &str, change: Value) -> Value {
    let mut body = json!({"name": "pager", "url": url,
        "events": ["alarm.raised", "alarm.cleared", "alarm.acknowledged", "alarm.shelved", "alarm.unshelved", "alarm.commented"]});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    server.post(HOOKS, body).await.success()
}

pub(crate) fn path(hook: &Value, rest: &str) -> String {
    format!("{HOOKS}/{}{rest}", hook["id"].as_str().unwrap())
}

pub(crate) async fn rule(server: &Server, severity: &str) -> Value {
    let body = json!({"name": "high", "condition": "above", "signal": "level", "limit": 5.0, "severity": severity});
    server.post("/v1/assets/tank-1/alarm-rules", body).await.success()
}

/// A reading, a second later, and what the rules make of it.
pub(crate) async fn level(server: &Server, value: f64) {
    server.clock.advance(TimeDelta::seconds(1));
    let frame = json!({"ts": server.clock.now(), "values": {"level": value}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    server.alarms().await;
}

/// Hands on and delivers all that is due: how many attempts.
pub(crate) async fn told(server: &Server) -> usize {
    while server.rooms.webhooks.spread().await.unwrap() > 0 {}
    let mut count = 0;
    loop {
        match server.rooms.webhooks.deliver().await.unwrap() {
            0 => return count,
            some => count += some,
        }
    }
}

pub(crate) async fn deliveries(server: &Server, hook: &Value) -> Vec<Value> {
    server.get(&path(hook, "/deliveries")).await.success()["items"].as_array().unwrap().clone()
}

fn kinds(receiver: &Receiver) -> Vec<String> {
    receiver.heard().iter().map(|heard| heard.json()["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_an_alarm_is_told_signed_and_in_its_order() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    level(&server, 6.0).await;
    // What was before it is not told.
    let made = hook(&server, &receiver.url("/hook?for=us"), json!({})).await;
    level(&server, 4.0).await;
    level(&server, 7.5).await;
    let alarm = server.alarms().await[0].clone();
    let act = async |verb: &str, body: Value| {
        server.clock.advance(TimeDelta::seconds(1));
        server.post(&format!("/v1/alarms/{}/{verb}", alarm["id"].as_str().unwrap()), body).await.success()
    };
    act("acknowledge", json!({"who": "Ada", "comment": "on my way"})).await;
    act("comment", json!({"comment": "a stuck valve"})).await;
    let until = server.clock.now() + TimeDelta::hours(1);
    act("shelve", json!({"until": until})).await;
    act("unshelve", json!({})).await;
    level(&server, 2.0).await;
    assert_eq!(told(&server).await, 7);
    assert_eq!(told(&server).await, 0, "once");

    let heard = receiver.heard();
    let mut by_instant = heard.clone();
    by_instant.sort_by_key(|one| one.json()["timestamp"].as_str().unwrap().to_owned());
    let order: Vec<_> = by_instant.iter().map(|one| one.json()["type"].as_str().unwrap().to_owned()).collect();
    let life = ["cleared", "raised", "acknowledged", "commented", "shelved", "unshelved", "cleared"];
    assert_eq!(order, life.map(|action| format!("alarm.{action}")));
    let secret = made["secret"].as_str().unwrap();
    for one in &heard {
        assert!(one.is_signed_with(secret), "{one:?}");
        assert!(!one.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert_eq!((one.path.as_str(), one.header("content-type")), ("/hook?for=us", "application/json"));
        assert_eq!(one.header("webhook-timestamp"), server.clock.now().timestamp().to_string());
        assert_eq!(
            (one.json()["id"].as_str().unwrap(), &one.json()["asset"]),
            (one.header("webhook-id"), &json!("tank-1"))
        );
    }
    let raised = by_instant[1].json();
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    assert_eq!(raised["timestamp"], json!(begin + TimeDelta::seconds(3)));
    let of = &raised["data"]["alarm"];
    assert_eq!((&of["id"], &of["severity"], &of["active"]), (&alarm["id"], &json!("major"), &json!(true)));
    assert_eq!((of["value"].as_f64(), of["limit"].as_f64(), &of["text"]), (Some(7.5), Some(5.0), &alarm["text"]));
    assert_eq!((&of["raised_at"], &of["cleared_at"]), (&json!(begin + TimeDelta::seconds(3)), &Value::Null));
    let acknowledged = by_instant[2].json();
    assert_eq!(acknowledged["data"]["entry"]["comment"], "on my way");
    assert_eq!(acknowledged["data"]["alarm"]["acknowledged_by"], "Ada");

    let listed = deliveries(&server, &made).await;
    assert_eq!(listed.len(), 7);
    assert!(listed.iter().all(|one| one["status"] == "delivered" && one["attempts"] == 1 && one["http_status"] == 200));
    assert!(listed.iter().all(|one| one["answer"] == "said 200" && one["error"].is_null() && one["due_at"].is_null()));
    let ids: Vec<_> = listed.iter().map(|one| one["event"].as_str().unwrap().to_owned()).collect();
    assert!(heard.iter().all(|one| ids.contains(&one.header("webhook-id").to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_what_it_asked_for() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "minor").await;
    for (name, change) in [
        ("all", json!({})),
        ("raised", json!({"events": ["alarm.raised"]})),
        ("models", json!({"events": ["model.promoted", "model.rolled_back", "job.failed"]})),
        ("here", json!({"assets": ["tank-1"], "asset_types": ["tank"], "severities": ["minor", "major"]})),
        ("bad ones", json!({"severities": ["critical"]})),
        ("off", json!({"enabled": false})),
    ] {
        hook(&server, &receiver.url(&format!("/{}", name.replace(' ', "-"))), change).await;
    }
    server.post("/v1/assets", json!({"key": "tank-2", "type": "tank"})).await.success();
    hook(&server, &receiver.url("/elsewhere"), json!({"assets": ["tank-2"]})).await;
    level(&server, 6.0).await;
    level(&server, 4.0).await;
    told(&server).await;
    let mut told: Vec<_> = receiver.heard().iter().map(|one| (one.path.clone(), one.json()["type"].clone())).collect();
    told.sort_by_key(|(path, kind)| (path.clone(), kind.to_string()));
    let told: Vec<_> = told.iter().map(|(path, kind)| (path.as_str(), kind.as_str().unwrap())).collect();
    let expected = [
        ("/all", "alarm.cleared"),
        ("/all", "alarm.raised"),
        ("/here", "alarm.cleared"),
        ("/here", "alarm.raised"),
        ("/raised", "alarm.raised"),
    ];
    assert_eq!(told, expected);
    let rows: i64 = sqlx::query_scalar("select count(*) from webhook_outbox").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_change_and_jobs_that_fail_are_told() {
    let server = server().await;
    let receiver = Receiver::start().await;
    hook(&server, &receiver.url("/"), json!({"events": ["model.promoted", "model.rolled_back", "job.failed"]})).await;
    // Two versions, as learning would write them.
    for version in [1, 2] {
        sqlx::query(
            "insert into model_version (id, asset_id, version, job_id, base, weights, sha256, recipe, calibration, scores, curve,
                 promoted, reason, created_at)
             select gen_random_uuid(), id, $1, gen_random_uuid(), 'b', '\\x00', sha256('\\x00'), '{}', '{}', '{}', '[]', false, 'r', now() from asset",
        )
        .bind(version)
        .execute(&server.db.pool)
        .await
        .unwrap();
    }
    for step in ["1/promote", "2/promote", "roll-back", "0/promote"] {
        server.clock.advance(TimeDelta::seconds(1));
        server.post(&format!("/v1/assets/tank-1/models/{step}"), json!({})).await.success();
    }
    // Promoting what serves changes nothing.
    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    // An asset without readings cannot be learned.
    server.clock.advance(TimeDelta::seconds(1));
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1"})).await.success();
    let step = server.learn_once().await;
    told(&server).await;
    let mut news: Vec<Value> = receiver.heard().iter().map(crate::receiver::Heard::json).collect();
    news.sort_by_key(|one| one["timestamp"].as_str().unwrap().to_owned());
    let versions = news.iter().map(|one| {
        let model = &one["data"]["model"];
        (one["type"].as_str().unwrap(), model["version"].as_i64(), model["previous_version"].as_i64())
    });
    let expected = [
        ("model.promoted", Some(1), Some(0)),
        ("model.promoted", Some(2), Some(1)),
        ("model.rolled_back", Some(1), Some(2)),
        ("model.promoted", Some(0), Some(1)),
        ("job.failed", None, None),
    ];
    assert_eq!(versions.collect::<Vec<_>>(), expected, "{step:?}");
    assert_eq!(news[0]["data"]["model"]["reason"], "promoted by hand");
    assert!(news[4]["data"]["job"]["error"].as_str().is_some_and(|text| !text.is_empty()), "{}", news[4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_attempted_again_when_its_time_has_come() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    let made = hook(&server, &receiver.url("/"), json!({"events": ["alarm.raised"]})).await;
    let asking = Reply { headers: vec![("retry-after", "90".to_owned())], ..Reply::of(503) };
    receiver.reply([Reply::of(500), asking]);
    level(&server, 6.0).await;
    assert_eq!(told(&server).await, 1);
    let first = deliveries(&server, &made).await[0].clone();
    assert_eq!(
        (&first["status"], &first["attempts"], &first["http_status"]),
        (&json!("pending"), &json!(1), &json!(500))
    );
    assert_eq!((&first["error"], &first["answer"]), (&json!("answered 500"), &json!("said 500")));
    let wait = first["due_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() - server.clock.now();
    assert!(TimeDelta::seconds(5) <= wait && wait <= TimeDelta::seconds(6), "{wait}");
    server.clock.advance(TimeDelta::milliseconds(4_900));
    assert_eq!(told(&server).await, 0, "not yet");
    server.clock.advance(TimeDelta::milliseconds(1_200));
    assert_eq!(told(&server).await, 1);
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!((&seen["failures"], &seen["failing_since"].is_string()), (&json!(2), &true));
    server.clock.advance(TimeDelta::seconds(89));
    assert_eq!(told(&server).await, 0, "it asked for 90 seconds");
    server.clock.advance(TimeDelta::seconds(2));
    assert_eq!(told(&server).await, 1);
    let last = deliveries(&server, &made).await[0].clone();
    assert_eq!((&last["status"], &last["attempts"], &last["error"]), (&json!("delivered"), &json!(3), &Value::Null));
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!((&seen["failures"], &seen["failing_since"]), (&json!(0), &Value::Null));
    // Each attempt is the same message, signed anew.
    let heard = receiver.heard();
    assert!(
        heard.iter().all(|one| one.body == heard[0].body && one.header("webhook-id") == heard[0].header("webhook-id"))
    );
    assert_ne!(heard[0].header("webhook-timestamp"), heard[2].header("webhook-timestamp"));
    assert!(heard.iter().all(|one| one.is_signed_with(made["secret"].as_str().unwrap())));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_after_ten_attempts_and_the_receiver_after_three_days() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    let made = hook(&server, &receiver.url("/"), json!({"events": ["alarm.raised"]})).await;
    receiver.reply((0..40).map(|_| Reply::of(500)));
    let begun = server.clock.now();
    let failed = async |value: f64| {
        level(&server, value).await;
        for attempt in 1..=10 {
            assert_eq!(told(&server).await, 1, "attempt {attempt}");
            server.clock.advance(TimeDelta::hours(15));
        }
        assert_eq!(told(&server).await, 0, "an eleventh attempt");
        level(&server, 1.0).await;
    };
    failed(6.0).await;
    let given_up = deliveries(&server, &made).await[0].clone();
    assert_eq!((&given_up["status"], &given_up["attempts"]), (&json!("failed"), &json!(10)));
    assert!(given_up["finished_at"].is_string() && given_up["due_at"].is_null(), "{given_up}");
    assert!(server.clock.now() - begun > TimeDelta::days(3));
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!((&seen["enabled"], &seen["failures"]), (&json!(true), &json!(10)), "days alone do not do it");
    failed(7.0).await;
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!((&seen["enabled"], &seen["failures"]), (&json!(false), &json!(20)));
    assert_eq!(seen["disabled_reason"], "nothing worked for 3 days; at last: answered 500");
    // Nothing is recorded for it any more; whoever mends it switches it on again.
    level(&server, 8.0).await;
    assert_eq!((told(&server).await, receiver.heard().len()), (0, 20));
    let mended = server.patch(&path(&made, ""), None, json!({"enabled": true})).await.success();
    assert_eq!((&mended["failures"], &mended["disabled_reason"]), (&json!(0), &Value::Null));
    level(&server, 1.0).await;
    level(&server, 8.0).await;
    assert_eq!(told(&server).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_for_good_is_switched_off_at_once() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    let made = hook(&server, &receiver.url("/"), json!({})).await;
    receiver.reply([Reply::of(410)]);
    level(&server, 6.0).await;
    assert_eq!(told(&server).await, 1);
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!(
        (&seen["enabled"], &seen["disabled_reason"]),
        (&json!(false), &json!("the receiver answered 410: it is gone for good"))
    );
    // What waits goes on when it is switched on again.
    server.clock.advance(TimeDelta::minutes(1));
    assert_eq!(told(&server).await, 0);
    server.patch(&path(&made, ""), None, json!({"enabled": true})).await.success();
    assert_eq!((told(&server).await, kinds(&receiver)), (1, vec!["alarm.raised".to_owned(); 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_tell_each_event_once() {
    let db = fixture::fresh().await;
    let one = on(db.clone()).await;
    let other = Server::start_with_rooms(Config::default(), db, &open()).await;
    let receiver = Receiver::start().await;
    rule(&one, "major").await;
    hook(&one, &receiver.url("/"), json!({})).await;
    for round in 0..15 {
        level(&one, if round % 2 == 0 { 6.0 } else { 4.0 }).await;
    }
    other.clock.advance(one.clock.now() - other.clock.now());
    let work = |server: &Server| {
        let hooks = server.rooms.webhooks.clone();
        tokio::spawn(async move {
            let mut count = 0;
            // Each goes on until nothing is left for it; the other may be about to hand something on.
            for _ in 0..30 {
                hooks.spread().await.unwrap();
                count += hooks.deliver().await.unwrap();
            }
            count
        })
    };
    let (here, there) = tokio::join!(work(&one), work(&other));
    assert_eq!(here.unwrap() + there.unwrap(), 15);
    let mut ids: Vec<_> = receiver.heard().iter().map(|heard| heard.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 15);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 15, "told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_over_an_attempt_leaves_it_to_another_and_its_own_word_no_longer_counts() {
    let server = server().await;
    let (hanging, receiver) = (Receiver::hanging().await, Receiver::start().await);
    rule(&server, "major").await;
    let made = hook(&server, &hanging.url("/"), json!({})).await;
    level(&server, 6.0).await;
    server.rooms.webhooks.spread().await.unwrap();
    let dying = tokio::spawn({
        let hooks = server.rooms.webhooks.clone();
        async move { hooks.deliver().await }
    });
    hanging.hears(1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    server.clock.advance(TimeDelta::days(1));
    assert_eq!(server.rooms.webhooks.deliver().await.unwrap(), 0, "it is leased, whatever the server's clock says");
    sqlx::query("update webhook_delivery set lease_expires_at = now() - interval '1 second'")
        .execute(&server.db.pool)
        .await
        .unwrap();
    server.patch(&path(&made, ""), None, json!({"url": receiver.url("/")})).await.success();
    assert_eq!(server.rooms.webhooks.deliver().await.unwrap(), 1);
    let done = deliveries(&server, &made).await[0].clone();
    assert_eq!((&done["status"], &done["attempts"]), (&json!("delivered"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_between_an_alarm_and_its_delivery() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    hook(&server, &receiver.url("/"), json!({})).await;
    // An alarm whose transaction does not come to its end is none, and nothing is told of it.
    sqlx::raw_sql("create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
        create constraint trigger no after insert on alarm_log deferrable initially deferred for each row execute function no();")
        .execute(&server.db.pool)
        .await
        .unwrap();
    server.clock.advance(TimeDelta::seconds(1));
    let frame = json!({"ts": server.clock.now(), "values": {"level": 6.0}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    assert!(server.rooms.alarms.watch().await.is_err());
    assert_eq!(told(&server).await, 0);
    sqlx::query("drop trigger no on alarm_log").execute(&server.db.pool).await.unwrap();
    // The server raises it and dies before anything else.
    assert_eq!(server.alarms().await.len(), 1);
    server.end.cancel();
    let next = Server::start_with_rooms(Config::default(), server.db.clone(), &open()).await;
    next.clock.advance(server.clock.now() - next.clock.now());
    // This one dies between handing on and delivering.
    assert_eq!(next.rooms.webhooks.spread().await.unwrap(), 1);
    let last = Server::start_with_rooms(Config::default(), server.db.clone(), &open()).await;
    last.clock.advance(server.clock.now() - last.clock.now());
    assert_eq!((told(&last).await, kinds(&receiver)), (1, vec!["alarm.raised".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_no_other() {
    let server = server().await;
    let (hanging, receiver) = (Receiver::hanging().await, Receiver::start().await);
    rule(&server, "major").await;
    let stuck = hook(&server, &hanging.url("/"), json!({})).await;
    hook(&server, &receiver.url("/"), json!({})).await;
    let work = tokio::spawn(server.rooms.webhooks.clone().keep_delivering(server.end.clone()));
    for round in 0..12 {
        level(&server, if round % 2 == 0 { 6.0 } else { 4.0 }).await;
    }
    let begun = std::time::Instant::now();
    assert_eq!(receiver.hears(12).await.len(), 12);
    // Well before the first attempt at the other is given up, which takes ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(hanging.hears(4).await.len(), 4, "only a few at a time");
    assert!(deliveries(&server, &stuck).await.iter().all(|one| one["status"] == "pending"));
    // The end does not wait for it for long.
    server.end.cancel();
    tokio::time::timeout(Duration::from_secs(6), work).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_rotated_without_a_gap() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let answer =
        server.post(HOOKS, json!({"name": " pager ", "url": receiver.url("/"), "events": ["alarm.raised"]})).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::CACHE_CONTROL)), (201, "no-store"));
    let made = answer.success();
    assert_eq!((made["name"].as_str().unwrap(), answer.header(header::LOCATION)), ("pager", &*path(&made, "")));
    let first = made["secret"].as_str().unwrap().to_owned();
    assert!(first.starts_with("whsec_") && first.len() == 50, "{first}");
    for place in ["", "/deliveries"] {
        assert!(!server.get(&path(&made, place)).await.text.contains("whsec_"));
    }
    assert!(!server.get(HOOKS).await.text.contains("whsec_"));
    let sent = async || {
        let tested = server.post(&path(&made, "/test"), json!({})).await.success();
        assert_eq!((&tested["status"], &tested["type"]), (&json!("delivered"), &json!("webhook.test")));
        receiver.heard().pop().unwrap()
    };
    assert!(sent().await.is_signed_with(&first));
    let rotate = async || server.post(&path(&made, "/secret"), json!({})).await.success();
    let second = rotate().await["secret"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    let both = sent().await;
    assert!(both.is_signed_with(&first) && both.is_signed_with(&second));
    assert!(server.get(&path(&made, "")).await.success()["previous_secret_until"].is_string());
    server.clock.advance(TimeDelta::hours(25));
    let later = sent().await;
    assert!(!later.is_signed_with(&first) && later.is_signed_with(&second));
    assert!(server.get(&path(&made, "")).await.success()["previous_secret_until"].is_null());
    let third = rotate().await["secret"].as_str().unwrap().to_owned();
    let both = sent().await;
    assert!(!both.is_signed_with(&first) && both.is_signed_with(&second) && both.is_signed_with(&third));
    assert_eq!(
        server
            .post(&format!("{HOOKS}/01890000-0000-7000-8000-000000000000/secret"), json!({}))
            .await
            .problem(404, "not-found")
            .len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_tells_what_the_receiver_said_and_is_not_repeated() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, &receiver.url("/"), json!({"enabled": false})).await;
    receiver.reply([Reply { body: "x".repeat(3_000), ..Reply::of(400) }]);
    let failed = server.post(&path(&made, "/test"), json!({})).await.success();
    assert_eq!((&failed["status"], &failed["http_status"]), (&json!("failed"), &json!(400)));
    assert_eq!(failed["answer"].as_str().unwrap().len(), 1_024, "only the beginning is kept");
    server.clock.advance(TimeDelta::days(1));
    assert_eq!(told(&server).await, 0);
    let seen = server.get(&path(&made, "")).await.success();
    assert_eq!((&seen["failures"], &seen["enabled"]), (&json!(0), &json!(false)));
    let body = receiver.heard()[0].json();
    assert_eq!((&body["type"], &body["asset"]), (&json!("webhook.test"), &Value::Null));
    assert_eq!(body["data"]["webhook"]["name"], "pager");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_listed_changed_and_deleted() {
    let server = server().await;
    let receiver = Receiver::start().await;
    for (change, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"events": []}), "/events"),
        (json!({"events": ["alarm.burning"]}), "/events/0"),
        (json!({"url": 7}), "/url"),
        (json!({"assets": ["tank-1", "tank-9"]}), "/assets/1"),
        (json!({"asset_types": ["boiler"]}), "/asset_types/0"),
        (json!({"severities": ["bad"]}), "/severities/0"),
        (json!({"secret": "whsec_AAAA"}), "/secret"),
    ] {
        let mut body = json!({"name": "a", "url": receiver.url("/"), "events": ["alarm.raised"]});
        body[change.as_object().unwrap().keys().next().unwrap()] =
            change.as_object().unwrap().values().next().unwrap().clone();
        assert_eq!(server.post(HOOKS, body).await.problem(422, "invalid"), [pointer], "{change}");
    }
    let first = hook(&server, &receiver.url("/1"), json!({"name": "first", "assets": ["tank-1"]})).await;
    server.clock.advance(TimeDelta::seconds(1));
    let second = hook(&server, &receiver.url("/2"), json!({"name": "second"})).await;
    let page = server.get(&format!("{HOOKS}?limit=1")).await.success();
    assert_eq!(page["items"][0]["id"], second["id"]);
    let next = format!("{HOOKS}?cursor={}", page["next"].as_str().unwrap());
    assert_eq!(server.get(&next).await.success()["items"][0]["id"], first["id"]);

    let read = server.get(&path(&first, "")).await;
    let changed = server.patch(&path(&first, ""), Some(read.tag()), json!({"name": "renamed", "assets": null})).await;
    assert_eq!((changed.json()["name"].as_str(), &changed.json()["assets"]), (Some("renamed"), &Value::Null));
    let stale = server.patch(&path(&first, ""), Some(read.tag()), json!({"name": "again"})).await;
    stale.problem(412, "precondition-failed");
    let refused = server.patch(&path(&first, ""), None, json!({"url": "https://10.0.0.1/"})).await;
    assert_eq!(refused.problem(422, "invalid"), ["/url"]);
    assert_eq!(server.delete(&path(&first, "")).await.status, 204);
    server.get(&path(&first, "")).await.problem(404, "not-found");
    server.get(&path(&first, "/deliveries")).await.problem(404, "not-found");
    server.post(&path(&first, "/test"), json!({})).await.problem(404, "not-found");
    // An asset that is gone does not keep its webhook from being changed.
    let kept = hook(&server, &receiver.url("/3"), json!({"assets": ["tank-1"]})).await;
    server.delete("/v1/assets/tank-1").await.success();
    server.patch(&path(&kept, ""), None, json!({"enabled": false})).await.success();
    for number in 0..98 {
        hook(&server, &receiver.url("/"), json!({"name": format!("n{number}")})).await;
    }
    let one_more = json!({"name": "a", "url": receiver.url("/"), "events": ["alarm.raised"]});
    server.post(HOOKS, one_more).await.problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_deliveries_are_forgotten_and_newer_ones_are_not() {
    let server = server().await;
    let receiver = Receiver::start().await;
    rule(&server, "major").await;
    let made = hook(&server, &receiver.url("/"), json!({"events": ["alarm.raised"]})).await;
    level(&server, 6.0).await;
    told(&server).await;
    server.clock.advance(TimeDelta::days(29));
    level(&server, 4.0).await;
    level(&server, 6.0).await;
    told(&server).await;
    assert_eq!(server.rooms.webhooks.forget().await.unwrap(), 0);
    server.clock.advance(TimeDelta::days(2));
    assert_eq!(server.rooms.webhooks.forget().await.unwrap(), 1);
    assert_eq!(deliveries(&server, &made).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_leaves_a_trail_without_the_secret() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, &receiver.url("/token-in-the-path"), json!({})).await;
    server.post(&path(&made, "/secret"), json!({})).await.success();
    let trail = async || server.get("/v1/audit").await;
    let mut seen: Answer = trail().await;
    // Entries are written beside the request.
    while !seen.text.contains("/secret") {
        tokio::task::yield_now().await;
        seen = trail().await;
    }
    assert!(!seen.text.contains("whsec_") && !seen.text.contains("token-in-the-path"), "{}", seen.text);
}
