//! What each door needs: the one table. A door that is not in it is for admins alone, and a test fails.
//!
//! Devices send and read nothing. Readers read, and ask what leaves no trace. Operators act on what
//! there is. Admins change what there is: types, assets, relationships, alarm rules, keys, webhooks.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;

use crate::access::Right::{self, Administer, Any, Open, Operate, Read, Send};

/// Method, path as the router knows it, and what it needs.
pub(super) const TABLE: &[(&str, &str, Right)] = &[
    ("GET", "/", Open),
    ("GET", "/ui/{*path}", Open),
    ("GET", "/docs", Open),
    ("GET", "/docs/", Open),
    ("GET", "/docs/{*rest}", Open),
    ("GET", "/openapi.json", Open),
    ("GET", "/problems", Open),
    ("GET", "/problems/{slug}", Open),
    ("GET", "/healthz", Open),
    ("GET", "/readyz", Open),
    // Names of routes and counts of what is done tell much of an installation.
    ("GET", "/metrics", Read),
    ("POST", "/v1/session", Open),
    ("DELETE", "/v1/session", Open),
    ("GET", "/v1/session", Any),
    // Before there is a key.
    ("GET", "/v1/session/key-command", Open),
    ("POST", "/v1/api-keys", Administer),
    ("GET", "/v1/api-keys", Administer),
    ("GET", "/v1/api-keys/{id}", Administer),
    ("DELETE", "/v1/api-keys/{id}", Administer),
    ("GET", "/v1/audit", Administer),
    // Also reading them: the address of a receiver may itself be a secret.
    ("POST", "/v1/webhooks", Administer),
    ("GET", "/v1/webhooks", Administer),
    ("GET", "/v1/webhooks/{id}", Administer),
    ("PATCH", "/v1/webhooks/{id}", Administer),
    ("DELETE", "/v1/webhooks/{id}", Administer),
    ("POST", "/v1/webhooks/{id}/secret", Administer),
    ("POST", "/v1/webhooks/{id}/test", Administer),
    ("GET", "/v1/webhooks/{id}/deliveries", Administer),
    ("GET", "/v1/asset-types", Read),
    ("POST", "/v1/asset-types", Administer),
    ("GET", "/v1/asset-types/{type}", Read),
    ("PUT", "/v1/asset-types/{type}", Administer),
    ("DELETE", "/v1/asset-types/{type}", Administer),
    ("GET", "/v1/asset-types/{type}/versions", Read),
    ("GET", "/v1/asset-types/{type}/versions/{version}", Read),
    ("GET", "/v1/assets", Read),
    ("POST", "/v1/assets", Administer),
    ("GET", "/v1/assets/{asset}", Read),
    ("PATCH", "/v1/assets/{asset}", Administer),
    ("DELETE", "/v1/assets/{asset}", Administer),
    ("GET", "/v1/fleet", Read),
    ("GET", "/v1/relationships", Read),
    ("GET", "/v1/assets/{asset}/relationships", Read),
    ("PUT", "/v1/assets/{asset}/relationships/{type}/{target}", Administer),
    ("DELETE", "/v1/assets/{asset}/relationships/{type}/{target}", Administer),
    ("GET", "/v1/assets/{asset}/state", Read),
    ("PUT", "/v1/assets/{asset}/desired", Operate),
    ("POST", "/v1/telemetry", Send),
    ("POST", "/v1/assets/{asset}/telemetry", Send),
    ("POST", "/v1/imports", Operate),
    ("GET", "/v1/assets/{asset}/history", Read),
    ("GET", "/v1/assets/{asset}/data-health", Read),
    ("GET", "/v1/assets/{asset}/anomalies", Read),
    // Labels teach: among the events of a device they are refused one by one (event/routes.rs).
    ("POST", "/v1/assets/{asset}/events", Send),
    ("GET", "/v1/assets/{asset}/events", Read),
    ("GET", "/v1/assets/{asset}/events/{id}", Read),
    ("DELETE", "/v1/assets/{asset}/events/{id}", Operate),
    ("GET", "/v1/stream", Read),
    ("POST", "/v1/assets/{asset}/predict", Read),
    ("GET", "/v1/assets/{asset}/predictions", Read),
    ("GET", "/v1/assets/{asset}/predictions/{id}", Read),
    ("GET", "/v1/assets/{asset}/outcomes", Read),
    ("GET", "/v1/base-models", Read),
    ("POST", "/v1/base-models", Administer),
    ("GET", "/v1/base-models/{name}", Read),
    ("DELETE", "/v1/base-models/{name}", Administer),
    ("POST", "/v1/assets/{asset}/what-if", Read),
    ("POST", "/v1/assets/{asset}/retro-what-if", Read),
    ("POST", "/v1/assets/{asset}/goal-seek", Read),
    ("GET", "/v1/assets/{asset}/scenarios", Read),
    ("POST", "/v1/assets/{asset}/scenarios", Operate),
    ("GET", "/v1/assets/{asset}/scenarios/{id}", Read),
    ("PATCH", "/v1/assets/{asset}/scenarios/{id}", Operate),
    ("DELETE", "/v1/assets/{asset}/scenarios/{id}", Operate),
    ("POST", "/v1/assets/{asset}/scenarios/{id}/duplicate", Operate),
    ("GET", "/v1/assets/{asset}/scenarios/{id}/runs", Read),
    ("POST", "/v1/assets/{asset}/scenarios/{id}/runs", Operate),
    ("GET", "/v1/assets/{asset}/scenarios/{id}/runs/{run}", Read),
    ("GET", "/v1/assets/{asset}/models", Read),
    ("GET", "/v1/assets/{asset}/models/{version}", Read),
    ("GET", "/v1/assets/{asset}/models/{version}/responses", Read),
    ("GET", "/v1/assets/{asset}/models/{version}/diff", Read),
    ("POST", "/v1/assets/{asset}/models/{version}/promote", Operate),
    ("POST", "/v1/assets/{asset}/models/roll-back", Operate),
    ("GET", "/v1/fine-tune-jobs", Read),
    ("POST", "/v1/fine-tune-jobs", Operate),
    ("GET", "/v1/fine-tune-jobs/{job}", Read),
    ("POST", "/v1/fine-tune-jobs/{job}/cancel", Operate),
    ("GET", "/v1/assets/{asset}/backtests", Read),
    ("POST", "/v1/assets/{asset}/backtests", Operate),
    ("GET", "/v1/assets/{asset}/backtests/{id}", Read),
    ("POST", "/v1/assets/{asset}/backtests/{id}/cancel", Operate),
    ("GET", "/v1/alarms", Read),
    ("GET", "/v1/alarms/{id}", Read),
    ("POST", "/v1/alarms/{id}/acknowledge", Operate),
    ("POST", "/v1/alarms/{id}/clear", Operate),
    ("POST", "/v1/alarms/{id}/comment", Operate),
    ("POST", "/v1/alarms/{id}/shelve", Operate),
    ("POST", "/v1/alarms/{id}/unshelve", Operate),
    ("GET", "/v1/assets/{asset}/alarm-rules", Read),
    ("POST", "/v1/assets/{asset}/alarm-rules", Administer),
    ("GET", "/v1/assets/{asset}/alarm-rules/{rule}", Read),
    ("PATCH", "/v1/assets/{asset}/alarm-rules/{rule}", Administer),
    ("DELETE", "/v1/assets/{asset}/alarm-rules/{rule}", Administer),
];

