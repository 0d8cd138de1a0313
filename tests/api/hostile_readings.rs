//! Readings that nobody should send: numbers, shapes and instants, each with its exact answer.
//!
//! Where these answers differ from common lists of such rows, the contract decides: an empty batch is
//! a success of nothing, ages are not limited, the newest value of an instant wins, bodies may have
//! 16 MiB and 100,000 readings.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use reqwest::{Method, header};
use serde_json::json;

use crate::tester::{Answer, Server};

const NOW: &str = "2026-11-24T12:00:00Z";

async fn server() -> Server {
    let server = Server::start().await;
    let signals = json!([
        {"name": "v", "unit": "1", "role": "output"},
        {"name": "t", "unit": "Cel", "role": "output", "min": -50.0, "max": 150.0},
        {"name": "on", "kind": "boolean", "role": "state"},
        {"name": "mode", "kind": "enum", "labels": ["off", "auto"], "role": "state"},
    ]);
    server.post("/v1/asset-types", json!({"key": "probe", "interval": "PT1S", "signals": signals})).await.success();
    server.post("/v1/assets", json!({"key": "a", "type": "probe"})).await.success();
    server
}

async fn send(server: &Server, body: impl Into<Vec<u8>>) -> Answer {
    let request = server.request(Method::POST, "/v1/telemetry").header(header::CONTENT_TYPE, "application/json");
    let started = Instant::now();
    let answer = Answer::to(request.body(body.into())).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!answer.status.is_server_error(), "{answer:?}");
    answer
}

/// The status and the class of what was refused, or 200 and nothing.
fn outcome(answer: &Answer) -> (u16, String) {
    let status = answer.status.as_u16();
    let body = answer.json();
    let class = match status {
        200 => &json!(""),
        400 | 413 => &body["type"],
        _ => body["errors"]
            .as_array()
            .and_then(|errors| Some(&errors.first()?["type"]))
            .filter(|class| class.is_string())
            .unwrap_or(&body["type"]),
    };
    (status, class.as_str().unwrap().trim_start_matches("/problems/").to_owned())
}

