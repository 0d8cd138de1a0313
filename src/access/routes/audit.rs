//! The HTTP of the audit trail.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::{Access, AuditEntry};
use crate::ids::ApiKeyId;
use crate::web::extract::{Json, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{Document, Problem};

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new().routes(routes!(trail))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrailQuery {
    /// Only what was done with this key.
    key: Option<ApiKeyId>,
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
/// days. Telemetry, and what only reads or asks, leaves no entry; nor does the command line.
#[utoipa::path(get, path = "/v1/audit", tag = "keys", params(TrailQuery), responses(
    (status = 200, description = "A page of entries", body = Page<AuditEntry>),
    (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json")))]
async fn trail(
    State(access): State<Access>,
    Query(query): Query<TrailQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    Ok(Json(access.trail(query.key, query.limit, query.cursor.as_deref()).await?))
}
