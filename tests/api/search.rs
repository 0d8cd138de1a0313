//! A fine-tune job that searches its settings: what is asked for, what was tried, and that it can be repeated.

use counterpart::training::Step;
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, Server};

async fn ask(server: &Server, recipe: Value) -> Answer {
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": recipe, "promote": "manual"})).await
}

/// The version that came of a job with this recipe.
async fn learned(server: &Server, recipe: Value) -> (Value, Value) {
    let job = ask(server, recipe).await;
    let path = job.header("location").to_owned();
    job.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    let version = server.get(&format!("/v1/assets/tank-1/models/{}", job["model_version"])).await.success();
    (job, version)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_search_cannot_be_is_pointed_to() {
    let server = with_history(10).await;
    let cases = [
        (json!({"search": {"budget_s": 0.1}}), vec!["/recipe/search/budget_s"]),
        (json!({"search": {"budget_s": 601}}), vec!["/recipe/search/budget_s"]),
        (json!({"search": {"candidates": 3}}), vec!["/recipe/search/candidates"]),
        (json!({"search": {"candidates": 65, "eta": 1}}), vec!["/recipe/search/candidates", "/recipe/search/eta"]),
        (json!({"search": {"eta": 5}}), vec!["/recipe/search/eta"]),
        (json!({"search": {"rungs": 0}}), vec!["/recipe/search/rungs"]),
        (json!({"search": {"eta": "three"}}), vec!["/recipe/search"]),
        (json!({"search": {"settings": ["momentum"]}}), vec!["/recipe/search"]),
        (json!({"search": 9}), vec!["/recipe/search"]),
        (json!({"search": {"settings": []}, "learning_rate": 1e-3}), vec!["/recipe/search"]),
        (json!({"start": "fleet"}), vec!["/recipe/start"]),
        (json!({"search": {}, "freeze": "nothing"}), vec!["/recipe/freeze"]),
    ];
    for (recipe, pointers) in cases {
        assert_eq!(ask(&server, recipe.clone()).await.problem(422, "invalid"), pointers, "{recipe}");
    }
    let job = ask(&server, json!({"search": {}, "l2": 0.05})).await.success();
    let wanted = json!({"budget_s": 10.0, "candidates": 9, "eta": 3, "rungs": null,
        "settings": ["learning_rate", "l2_sp", "dropout", "replay", "freeze"]});
    assert_eq!(job["recipe"]["search"], wanted);
    assert_eq!((&job["recipe"]["start"], &job["rung"]), (&json!("auto"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_is_kept_with_the_version_and_its_recipe_repeats_it() {
    let server = with_history(800).await;
    let short = json!({"max_steps": 20, "evaluate_every": 5, "batch": 16, "synthetic": 0.0, "l2": 0.05,
        "search": {"candidates": 4, "eta": 2, "budget_s": 600}});
    let (job, version) = learned(&server, short.clone()).await;
    // Signs of life are looked at now and then, so it may have been a rung that was told or none.
    assert!(job["rung"].as_u64().is_none_or(|rung| rung <= 2), "{job}");
    let search = &version["search"];
    assert_eq!((&search["rungs"], &search["ended"]), (&json!(2), &json!("decided")), "{search}");
    let trials = search["trials"].as_array().unwrap();
    let of =
        |rung: u64, kept: bool| trials.iter().filter(|trial| trial["rung"] == rung && trial["kept"] == kept).count();
    assert_eq!([of(0, true), of(0, false), of(1, true), of(1, false), of(2, true)], [2, 2, 1, 1, 1], "{search}");
    assert!(trials.iter().all(|trial| trial["settings"]["l2"] == 0.05), "a person set it: {search}");
    let won = trials.last().unwrap();
    assert_eq!((&won["candidate"], &won["steps"]), (&search["winner"], &json!(20)), "{search}");
    for setting in ["learning_rate", "l2", "l2_sp", "dropout", "replay", "freeze"] {
        assert_eq!(version["recipe"][setting], won["settings"][setting], "{setting}");
    }
    assert_eq!(version["recipe"]["search"], Value::Null);
    assert_eq!((&version["version"], &version["champion"]), (&json!(1), &json!(false)));

    let listed = server.get("/v1/assets/tank-1/models").await.success();
    let listed = &listed["items"][0]["search"];
    assert_eq!(listed["winner"], search["winner"]);
    assert!(listed.get("trials").is_none(), "a list leaves them out: {listed}");
    server.get("/v1/assets/tank-1/models/2").await.problem(404, "not-found");
    server.get("/v1/assets/tank-1/models/0").await.problem(404, "not-found");

    // The recipe of the version, and the search with as many rungs.
    let (_, alone) = learned(&server, version["recipe"].clone()).await;
    assert_eq!((&alone["search"], &alone["curve"]), (&Value::Null, &version["curve"]));
    let mut again = short;
    again["search"]["rungs"] = search["rungs"].clone();
    let (_, again) = learned(&server, again).await;
    assert_eq!(&again["search"]["trials"], &search["trials"]);
    let different: i64 = sqlx::query_scalar("select count(distinct sha256) from model_version")
        .fetch_one(&server.db.pool)
        .await
        .unwrap();
    assert_eq!(different, 1, "three versions, one head");
}
