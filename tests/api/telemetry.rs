//! Readings come in, whatever their form, and every one is answered for.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::tester::{Answer, Server};

const TELEMETRY: &str = "/v1/assets/tank-1/telemetry";

async fn send(server: &Server, path: &str, media: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = server.request(Method::POST, path).header(header::CONTENT_TYPE, media);
    Answer::to(request.body(body.into())).await
}

/// received, stored, updated, duplicates, late, rejected
fn counts(receipt: &Value) -> [u64; 6] {
    ["received", "stored", "updated", "duplicates", "late", "rejected"].map(|name| receipt[name].as_u64().unwrap())
}

async fn history(server: &Server, query: &str) -> Value {
    server.get(&format!("/v1/assets/tank-1/history?{query}")).await.success()
}

#[tokio::test]
async fn every_form_of_one_asset_is_taken() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    for (media, body, stored) in [
        ("application/json", r#"{"ts":"2026-11-24T10:00:00Z","values":{"pump":50,"level":1.5,"valve":"open"}}"#, 3),
        (
            "application/json",
            r#"[{"ts":1795514401000,"values":{"level":2}},{"observed_at":"2026-11-24T10:00:02Z","values":{"level":3}}]"#,
            2,
        ),
        ("application/json", r#"{"temp":1}"#, 0),
        ("application/json", r#"{"level":3.1,"pump":4}"#, 2),
        (
            "application/json",
            r#"{"timestamps":["2026-11-24T10:01:00Z","2026-11-24T10:01:01Z"],"values":{"pump":[1,null],"level":[2,3]}}"#,
            3,
        ),
        (
            "application/json",
            r#"{"readings":[{"signal":"ambient","ts":"2026-11-24T10:00:00Z","value":20.5,"quality":"uncertain"}]}"#,
            1,
        ),
        (
            "application/x-ndjson",
            "{\"ts\":\"2026-11-24T10:02:00Z\",\"values\":{\"level\":1}}\n{\"signal\":\"pump\",\"ts\":\"2026-11-24T10:02:00Z\",\"value\":1}\n",
            2,
        ),
        ("text/csv", "time,level,pump\n2026-11-24T10:03:00Z,1,\n2026-11-24T10:03:01Z,2,3\n", 3),
        ("text/csv; charset=utf-8", "ts,signal,value\n2026-11-24T10:04:00Z,valve,shut\n", 1),
    ] {
        let answer = send(&server, TELEMETRY, media, body).await;
        assert_eq!(answer.json()["stored"], stored, "{body}: {answer:?}");
        assert_eq!(answer.status, if stored > 0 { 200 } else { 422 }, "{body}");
    }
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert_eq!(state["observed_at"], "2026-11-24T12:00:00Z");
    assert_eq!(state["reported"]["level"]["value"], 3.1);
    assert_eq!(
        state["reported"]["valve"],
        json!({"value": "shut", "observed_at": "2026-11-24T10:04:00Z", "freshness": "stale", "unit": "1"})
    );
    assert_eq!(state["reported"]["level"]["freshness"], "live");
    assert_eq!(state["freshness"], "live");
    let before = server.get("/v1/assets/tank-1/state?as_of=2026-11-24T10:00:01Z").await.success();
    assert_eq!(before["reported"]["level"]["value"], 2.0);
    assert_eq!(before["reported"]["ambient"]["value"], 20.5);
}

#[tokio::test]
async fn many_assets_in_one_request() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server.asset("tank-2").await;
    let ts = "2026-11-24T10:00:00Z";
    let body = json!([
        {"asset": "tank-1", "ts": ts, "values": {"level": 1.0}},
        {"asset": "tank-2", "ts": ts, "values": {"level": 2.0, "pump": 1.0}},
        {"asset": "tank-9", "ts": ts, "values": {"level": 2.0, "pump": 1.0}},
        {"asset": "tank-1", "signal": "pump", "ts": ts, "value": 7},
    ]);
    let answer = server.post("/v1/telemetry", body.clone()).await;
    assert_eq!(answer.status, 207);
    assert_eq!(counts(&answer.json()), [6, 4, 0, 0, 0, 2]);
    let error = &answer.json()["errors"][0];
    assert_eq!(
        (&error["index"], &error["pointer"], &error["type"]),
        (&json!(2), &json!("/2/asset"), &json!("/problems/unknown-asset"))
    );
    assert_eq!(counts(&server.post("/v1/telemetry", body.clone()).await.json()), [6, 0, 0, 4, 0, 2]);
    // All or nothing.
    let mut all = body;
    all[0]["values"]["level"] = json!(3.0);
    let answer = server.post("/v1/telemetry?atomic=true", all).await;
    answer.problem(422, "nothing-stored");
    assert_eq!(counts(&answer.json()), [6, 0, 0, 0, 0, 6]);
    let csv = format!("asset,ts,level\ntank-2,{ts},2.5\n");
    let answer = send(&server, "/v1/telemetry", "text/csv", csv).await;
    assert_eq!(counts(&answer.success()), [1, 0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn late_duplicate_and_updated_readings_are_told_apart() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let post = async |second: u32, values: Value| {
        let body = json!({"ts": format!("2026-11-24T10:00:{second:02}Z"), "values": values});
        counts(&server.post(TELEMETRY, body).await.success())
    };
    assert_eq!(post(10, json!({"level": 1.0})).await, [1, 1, 0, 0, 0, 0]);
    assert_eq!(post(10, json!({"level": 1.0})).await, [1, 0, 0, 1, 0, 0]);
    assert_eq!(post(10, json!({"level": 2.0, "pump": 5.0})).await, [2, 1, 1, 0, 0, 0], "one new, one changed");
    assert_eq!(post(5, json!({"level": 9.0, "ambient": 3.0})).await, [2, 2, 0, 0, 2, 0], "older than the newest");
    assert_eq!(post(5, json!({"level": 8.0})).await, [1, 0, 1, 0, 1, 0]);
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert_eq!(state["reported"]["level"]["value"], 2.0, "event time decides");
    assert_eq!(state["reported"]["ambient"]["value"], 3.0, "nothing newer is known of it");
    assert_eq!(state["seq"], 4, "a duplicate is no change");
    let table = history(&server, "").await;
    assert_eq!(table["values"]["level"], json!([8.0, 2.0]));
    assert_eq!(table["values"]["pump"], json!([null, 5.0]));
    // The same instant twice in one request: the later one wins, both are counted.
    let twice = json!([{"ts": "2026-11-24T10:00:20Z", "values": {"level": 1}}, {"ts": "2026-11-24T10:00:20Z", "values": {"level": 2}}]);
    assert_eq!(counts(&server.post(TELEMETRY, twice.clone()).await.success()), [2, 1, 1, 0, 0, 0]);
    assert_eq!(counts(&server.post(TELEMETRY, twice).await.success()), [2, 0, 1, 1, 0, 0]);
}

#[tokio::test]
async fn compressed_bodies_are_opened_within_the_limit() {
    use std::io::Write as _;
    let server = Server::start().await;
    server.asset("tank-1").await;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let packed = async |body: Vec<u8>, coding: &str| {
        let request = server.request(Method::POST, TELEMETRY).header(header::CONTENT_TYPE, "application/json");
        Answer::to(request.header(header::CONTENT_ENCODING, coding).body(body)).await
    };
    let body = gzip(br#"{"level":1}"#);
    assert_eq!(packed(body.clone(), "gzip").await.success()["stored"], 1);
    packed(body[..body.len() - 4].to_vec(), "gzip").await.problem(400, "bad-request");
    packed(b"{}".to_vec(), "gzip").await.problem(400, "bad-request");
    packed(body.clone(), "zstd").await.problem(400, "bad-request");
    packed(body, "br").await.problem(415, "unsupported-media-type");
    packed(gzip(&vec![b' '; 17 << 20]), "gzip").await.problem(413, "too-large");
    // Nothing is held afterwards.
    assert_eq!(server.post(TELEMETRY, json!({"level": 2})).await.status, 200);
}

#[tokio::test]
async fn history_is_read_raw_in_buckets_and_thinned() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let csv: Vec<String> =
        (0..3000).map(|k| format!("{},{}\n", 1_795_510_000_000_i64 + k * 1000, (k % 60) as f64 / 10.0)).collect();
    let csv = csv.concat();
    let answer = send(&server, TELEMETRY, "text/csv", format!("ts,level\n{csv}")).await;
    assert_eq!(answer.success()["stored"], 3000);
    let page = history(&server, "signals=level").await;
    assert_eq!(page["timestamps"].as_array().unwrap().len(), 1000);
    let next = page["next"].as_str().unwrap();
    let page = history(&server, &format!("signals=level&limit=5000&cursor={next}")).await;
    assert_eq!((page["timestamps"].as_array().unwrap().len(), &page["next"]), (2000, &Value::Null));
    let query = "interval=PT1M&signals=level,pump&from=1795510020000&to=1795510200000";
    for (agg, expected) in
        [("mean", 2.95), ("min", 0.0), ("max", 5.9), ("sum", 177.0), ("count", 60.0), ("first", 2.0), ("last", 1.9)]
    {
        let table = history(&server, &format!("{query}&agg={agg}")).await;
        let value = table["values"]["level"][0].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-9, "{agg}: {value}, {table}");
        assert_eq!(table["timestamps"].as_array().unwrap().len(), 3, "{agg}");
    }
    let filled = history(&server, "interval=PT1M&signals=level&fill=null&from=1795509900000&to=1795510020000").await;
    assert_eq!(filled["values"]["level"][0], Value::Null);
    let thin = history(&server, "signals=level&max_points=100").await;
    assert_eq!(thin["timestamps"].as_array().unwrap().len(), 100);
    let csv = server.get("/v1/assets/tank-1/history?format=csv&signals=level&limit=2").await;
    assert!(csv.header(header::CONTENT_TYPE).starts_with("text/csv"), "{csv:?}");
    assert!(csv.text.starts_with("observed_at,level\n2026-11-24T") && csv.text.lines().count() == 3, "{csv:?}");
    assert!(csv.header(header::LINK).contains("rel=\"next\""), "{csv:?}");

    for (query, pointer) in [
        ("from=2026-11-24T10:00:00Z&to=2026-11-24T09:00:00Z", "from"),
        ("interval=PT0S", "interval"),
        ("interval=PT0.001S&from=2026-11-23T00:00:00Z", "interval"),
        ("interval=P1M", "interval"),
        ("signals=none", "signals"),
        ("from=2026-11-24T10:00:00", "from"),
        ("from=1795510000", "from"),
        ("limit=0", "limit"),
        ("limit=11001", "limit"),
        ("max_points=2", "max_points"),
        ("agg=mean", "agg"),
        ("cursor=00", "cursor"),
        ("none=1", "none"),
    ] {
        let answer = server.get(&format!("/v1/assets/tank-1/history?{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{query}");
    }
}

#[tokio::test]
async fn only_control_inputs_can_be_desired() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let path = "/v1/assets/tank-1/desired";
    let wanted = server.put(path, json!({"pump": 40})).await.success();
    assert_eq!(wanted, json!({"pump": {"value": 40.0}}));
    let schedule = json!({"pump": {"schedule": [{"at": "2026-11-24T13:00:00Z", "value": 10.0}, {"at": 1_795_525_200_000_i64 + 3_600_000, "value": 20.0}]}});
    server.put(path, schedule).await.success();
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert_eq!(state["desired"]["pump"]["schedule"].as_array().unwrap().len(), 2);
    assert_eq!(state["freshness"], "empty");
    for (body, pointer, says) in [
        (json!({"level": 1}), "/level", "output"),
        (json!({"ambient": 1}), "/ambient", "disturbance"),
        (json!({"none": 1}), "/none", "no signal"),
        (json!({"pump": 101}), "/pump", "maximum"),
        (json!({"pump": "fast"}), "/pump", "number"),
        (json!({"pump": {"schedule": [{"at": "soon", "value": 1}]}}), "/pump/schedule/0/at", "instant"),
    ] {
        let answer = server.put(path, body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
        assert!(answer.text.contains(says), "{body}: {answer:?}");
    }
    server.put("/v1/assets/none/desired", json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn history_is_imported_and_importing_again_changes_nothing() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let rows: Vec<String> = (0..60_000).map(|k| format!("{},{},x\n", k % 100, f64::from(k % 90) / 10.0)).collect();
    let rows = rows.concat();
    let csv = format!("\"u\",\"y\",\"note\"\n{rows}");
    let path = "/v1/imports?asset=tank-1&columns=u:pump,y:level&start=2020-01-01T00:00:00Z&interval=PT1S";
    let dry = send(&server, &format!("{path}&dry_run=true"), "text/csv", csv.clone()).await.success();
    assert_eq!((&dry["received"], &dry["stored"], &dry["dry_run"]), (&json!(120_000), &json!(0), &json!(true)));
    let summary = send(&server, path, "text/csv", csv.clone()).await.success();
    assert_eq!(counts(&summary), [120_000, 120_000, 0, 0, 0, 0]);
    assert_eq!((&summary["from"], &summary["to"]), (&json!("2020-01-01T00:00:00Z"), &json!("2020-01-01T16:39:59Z")));
    let again = send(&server, path, "text/csv", csv).await.success();
    assert_eq!(counts(&again), [120_000, 0, 0, 120_000, 0, 0]);
    let lines = "{\"asset\":\"tank-1\",\"ts\":\"2019-01-01T00:00:00Z\",\"values\":{\"level\":1}}\nbroken\n";
    let summary = send(&server, "/v1/imports", "application/x-ndjson", lines).await.success();
    assert_eq!(counts(&summary), [2, 1, 0, 0, 1, 1]);
    assert!(summary["errors"][0]["detail"].as_str().unwrap().starts_with("line 2 "), "{summary}");
    send(&server, "/v1/imports?asset=none", "text/csv", "ts,a\n").await.problem(404, "not-found");
    send(&server, "/v1/imports", "text/csv", "ts,a\n").await.problem(422, "invalid");
}
