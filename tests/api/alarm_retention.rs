//! Alarms that cleared long ago are forgotten; those that are active, or that somebody spoke of lately, are not.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::tester::Server;
use crate::webhooks::{level, rule};

async fn forget(server: &Server) -> u64 {
    server.rooms.alarms.forget().await.unwrap()
}

async fn count(server: &Server, table: &str) -> i64 {
    let of = if table == "alarm" { "select count(*) from alarm" } else { "select count(*) from alarm_log" };
    sqlx::query_scalar(of).fetch_one(&server.db.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_that_cleared_long_ago_are_forgotten_with_their_log() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    rule(&server, "major").await;
    for value in [6.0, 4.0, 6.0, 4.0, 6.0] {
        level(&server, value).await;
    }
    let alarms: Vec<Value> = server.alarms().await;
    assert_eq!((alarms.len(), count(&server, "alarm_log").await), (3, 5));
    server.clock.advance(TimeDelta::days(399));
    assert_eq!(forget(&server).await, 0);
    // One of the two that are over was spoken of lately.
    let spoken = alarms[1]["id"].as_str().unwrap();
    server.post(&format!("/v1/alarms/{spoken}/comment"), json!({"comment": "again?"})).await.success();
    server.clock.advance(TimeDelta::days(2));
    assert_eq!(forget(&server).await, 1);
    let left: Vec<Value> = server.alarms().await;
    let ids: Vec<&Value> = left.iter().map(|alarm| &alarm["id"]).collect();
    assert_eq!(ids, [&alarms[0]["id"], &alarms[1]["id"]], "the active one, and the one that was spoken of");
    assert_eq!(count(&server, "alarm_log").await, 4);
    server.clock.advance(TimeDelta::days(4_000));
    assert_eq!((forget(&server).await, forget(&server).await), (1, 0));
    assert_eq!(server.alarms().await[0]["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_forgotten_in_bounded_steps() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    rule(&server, "major").await;
    sqlx::query(
        "insert into alarm (id, asset_id, rule_id, name, source, condition, signal, severity, text, raised_at, cleared_at,
             created_at, updated_at)
         select gen_random_uuid(), r.asset_id, r.id, r.name, r.source, r.condition, r.signal, r.severity, 't',
             r.created_at, r.created_at, r.created_at, r.created_at
         from alarm_rule r cross join generate_series(1, 2500)",
    )
    .execute(&server.db.pool)
    .await
    .unwrap();
    server.clock.advance(TimeDelta::days(401));
    let mut steps = Vec::new();
    while steps.last() != Some(&0) {
        steps.push(forget(&server).await);
    }
    assert_eq!((steps, count(&server, "alarm").await), (vec![1_000, 1_000, 500, 0], 0));
}