static RIGHTS: LazyLock<HashMap<&str, Vec<(&str, Right)>>> = LazyLock::new(|| {
    let mut rights: HashMap<_, Vec<_>> = HashMap::new();
    for (method, route, right) in TABLE {
        rights.entry(*route).or_default().push((*method, *right));
    }
    rights
});

/// What a request needs. `route` is the pattern that its path matched, if any did: an address that is
/// none is told to everybody, below /v1 to whoever has a key.
pub(super) fn needed(method: &Method, route: Option<&str>, path: &str) -> Right {
    let Some(route) = route else {
        return if path.starts_with("/v1") { Any } else { Open };
    };
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let known = RIGHTS.get(route).and_then(|all| all.iter().find(|(known, _)| *known == method));
    known.map_or(Administer, |(_, right)| *right)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::{Rooms, openapi};

    #[tokio::test]
    async fn every_operation_has_its_one_entry_and_every_entry_its_operation() {
        let api = serde_json::to_value(openapi(&Rooms::offline().unwrap())).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in api["paths"].as_object().unwrap() {
            for method in ["get", "put", "post", "delete", "patch", "head", "options", "trace"] {
                if item.get(method).is_some() {
                    described.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
        let rows = TABLE.iter().filter(|(_, path, _)| path.starts_with("/v1"));
        let listed: Vec<_> = rows.map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        let once: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(once.len(), listed.len(), "an entry stands twice");
        assert_eq!(once, described);
    }

    #[test]
    fn what_is_not_listed_is_for_admins() {
        assert_eq!(needed(&Method::GET, Some("/v1/assets"), "/v1/assets"), Read);
        assert_eq!(needed(&Method::HEAD, Some("/v1/assets"), "/v1/assets"), Read);
        assert_eq!(needed(&Method::DELETE, Some("/v1/assets"), "/v1/assets"), Administer);
        assert_eq!(needed(&Method::GET, Some("/v1/forgotten"), "/v1/forgotten"), Administer);
        assert_eq!(needed(&Method::GET, Some("/forgotten"), "/forgotten"), Administer);
        assert_eq!(needed(&Method::GET, None, "/v1/nothing"), Any);
        assert_eq!(needed(&Method::GET, None, "/nothing"), Open);
    }
}
