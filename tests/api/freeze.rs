//! What of the network a fine-tune job lets learn: asked for, refused, and served with what learned.

use counterpart::training::Step;
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, Server};

async fn ask(server: &Server, recipe: Value) -> Answer {
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": recipe, "promote": "manual"})).await
}

/// The version that came of a job with this policy.
async fn learned(server: &Server, freeze: &str) -> Value {
    let recipe = json!({"max_steps": 40, "evaluate_every": 10, "batch": 16, "synthetic": 0.0, "learning_rate": 1e-3,
        "freeze": freeze});
    let job = ask(server, recipe).await;
    let path = job.header("location").to_owned();
    job.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    server.get(&format!("/v1/assets/tank-1/models/{}", job["model_version"])).await.success()
}

/// Medians of the level, and who answered.
async fn forecast(server: &Server) -> (Vec<f64>, Value) {
    let answer = server.post("/v1/assets/tank-1/predict", json!({"horizon": 20})).await.success();
    let medians = answer["signals"]["level"]["0.5"].as_array().unwrap().iter();
    (medians.map(|value| value.as_f64().unwrap()).collect(), answer["model"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_there_is_not_is_pointed_to() {
    let server = with_history(10).await;
    let cases = [
        (json!({"freeze": "backbone"}), "/recipe/freeze"),
        (json!({"freeze": ""}), "/recipe/freeze"),
        (json!({"freeze": 3}), "/recipe/freeze"),
        (json!({"freeze": ["head"]}), "/recipe/freeze"),
        (json!({"freeze": "adapters", "batch": 300}), "/recipe/batch"),
    ];
    for (recipe, pointer) in cases {
        assert_eq!(ask(&server, recipe.clone()).await.problem(422, "invalid"), [pointer], "{recipe}");
    }
    let job = ask(&server, json!({"freeze": "last_block"})).await.success();
    assert_eq!(job["recipe"]["freeze"], "last_block", "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_with_a_block_of_its_own_serves() {
    let server = with_history(800).await;
    let (plain, model) = forecast(&server).await;
    assert_eq!(model["source"], "base");
    let head = learned(&server, "head").await;
    let block = learned(&server, "last_block").await;
    let adapters = learned(&server, "adapters").await;
    for (version, freeze) in [(&head, "head"), (&block, "last_block"), (&adapters, "adapters")] {
        assert_eq!(version["recipe"]["freeze"], freeze, "{version}");
        assert!(version["note"].is_null(), "{version}");
        let losses =
            version["curve"].as_array().unwrap().iter().map(|point| point["validation_loss"].as_f64().unwrap());
        let losses: Vec<f64> = losses.collect();
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least < losses[0] - 1e-4, "it learned, so it carries what learned: {version}");
    }
    let sizes: Vec<i32> = sqlx::query_scalar("select octet_length(weights) from model_version order by version")
        .fetch_all(&server.db.pool)
        .await
        .unwrap();
    assert!(sizes[0] < sizes[2] && sizes[2] < sizes[1], "adapters are small: {sizes:?}");

    let mut said = vec![plain];
    for number in 1..=3 {
        server.post(&format!("/v1/assets/tank-1/models/{number}/promote"), json!({})).await.success();
        let (medians, model) = forecast(&server).await;
        assert_eq!((&model["source"], &model["version"]), (&json!("model"), &json!(number)), "{model}");
        assert!(medians.iter().all(|value| (-1.0..12.0).contains(value)), "{medians:?}");
        assert_eq!(forecast(&server).await.0, medians, "the same again");
        said.push(medians);
    }
    assert!(said[1] != said[2] && said[2] != said[3], "each on its own backbone");
    // Back on the base model's own, nothing has moved.
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    assert_eq!(forecast(&server).await.0, said[1]);
    // What serves is what the next one is judged against.
    server.post("/v1/assets/tank-1/models/2/promote", json!({})).await.success();
    let next = learned(&server, "all").await;
    assert_eq!((&next["version"], &next["recipe"]["freeze"]), (&json!(4), &json!("all")), "{next}");
    assert!(next["scores"]["champion"]["crps"].as_f64().unwrap() > 0.0, "{next}");
}
