//! Alarms: raised, held and cleared by readings, forecasts and silence; acknowledged and shelved by people.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header;
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, START, Server};

const RULES: &str = "/v1/assets/tank-1/alarm-rules";

fn at(seconds: i64) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

async fn with_tank() -> Server {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server
}

/// A rule on the level above 5 m, with `change` in it.
async fn rule(server: &Server, change: Value) -> Value {
    let mut form =
        json!({"name": "level high", "condition": "above", "signal": "level", "limit": 5.0, "severity": "major"});
    for (name, value) in change.as_object().unwrap() {
        form[name] = value.clone();
    }
    let made = server.post(RULES, form).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

/// Sends levels at seconds after [`START`], then evaluates everything that is behind.
async fn levels(server: &Server, levels: &[(i64, f64)]) {
    let frames: Vec<Value> =
        levels.iter().map(|(second, level)| json!({"ts": at(*second), "values": {"level": level}})).collect();
    server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
    watch(server).await;
}

async fn watch(server: &Server) {
    while server.rooms.alarms.watch().await.unwrap() > 0 {}
}

async fn alarms(server: &Server, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/alarms{query}")).await.success()["items"].as_array().unwrap().clone()
}

/// What happened to an alarm: action and event time in seconds after [`START`].
async fn story(server: &Server, alarm: &Value) -> Vec<String> {
    let shown = server.get(&path(alarm, "")).await.success();
    let entry = |entry: &Value| {
        let action = entry["action"].as_str().unwrap();
        match entry["observed_at"].as_str() {
            Some(text) => format!("{action} {}", (text.parse::<DateTime<Utc>>().unwrap() - at(0)).num_seconds()),
            None => action.to_owned(),
        }
    };
    shown["log"].as_array().unwrap().iter().map(entry).collect()
}

fn path(alarm: &Value, verb: &str) -> String {
    format!("/v1/alarms/{}{verb}", alarm["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_alarm_is_raised_by_telemetry_held_by_hysteresis_and_cleared() {
    let server = with_tank().await;
    rule(&server, json!({"deadband": 0.5, "description": "open the valve"})).await;
    levels(&server, &[(0, 4.0), (1, 5.0)]).await;
    assert!(alarms(&server, "").await.is_empty(), "at the limit is not above it");
    levels(&server, &[(2, 6.25), (3, 7.0)]).await;
    let raised = alarms(&server, "?state=active").await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    let alarm = &raised[0];
    assert_eq!((&alarm["raised_at"], &alarm["value"], &alarm["limit"]), (&json!(at(2)), &json!(6.25), &json!(5.0)));
    assert_eq!(
        (&alarm["severity"], &alarm["source"], &alarm["asset"]),
        (&json!("major"), &json!("measured"), &json!("tank-1"))
    );
    assert_eq!(alarm["text"], "level is 6.25 m, above 5 m");
    assert_eq!(
        (&alarm["active"], &alarm["acknowledged"], &alarm["cleared_at"]),
        (&json!(true), &json!(false), &Value::Null)
    );
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("counterpart_alarms_active{severity=\"major\"} 1"), "{metrics}");

    levels(&server, &[(4, 4.8), (5, 5.2), (6, 4.6), (7, 5.1)]).await;
    assert_eq!(story(&server, alarm).await, ["raised 2"], "within the deadband nothing happens");
    // What came late changes nothing, neither way.
    levels(&server, &[(3, 1.0)]).await;
    assert_eq!(story(&server, alarm).await, ["raised 2"]);
    levels(&server, &[(8, 4.5), (9, 4.9)]).await;
    assert_eq!(story(&server, alarm).await, ["raised 2", "cleared 8"]);
    assert!(alarms(&server, "?state=active").await.is_empty());
    assert_eq!(alarms(&server, "?state=cleared").await[0]["cleared_at"], json!(at(8)));

    // Twice in one look: two alarms, one of them over already.
    levels(&server, &[(10, 6.0), (11, 4.0), (12, 6.0)]).await;
    assert_eq!((alarms(&server, "").await.len(), alarms(&server, "?state=active").await.len()), (3, 1));
    assert!(server.get("/metrics").await.text.contains("counterpart_alarms_active{severity=\"major\"} 1"));
    watch(&server).await;
    assert_eq!(alarms(&server, "").await.len(), 3, "the same evidence is not looked at again");
}

#[tokio::test]
async fn a_condition_must_hold_for_its_duration_and_bad_readings_are_no_evidence() {
    let server = with_tank().await;
    rule(&server, json!({"for": "PT3S"})).await;
    levels(&server, &[(0, 6.0), (1, 6.0), (2, 4.0), (3, 6.0), (5, 6.0)]).await;
    assert!(alarms(&server, "").await.is_empty());
    // The asset goes on, the level is not reported again: it counts as held.
    let pump = |second: i64| json!({"ts": at(second), "values": {"pump": 10.0}});
    server.post("/v1/assets/tank-1/telemetry", pump(6)).await.success();
    watch(&server).await;
    assert!(alarms(&server, "").await.is_empty(), "a level of this instant may be on its way");
    server.post("/v1/assets/tank-1/telemetry", pump(7)).await.success();
    watch(&server).await;
    let raised = alarms(&server, "").await;
    assert_eq!(raised[0]["raised_at"], json!(at(6)), "{raised:?}");
    let bad = json!({"signal": "level", "ts": at(8), "value": 1.0, "quality": "bad"});
    server.post("/v1/assets/tank-1/telemetry", bad).await.success();
    watch(&server).await;
    assert_eq!(alarms(&server, "?state=active").await.len(), 1);
    assert_eq!(server.rooms.alarms.watch().await.unwrap(), 0, "nothing is behind");
}

#[tokio::test]
async fn a_rate_of_change_raises_an_alarm() {
    let server = with_tank().await;
    rule(&server, json!({"condition": "rate_below", "limit": -0.5})).await;
    levels(&server, &[(0, 8.0), (2, 7.5), (4, 6.0), (6, 5.9)]).await;
    let raised = alarms(&server, "").await;
    assert_eq!(raised[0]["text"], "level changes by -0.75 m a second, below -0.5 m");
    assert_eq!(story(&server, &raised[0]).await, ["raised 4", "cleared 6"]);
}

#[tokio::test]
async fn silence_raises_an_alarm_and_the_next_reading_clears_it() {
    let server = with_tank().await;
    let missing = json!({"condition": "missing", "limit": null, "for": "PT1M", "severity": "critical"});
    rule(&server, missing).await;
    levels(&server, &[(0, 4.0)]).await;
    server.clock.advance(TimeDelta::seconds(60));
    watch(&server).await;
    assert!(alarms(&server, "").await.is_empty());
    server.clock.advance(TimeDelta::seconds(1));
    watch(&server).await;
    let raised = alarms(&server, "?severity=critical").await;
    assert_eq!((raised.len(), &raised[0]["raised_at"]), (1, &json!(at(60))));
    assert_eq!(raised[0]["text"], format!("no reading of level for more than 1 minute since {START}"));
    server.clock.advance(TimeDelta::seconds(100));
    watch(&server).await;
    assert_eq!(alarms(&server, "").await.len(), 1);
    levels(&server, &[(150, 4.0)]).await;
    assert_eq!(story(&server, &raised[0]).await, ["raised 60", "cleared 150"]);

    // Cleared by hand, the same silence is not told again.
    server.clock.advance(TimeDelta::seconds(100));
    watch(&server).await;
    let second = alarms(&server, "?state=active").await;
    server.post(&path(&second[0], "/clear"), json!({})).await.success();
    watch(&server).await;
    server.clock.advance(TimeDelta::seconds(100));
    watch(&server).await;
    assert_eq!((alarms(&server, "").await.len(), alarms(&server, "?state=active").await.len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predicted_breach_raises_an_alarm_before_it_happens() {
    let server = with_history(700).await;
    let predicted = |limit: f64| json!({"source": "predicted", "within": "PT30S", "probability": 0.7, "limit": limit});
    let sure = rule(&server, predicted(0.5)).await;
    rule(&server, predicted(9.9)).await;
    assert_eq!((&sure["probability"], &sure["within"]), (&json!(0.7), &json!("PT30S")));
    watch(&server).await;
    assert!(alarms(&server, "").await.is_empty(), "nothing has been forecast yet");
    assert_eq!(server.forecast_once().await, 1);
    watch(&server).await;
    let raised = alarms(&server, "?source=predicted&state=active").await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!((&raised[0]["rule"], &raised[0]["raised_at"]), (&sure["id"], &json!(at(0))));
    assert_eq!(raised[0]["expected_at"], json!(at(1)));
    assert!(raised[0]["value"].as_f64().unwrap() >= 0.7, "{raised:?}");
    assert!(raised[0]["text"].as_str().unwrap().starts_with("level is expected above 0.5 m at "), "{raised:?}");
    assert!(alarms(&server, "?source=measured").await.is_empty());

    // A limit that is far away: the newest forecast is looked at again, and clears it.
    let changed = server.patch(&format!("{RULES}/{}", sure["id"].as_str().unwrap()), None, json!({"limit": 9.9})).await;
    assert_eq!(changed.success()["revision"], 2);
    watch(&server).await;
    assert_eq!(story(&server, &raised[0]).await, ["raised 0", "cleared 0"]);
}

#[tokio::test]
async fn people_acknowledge_shelve_comment_and_clear() {
    let server = with_tank().await;
    rule(&server, json!({})).await;
    levels(&server, &[(0, 6.0)]).await;
    let alarm = alarms(&server, "").await[0].clone();
    let seen =
        server.post(&path(&alarm, "/acknowledge"), json!({"who": "Ada", "comment": "on my way"})).await.success();
    assert_eq!(
        (&seen["acknowledged"], &seen["acknowledged_by"], &seen["active"]),
        (&json!(true), &json!("Ada"), &json!(true))
    );
    server.post(&path(&alarm, "/acknowledge"), json!({"who": "Bob"})).await.success();
    assert!(alarms(&server, "?state=unacknowledged").await.is_empty());
    server.post(&path(&alarm, "/comment"), json!({"who": "Ada", "comment": "valve is stuck"})).await.success();

    let shelf = json!({"until": at(3_600), "who": "Ada"});
    assert_eq!(server.post(&path(&alarm, "/shelve"), shelf).await.success()["shelved"], true);
    assert_eq!(alarms(&server, "?state=shelved").await.len(), 1);
    // It clears and comes again: what the rule raises stays on the shelf.
    levels(&server, &[(1, 4.0), (2, 6.0)]).await;
    let again = alarms(&server, "?state=active").await[0].clone();
    assert_ne!(again["id"], alarm["id"]);
    assert_eq!((&again["shelved"], &again["acknowledged"]), (&json!(true), &json!(false)));
    let over = server.post(&path(&alarm, "/shelve"), json!({"until": at(60)})).await;
    over.problem(409, "conflict");
    server.clock.advance(TimeDelta::hours(1));
    watch(&server).await;
    assert_eq!(story(&server, &again).await, ["raised 2", "unshelved"]);
    server.post(&path(&again, "/shelve"), json!({"until": at(7_200)})).await.success();
    assert_eq!(server.post(&path(&again, "/unshelve"), json!({})).await.success()["shelved"], false);

    let cleared =
        server.post(&path(&again, "/clear"), json!({"who": "Ada", "comment": "sensor fault"})).await.success();
    assert_eq!((&cleared["active"], &cleared["cleared_at"]), (&json!(false), &json!(at(3_600))));
    server.post(&path(&again, "/clear"), json!({})).await.success();
    watch(&server).await;
    assert!(alarms(&server, "?state=active").await.is_empty(), "without new evidence nothing is raised");
    levels(&server, &[(3_600, 6.5)]).await;
    assert_eq!(alarms(&server, "?state=active").await.len(), 1, "it still holds");

    let log = server.get(&path(&alarm, "")).await.success();
    let entries: Vec<(&str, Option<&str>)> =
        log["log"].as_array().unwrap().iter().map(|e| (e["action"].as_str().unwrap(), e["who"].as_str())).collect();
    let ada = Some("Ada");
    let expected = [("raised", None), ("acknowledged", ada), ("commented", ada), ("shelved", ada), ("cleared", None)];
    assert_eq!(entries, expected);
    assert_eq!((&log["log"][2]["comment"], &log["log"][4]["value"]), (&json!("valve is stuck"), &json!(4.0)));

    for (verb, body, pointer) in [
        ("/comment", json!({"who": "Ada"}), "/comment"),
        ("/comment", json!({"comment": " "}), "/comment"),
        ("/acknowledge", json!({"who": ""}), "/who"),
        ("/clear", json!({"comment": "x".repeat(2_001)}), "/comment"),
        ("/shelve", json!({"until": at(0)}), "/until"),
        ("/shelve", json!({"until": at(40 * 86_400)}), "/until"),
        ("/shelve", json!({}), "/until"),
        ("/clear", json!({"colour": 1}), "/colour"),
    ] {
        assert_eq!(
            server.post(&path(&again, verb), body.clone()).await.problem(422, "invalid"),
            [pointer],
            "{verb} {body}"
        );
    }
    server.post(&format!("/v1/alarms/{}/clear", server_id()), json!({})).await.problem(404, "not-found");
    server.get("/v1/alarms/x").await.problem(422, "invalid");
}

/// An id that nothing has.
fn server_id() -> &'static str {
    "0190a6f0-0000-7000-8000-000000000000"
}

#[tokio::test]
async fn rules_are_changed_switched_off_and_deleted_and_wrong_ones_named() {
    let server = with_tank().await;
    let made = rule(&server, json!({})).await;
    let at_rule = format!("{RULES}/{}", made["id"].as_str().unwrap());
    let tag = server.get(&at_rule).await.tag().to_owned();
    levels(&server, &[(0, 6.0)]).await;
    let first = alarms(&server, "").await[0].clone();
    server.patch(&at_rule, Some(&tag), json!({"enabled": false})).await.success();
    server.patch(&at_rule, Some(&tag), json!({"enabled": true})).await.problem(412, "precondition-failed");
    watch(&server).await;
    assert_eq!(alarms(&server, "?state=active").await.len(), 0, "switched off");
    levels(&server, &[(1, 7.0)]).await;
    assert_eq!(alarms(&server, "").await.len(), 1);
    let log = server.get(&path(&first, "")).await.success();
    assert_eq!(log["log"][1]["comment"], "the rule was switched off");
    server.patch(&at_rule, None, json!({"enabled": true})).await.success();
    watch(&server).await;
    assert_eq!(alarms(&server, "?state=active").await.len(), 1, "what is newest is looked at");

    assert_eq!(server.delete(&at_rule).await.status, 204);
    server.get(&at_rule).await.problem(404, "not-found");
    let left = alarms(&server, "?state=cleared").await;
    assert_eq!((left.len(), &left[0]["rule"], &left[0]["name"]), (2, &Value::Null, &json!("level high")));
    watch(&server).await;

    let form = json!({"name": "x", "condition": "above", "signal": "level", "limit": 5.0, "severity": "major"});
    for (name, value, pointer) in [
        ("signal", json!("colour"), "/signal"),
        ("limit", Value::Null, "/limit"),
        ("severity", json!("bad"), "/severity"),
        ("condition", json!("near"), "/condition"),
        ("for", json!("5 minutes"), "/for"),
        ("deadband", json!(-1), "/deadband"),
        ("probability", json!(0.5), "/probability"),
        ("colour", json!(1), "/colour"),
    ] {
        let mut wrong = form.clone();
        wrong[name] = value;
        assert_eq!(server.post(RULES, wrong).await.problem(422, "invalid"), [pointer], "{name}");
    }
    let mut far = form.clone();
    far["source"] = json!("predicted");
    far["within"] = json!("PT10M");
    assert_eq!(server.post(RULES, far).await.problem(422, "invalid"), ["/within"]);
    for (query, pointer) in
        [("state=x", "state"), ("severity=x", "severity"), ("limit=0", "limit"), ("cursor=x", "cursor")]
    {
        assert_eq!(server.get(&format!("/v1/alarms?{query}")).await.problem(422, "invalid"), [pointer]);
    }
    server.get("/v1/alarms?asset=none").await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rules_are_one_round_and_two_servers_raise_no_alarm_twice() {
    let server = with_tank().await;
    for n in 0..120 {
        rule(&server, json!({"name": format!("rule {n}"), "limit": f64::from(n) * 0.05})).await;
    }
    let listed = server.get(&format!("{RULES}?limit=100")).await.success();
    assert_eq!(listed["items"].as_array().unwrap().len(), 100);
    assert!(listed["next"].is_string());
    let frame = json!({"ts": START, "values": {"level": 3.01}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    let looks = futures::future::join_all((0..4).map(|_| server.rooms.alarms.watch())).await;
    let evaluated: usize = looks.into_iter().map(Result::unwrap).sum();
    assert_eq!(evaluated, 120, "each once, whoever did it");
    let active = alarms(&server, "?state=active&limit=1000").await;
    assert_eq!(active.len(), 61);
    let page = server.get("/v1/alarms?limit=60").await.success();
    let rest = server.get(&format!("/v1/alarms?limit=60&cursor={}", page["next"].as_str().unwrap())).await.success();
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (60, 1));

    let gone = server.delete("/v1/assets/tank-1").await.success();
    assert_eq!(gone["deleted"]["alarms"], 61);
    watch(&server).await;
    assert!(alarms(&server, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_of_every_alarm() {
    let server = with_tank().await;
    rule(&server, json!({"name": "first"})).await;
    rule(&server, json!({"name": "second"})).await;
    levels(&server, &[(0, 6.0)]).await;
    let before = (at(0) - TimeDelta::seconds(1)).timestamp_micros().to_string();
    let request = server.request(reqwest::Method::GET, "/v1/stream?asset=tank-1").header("last-event-id", before);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let told = crate::stream::heard(response, "\"second\"").await;
    assert!(told.contains("event: alarm\n"), "{told}");

    // Live, two of one asset at one instant are both told.
    server.clock.advance(TimeDelta::seconds(10));
    let work = server.rooms.start_work();
    let response = server.request(reqwest::Method::GET, "/v1/stream").send().await.unwrap();
    let listening = tokio::spawn(async move {
        let (first, second) = ("\"name\":\"first\",\"source\"", "\"name\":\"second\",\"source\"");
        let text = crate::stream::heard_all(response, &[first, second]).await;
        assert!(text.contains("\"active\":false"), "{text}");
    });
    server.clock.advance(TimeDelta::seconds(1));
    let frame = json!({"ts": at(11), "values": {"level": 1.0}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    listening.await.unwrap();
    server.end.cancel();
    work.join_all().await;
}

#[tokio::test]
async fn an_unknown_rule_or_asset_is_not_found() {
    let server = with_tank().await;
    let path = format!("{RULES}/{}", server_id());
    server.get(&path).await.problem(404, "not-found");
    server.delete(&path).await.problem(404, "not-found");
    server.patch(&path, None, json!({})).await.problem(404, "not-found");
    let request = server.request(reqwest::Method::POST, "/v1/assets/none/alarm-rules");
    let form = json!({"name": "x", "condition": "missing", "for": "PT1M", "severity": "minor"});
    Answer::to(request.json(&form)).await.problem(404, "not-found");
}
