//! The room's resources as a client meets them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::training::routes::router;

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Value,
}

async fn call(yard: &Yard, method: &str, path: &str, body: Option<Value>) -> Answer {
    let (app, _): (Router, _) = router(yard.training.clone()).split_for_parts();
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(body.map_or(Body::empty(), |body| Body::from(body.to_string()))).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer { status, location, body: serde_json::from_slice(&bytes).unwrap() }
}

#[tokio::test]
async fn a_job_lives_its_life_over_http() {
    let yard = Yard::new().await;
    let asked = json!({"asset": "pump", "recipe": {"max_steps": 40}, "promote": "managed"});
    let made = call(&yard, "POST", "/v1/fine-tune-jobs", Some(asked.clone())).await;
    assert_eq!((made.status, &made.body["status"]), (StatusCode::ACCEPTED, &json!("pending")), "{}", made.body);
    let location = made.location.unwrap();
    assert_eq!(location, format!("/v1/fine-tune-jobs/{}", made.body["id"].as_str().unwrap()));

    let again = call(&yard, "POST", "/v1/fine-tune-jobs", Some(asked)).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.body["detail"].as_str().unwrap().contains(made.body["id"].as_str().unwrap()), "{}", again.body);

    yard.worker(|_, _| Ok(candidate(0.8))).step().await.unwrap();
    let done = call(&yard, "GET", &location, None).await.body;
    assert_eq!(
        (&done["status"], &done["model_version"], &done["promote"]),
        (&json!("succeeded"), &json!(1), &json!("managed"))
    );
    assert!(done["verdict"]["reason"].as_str().unwrap().contains("% better"), "{done}");
    assert_eq!(done["recipe"]["max_steps"], 40);

    let models = call(&yard, "GET", "/v1/assets/pump/models", None).await.body;
    assert_eq!(
        (&models["champion"], &models["items"][0]["champion"], &models["next"]),
        (&json!(1), &json!(true), &Value::Null)
    );
    assert_eq!(models["items"][0]["curve"][0]["step"], 20);
    let base = call(&yard, "POST", "/v1/assets/pump/models/0/promote", None).await;
    assert_eq!((base.status, base.body), (StatusCode::OK, json!({"asset": "pump", "champion": 0})));
    let back = call(&yard, "POST", "/v1/assets/pump/models/roll-back", None).await;
    assert_eq!(back.body, json!({"asset": "pump", "champion": 1}));
}

#[tokio::test]
async fn pages_of_jobs_follow_their_cursor() {
    let yard = Yard::new().await;
    for _ in 0..3 {
        let job = yard.ask().await;
        yard.clock.advance(chrono::TimeDelta::seconds(1));
        let cancelled = call(&yard, "POST", &format!("/v1/fine-tune-jobs/{}/cancel", job.id), None).await;
        assert_eq!((cancelled.status, &cancelled.body["status"]), (StatusCode::ACCEPTED, &json!("cancelled")));
    }
    let first = call(&yard, "GET", "/v1/fine-tune-jobs?asset=pump&status=cancelled&limit=2", None).await.body;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = format!("/v1/fine-tune-jobs?limit=2&cursor={}", first["next"].as_str().unwrap());
    let second = call(&yard, "GET", &next, None).await.body;
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem() {
    let yard = Yard::new().await;
    yard.learn(1.1).await;
    let job = yard.ask().await;
    yard.training.cancel(job.id).await.unwrap();
    yard.learn(1.1).await;
    let finished = yard.training.jobs(None, Some(Status::Succeeded), None, 1).await.unwrap().remove(0).id;
    let missing = "/v1/fine-tune-jobs/019aa000-0000-7000-8000-000000000000";
    let post = |body: Value| ("POST", "/v1/fine-tune-jobs".to_owned(), Some(body));
    let table = [
        (post(json!({"asset": "nobody"})), 404, ""),
        (post(json!({})), 422, "/asset"),
        (post(json!({"asset": "pump", "asap": true})), 422, "/asap"),
        (post(json!({"asset": "pump", "promote": "soon"})), 422, "/promote"),
        (post(json!({"asset": "pump", "recipe": []})), 422, "/recipe"),
        (post(json!({"asset": "pump", "recipe": {"batch": 0}})), 422, "/recipe/batch"),
        (post(json!({"asset": "pump", "recipe": {"magic": 1}})), 422, "/recipe/magic"),
        (("GET", missing.to_owned(), None), 404, ""),
        (("POST", format!("{missing}/cancel"), None), 404, ""),
        (("POST", format!("/v1/fine-tune-jobs/{finished}/cancel"), None), 409, ""),
        (("GET", "/v1/fine-tune-jobs/seven".to_owned(), None), 422, "job"),
        (("GET", "/v1/fine-tune-jobs?asset=nobody".to_owned(), None), 404, ""),
        (("GET", "/v1/fine-tune-jobs?status=tired".to_owned(), None), 422, "status"),
        (("GET", "/v1/fine-tune-jobs?limit=0".to_owned(), None), 422, "limit"),
        (("GET", "/v1/fine-tune-jobs?cursor=00".to_owned(), None), 422, "cursor"),
        (("GET", "/v1/assets/nobody/models".to_owned(), None), 404, ""),
        (("POST", "/v1/assets/pump/models/9/promote".to_owned(), None), 404, ""),
        (("POST", "/v1/assets/pump/models/best/promote".to_owned(), None), 422, "version"),
        (("POST", "/v1/assets/pump/models/roll-back".to_owned(), None), 409, ""),
    ];
    for ((method, path, body), status, pointer) in table {
        let answer = call(&yard, method, &path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {body:?}: {}", answer.body);
        let pointed = answer.body["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(pointed, pointer, "{method} {path} {body:?}: {}", answer.body);
    }
}