#[tokio::test]
async fn numbers() {
    let server = server().await;
    for (row, signal, value, status, class) in [
        ("H001", "v", "NaN", 400, "invalid-json"),
        ("H002", "v", "Infinity", 400, "invalid-json"),
        ("H003", "v", "-Infinity", 400, "invalid-json"),
        ("H004", "v", "\"NaN\"", 422, "wrong-type"),
        ("H005", "v", "1e999", 400, "invalid-json"),
        ("H007", "t", "1e308", 422, "out-of-range"),
        ("H007 without limits", "v", "1e308", 422, "out-of-range"),
        ("H008", "v", "3.5e38", 422, "out-of-range"),
        ("H009", "v", "5e-324", 200, ""),
        ("H011", "v", "-0.0", 200, ""),
        ("H012", "t", "18446744073709551616", 422, "out-of-range"),
        ("H013", "v", &"9".repeat(400), 400, "invalid-json"),
        ("H015", "v", "null", 422, "wrong-type"),
        ("H016", "v", "true", 422, "wrong-type"),
        ("H017", "v", "\"1.5\"", 422, "wrong-type"),
        ("H018", "v", "[1.5]", 422, "wrong-type"),
        ("H019", "v", "{}", 422, "wrong-type"),
        ("H020", "v", "0x10", 400, "invalid-json"),
        ("H021", "v", "01", 400, "invalid-json"),
        ("H022", "v", "+1", 400, "invalid-json"),
        ("H023", "v", ".5", 400, "invalid-json"),
        ("H024", "v", "1_000", 400, "invalid-json"),
        ("H025", "v", "1,5", 400, "invalid-json"),
        ("H026", "on", "2", 422, "wrong-type"),
        ("H027", "mode", "\"fast\"", 422, "wrong-type"),
        ("H027 a label", "mode", "\"auto\"", 200, ""),
    ] {
        let body = format!(r#"{{"readings":[{{"asset":"a","signal":"{signal}","ts":"{NOW}","value":{value}}}]}}"#);
        let answer = send(&server, body).await;
        assert_eq!(outcome(&answer), (status, class.to_owned()), "{row}: {answer:?}");
    }
    // H009, H011: stored exactly, and as zero.
    send(&server, r#"[{"asset":"a","ts":"2026-11-24T11:00:00Z","values":{"v":5e-324}}]"#).await.success();
    send(&server, r#"[{"asset":"a","ts":"2026-11-24T11:00:01Z","values":{"v":-0.0}}]"#).await.success();
    let repeated = send(&server, r#"[{"asset":"a","ts":"2026-11-24T11:00:01Z","values":{"v":0}}]"#).await.success();
    assert_eq!(repeated["duplicates"], 1);
    let history = server.get("/v1/assets/a/history?signals=v").await.success();
    assert_eq!(history["values"]["v"].as_array().unwrap()[..2], [json!(5e-324), json!(0.0)]);
}

#[tokio::test]
async fn shapes_and_encodings() {
    let server = server().await;
    let good = format!(r#"{{"asset":"a","signal":"v","ts":"{NOW}","value":1}}"#);
    let within =
        |field: &str| format!(r#"{{"readings":[{{"asset":"a","signal":"v","ts":"{NOW}","value":1,{field}}}]}}"#);
    let many = |count: usize| format!("[{}]", vec![good.as_str(); count].join(","));
    let rows: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("H028", within(r#""value":2"#).into(), 422, "malformed-item"),
        ("H029", br#"{"readings":[],"readings":[]}"#.to_vec(), 422, "invalid"),
        ("H030 unknown field", within(r#""x":2"#).into(), 422, "malformed-item"),
        (
            "H031",
            format!(r#"{{"readings":[{{"asset":"a","signal":"v","ts":"{NOW}"}}]}}"#).into(),
            422,
            "malformed-item",
        ),
        // The contract: an empty array is a 200 with zeros.
        ("H032", br#"{"readings":[]}"#.to_vec(), 200, ""),
        ("H033", b"".to_vec(), 400, "invalid-json"),
        ("H034 null", b"null".to_vec(), 422, "invalid"),
        ("H035", b"[]".to_vec(), 200, ""),
        ("H036", format!(r#"[[["v","{NOW}",1.0]]]"#).into(), 422, "malformed-item"),
        ("H037", br#"{"readings":[{"asset":"a""#.to_vec(), 400, "invalid-json"),
        ("H039", format!("[{good}] [{good}]").into(), 400, "invalid-json"),
        ("H040", [b"\xef\xbb\xbf", &*many(1).into_bytes()].concat(), 400, "invalid-json"),
        ("H041", many(1).encode_utf16().flat_map(u16::to_le_bytes).collect(), 400, "invalid-json"),
        ("H043", b"[{\"asset\":\"\xc0\xaf\"}]".to_vec(), 400, "invalid-json"),
        ("H044", br#"[{"asset":"\ud800"}]"#.to_vec(), 400, "invalid-json"),
        (
            "H045",
            format!(r#"[{{"asset":"a","signal":"v\u0000","ts":"{NOW}","value":1}}]"#).into(),
            422,
            "unknown-signal",
        ),
        (
            "H045 in the asset",
            format!(r#"[{{"asset":"a\u0000","signal":"v","ts":"{NOW}","value":1}}]"#).into(),
            422,
            "unknown-asset",
        ),
        ("H047", format!("[{good} /* x */]").into(), 400, "invalid-json"),
        ("H048", b"[{'asset':'a'}]".to_vec(), 400, "invalid-json"),
        ("H049", within(r#""__proto__":{}"#).into(), 422, "malformed-item"),
        ("H049 constructor", within(r#""constructor":{}"#).into(), 422, "malformed-item"),
        ("H051", [b"[".repeat(129), b"]".repeat(129)].concat(), 400, "invalid-json"),
        ("H051 deeper", b"[".repeat(100_000), 400, "invalid-json"),
        // The contract: 100,000 readings a request.
        ("H053", many(100_001).into(), 422, "batch-too-large"),
        ("H055", format!(r#"[{{"x":{}"#, "[".repeat(100_000)).into(), 400, "invalid-json"),
        // The contract: 16 MiB a body; blanks alone are no JSON.
        ("H056", b" ".repeat(3 << 20), 400, "invalid-json"),
        ("H056 above the limit", b" ".repeat((16 << 20) + 1), 413, "too-large"),
        (
            "H057",
            format!(r#"[{{"asset":"a","signal":"{}","ts":"{NOW}","value":1}}]"#, "v".repeat(1 << 20)).into(),
            422,
            "unknown-signal",
        ),
        ("H059", format!(r#"[{{"asset":"a","signal":"","ts":"{NOW}","value":1}}]"#).into(), 422, "unknown-signal"),
    ];
    for (row, body, status, class) in rows {
        let answer = send(&server, body).await;
        assert_eq!(
            outcome(&answer),
            (status, class.to_owned()),
            "{row}: {}",
            &answer.text[..answer.text.len().min(400)]
        );
        assert!(answer.text.len() < 2000, "{row}: what was sent is not sent back");
    }
    // H052: as many readings as may come.
    let answer = send(&server, many(100_000)).await.success();
    assert_eq!(
        (&answer["received"], &answer["stored"], &answer["duplicates"]),
        (&json!(100_000), &json!(1), &json!(99_999))
    );
    // H060: a broken line is refused with its number, the others land.
    let lines = format!("{good}\n{{\"asset\":\"a\",}}\n");
    let request = server.request(Method::POST, "/v1/telemetry").header(header::CONTENT_TYPE, "application/x-ndjson");
    let answer = Answer::to(request.body(lines)).await;
    assert_eq!(answer.status, 207);
    let error = &answer.json()["errors"][0];
    assert_eq!(
        (&error["index"], &error["pointer"], &error["type"]),
        (&json!(1), &json!("/1"), &json!("/problems/invalid-json"))
    );
    assert!(error["detail"].as_str().unwrap().starts_with("line 2 "), "{error}");
    // H061 to H064.
    for media in [None, Some("application/json; charset=utf-16"), Some("application/vnd.x+json"), Some("text/plain")] {
        let mut request = server.request(Method::POST, "/v1/telemetry").body("[]");
        if let Some(media) = media {
            request = request.header(header::CONTENT_TYPE, media);
        }
        Answer::to(request).await.problem(415, "unsupported-media-type");
    }
}

#[tokio::test]
async fn instants() {
    let server = server().await;
    let now = server.clock.now();
    let shifted = |by: TimeDelta| format!("\"{}\"", (now + by).to_rfc3339());
    for (row, ts, status, class) in [
        // RFC 3339 knows the year 0; it is just long ago.
        ("H096", "\"0000-01-01T00:00:00Z\"", 422, "too-old"),
        ("H097", "\"-0001-01-01T00:00:00Z\"", 422, "invalid-instant"),
        ("H099", "\"10000-01-01T00:00:00Z\"", 422, "invalid-instant"),
        ("H100", "\"0001-01-01T00:00:00Z\"", 422, "too-old"),
        ("before 1970", "\"1969-12-31T23:59:59Z\"", 422, "too-old"),
        ("H101", "\"2016-12-31T23:59:60Z\"", 200, ""),
        ("H101 elsewhere", "\"2016-12-30T12:00:60Z\"", 422, "invalid-instant"),
        ("H103", "\"2026-11-24T24:00:00Z\"", 422, "invalid-instant"),
        ("H104", "\"2026-02-30T00:00:00Z\"", 422, "invalid-instant"),
        ("H105", "\"2026-11-24T10:00:00\"", 422, "invalid-instant"),
        ("H107", "\"2026-11-24t10:00:00z\"", 200, ""),
        ("H107 blank", "\"2026-11-24 10:00:01Z\"", 200, ""),
        ("H108", "\"2026-11-24T10:00:00.123456789Z\"", 422, "invalid-instant"),
        ("H108 longer", "\"2026-11-24T10:00:00.123456789012345678901234567890Z\"", 422, "invalid-instant"),
        ("six digits", "\"2026-11-24T10:00:00.123456Z\"", 200, ""),
        ("H109", "1795514400", 422, "invalid-instant"),
        ("milliseconds", "1795514402000", 200, ""),
        ("no instant", "null", 422, "invalid-instant"),
        // The contract: ten minutes of skew.
        ("H112", &shifted(TimeDelta::minutes(11)), 422, "timestamp-in-future"),
        ("within the skew", &shifted(TimeDelta::minutes(9)), 200, ""),
        // The contract: any age.
        ("H113", &shifted(TimeDelta::days(-11 * 365)), 200, ""),
    ] {
        let answer = send(&server, format!(r#"[{{"asset":"a","signal":"v","ts":{ts},"value":1}}]"#)).await;
        assert_eq!(outcome(&answer), (status, class.to_owned()), "{row}: {answer:?}");
    }
    let seconds = send(&server, r#"[{"asset":"a","signal":"v","ts":1795514400,"value":1}]"#).await;
    assert!(seconds.text.contains("seconds?") && seconds.text.contains("1795514400000"), "{seconds:?}");
    let leap = server.get("/v1/assets/a/history?from=2016-12-31T00:00:00Z&to=2017-01-02T00:00:00Z").await.success();
    assert_eq!(leap["timestamps"], json!(["2016-12-31T23:59:59.999999Z"]));

    // H115, H116, H117 as the contract has them: duplicate; the newest value wins; late.
    let reading = |ts: &str, value: f64| json!({"asset": "a", "signal": "t", "ts": ts, "value": value});
    let twice = json!([reading(NOW, 1.0), reading(NOW, 1.0)]);
    assert_eq!(server.post("/v1/telemetry", twice).await.success()["duplicates"], 1);
    assert_eq!(server.post("/v1/telemetry", json!([reading(NOW, 2.0)])).await.success()["updated"], 1);
    let late = server.post("/v1/telemetry", json!([reading("2026-11-24T09:00:00Z", 3.0)])).await.success();
    assert_eq!((&late["stored"], &late["late"]), (&json!(1), &json!(1)));
    let state = server.get("/v1/assets/a/state").await.success();
    assert_eq!(state["reported"]["t"]["value"], 2.0);
}
