//! The HTTP of relationships between assets.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::asset::{Assets, Feed, Key, Made, Relationship, RelationshipFilter, RelationshipType};
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Problem};

pub(super) fn router() -> OpenApiRouter<Assets> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(related)).routes(routes!(relate, unrelate))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Only those of this type.
    #[param(value_type = Option<RelationshipType>)]
    r#type: Option<RelationshipType>,
    /// Only those that start from this asset.
    #[param(value_type = Option<String>)]
    source: Option<Key>,
    /// Only those that lead to this asset.
    #[param(value_type = Option<String>)]
    target: Option<Key>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RelationshipPath {
    asset: Key,
    r#type: RelationshipType,
    target: Key,
}

/// List all relationships
///
/// What feeds what in the whole plant, in the order of source and target. An asset that does not exist has
/// none.
#[utoipa::path(get, path = "/v1/relationships", tag = "assets", params(AllQuery), responses(
    (status = 200, description = "A page of relationships.", body = Page<Relationship>),
    (status = 422, description = "Not a type, a key or a cursor of this list.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn all(State(assets): State<Assets>, Query(query): Query<AllQuery>) -> Result<Json<Page<Relationship>>, Problem> {
    let AllQuery { r#type: kind, source, target, limit, cursor } = query;
    let filter = RelationshipFilter { kind, source: source.map(String::from), target: target.map(String::from) };
    Ok(Json(assets.all_relationships(&filter, limit, cursor.as_deref()).await?))
}

/// List the relationships of an asset
///
/// Those that start from it and those that lead to it, in the order of source and target.
#[utoipa::path(get, path = "/v1/assets/{asset}/relationships", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset."), ListQuery), responses(
    (status = 200, description = "A page of relationships.", body = Page<Relationship>),
    (status = 404, description = "There is no such asset.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn related(
    State(assets): State<Assets>,
    Path(asset): Path<Key>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Relationship>>, Problem> {
    Ok(Json(assets.relationships(asset.as_str(), query.limit, query.cursor.as_deref()).await?))
}

/// Say that an asset feeds another
///
/// An output of the asset becomes a disturbance or control input of the target: a what-if with
/// `downstream` goes on there. Repeating the request is safe; with other signals it replaces what was
/// said. Circles are refused, and so is a second asset that feeds the same input.
#[utoipa::path(put, path = "/v1/assets/{asset}/relationships/{type}/{target}", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset that feeds."),
    ("type" = RelationshipType, Path, description = "What the relationship says."),
    ("target" = Key, Path, description = "Key of the asset that is fed.")), request_body = Feed, responses(
    (status = 201, description = "It is new.", body = Relationship),
    (status = 200, description = "It was there already, perhaps with other signals.", body = Relationship),
    (status = 404, description = "There is no such asset.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 409, description = "It would close a circle, or the input is fed already.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 422, description = "The signals do not fit.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn relate(
    State(assets): State<Assets>,
    Path(path): Path<RelationshipPath>,
    Json(feed): Json<Feed>,
) -> Result<Response, Problem> {
    let RelationshipType::Feeds = path.r#type;
    Ok(match assets.relate(path.asset.as_str(), path.target.as_str(), feed).await? {
        Made::New(made) => (StatusCode::CREATED, Json(made)).into_response(),
        Made::Same(made) => Json(made).into_response(),
    })
}

/// End a relationship
#[utoipa::path(delete, path = "/v1/assets/{asset}/relationships/{type}/{target}", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset that it starts from."),
    ("type" = RelationshipType, Path, description = "What the relationship says."),
    ("target" = Key, Path, description = "Key of the asset that it leads to.")), responses(
    (status = 204, description = "It is gone."),
    (status = 404, description = "There is no such asset or relationship.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn unrelate(State(assets): State<Assets>, Path(path): Path<RelationshipPath>) -> Result<StatusCode, Problem> {
    if assets.unrelate(path.asset.as_str(), path.r#type, path.target.as_str()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(problem::NOT_FOUND, "there is no such relationship"))
}
