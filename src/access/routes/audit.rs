//! The HTTP of the audit trail.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::{Access, Action, Actor, AuditEntry, TrailFilter};
use crate::ids::ApiKeyId;
use crate::web::extract::{Json, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{Document, Problem};

/// Characters of an address to look for.
const LONGEST_PATH: usize = 500;

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new().routes(routes!(trail))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrailQuery {
    /// Only what was done with this key.
    key: Option<ApiKeyId>,
    /// Only what was done by these: with a key, by anybody while the server was open, or by the server itself.
    actor: Option<Actor>,
    /// Only requests of this method, or what the server did by itself.
    #[param(inline)]
    action: Option<Action>,
    /// Only what was done to addresses that begin so, such as `/v1/assets/tank-1`.
    #[param(max_length = 500)]
    path: Option<String>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List what was changed and with which key, newest first
///
/// Requests that operate or administer, allowed or not, whether they succeeded or not, of the last 400
/// days; and what the server did by itself: versions that it promoted or rolled back, and jobs that it made.
/// Telemetry, and what only reads or asks, leaves no entry; nor does the command line.
#[utoipa::path(get, path = "/v1/audit", tag = "keys", params(TrailQuery), responses(
    (status = 200, description = "A page of entries", body = Page<AuditEntry>),
    (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json")))]
async fn trail(
    State(access): State<Access>,
    Query(query): Query<TrailQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let TrailQuery { key, actor, action, path, limit, cursor } = query;
    if let Some(path) = &path {
        check(path).map_err(|detail| Problem::invalid("path", detail))?;
    }
    let filter = TrailFilter { key, actor, action, path };
    Ok(Json(access.trail(&filter, limit, cursor.as_deref()).await?))
}

/// What is wrong with the beginning of an address.
fn check(path: &str) -> Result<(), &'static str> {
    match path {
        path if !path.starts_with('/') => Err("an address begins with a slash"),
        path if path.chars().count() > LONGEST_PATH => Err("at most 500 characters"),
        path if path.chars().any(char::is_control) => Err("no control characters"),
        _ => Ok(()),
    }
}
