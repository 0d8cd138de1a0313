//! `GET /v1/fleet`.

use std::collections::BTreeSet;

use axum::extract::State as Room;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Standing;
use crate::asset::{Filter, Key};
use crate::twin::Twins;
use crate::web::extract::{Json, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{Document, Problem};

/// Assets that one request may name.
const MOST_KEYS: usize = 1_000;

pub(in crate::twin) fn router(twins: Twins) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(fleet)).with_state(twins)
}

/// Which assets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FleetQuery {
    /// Only assets of this type, in any version.
    #[param(value_type = Option<String>)]
    r#type: Option<Key>,
    /// Only assets whose key or name contains this, in either case.
    q: Option<String>,
    /// Only these assets, all of them on one page: keys separated by commas, at most 1,000. What does not
    /// exist is left out. Goes with no other parameter.
    assets: Option<String>,
    /// Items of a page at most.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Limit>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List how all assets stand
///
/// Freshness, anomaly score, health class and the risk that a limit is broken, of many assets in one
/// request, in the order of their keys. The stream's `state` events tell what changes of it.
#[utoipa::path(
    get, path = "/v1/fleet", tag = "twins", params(FleetQuery),
    responses(
        (status = 200, description = "A page of the fleet", body = Page<Standing>),
        (status = 422, description = "Not keys, or not a cursor of this list", body = Document, content_type = "application/problem+json"),
    )
)]
async fn fleet(Room(twins): Room<Twins>, Query(query): Query<FleetQuery>) -> Result<Json<Page<Standing>>, Problem> {
    let FleetQuery { r#type, q, assets, limit, cursor } = query;
    let Some(keys) = assets else {
        let filter = Filter { asset_type: r#type.map(String::from), text: q };
        return Ok(Json(twins.fleet(&filter, limit.unwrap_or_default(), cursor.as_deref()).await?));
    };
    if r#type.is_some() || q.is_some() || limit.is_some() || cursor.is_some() {
        return Err(Problem::invalid("assets", "goes with no other parameter: all of these assets are on one page"));
    }
    let keys: BTreeSet<&str> = keys.split(',').filter(|key| !key.is_empty()).collect();
    if keys.len() > MOST_KEYS {
        return Err(Problem::invalid("assets", format!("names more than {MOST_KEYS} assets")));
    }
    Ok(Json(Page { items: twins.standing(&keys).await?, next: None }))
}
