//! The HTTP of assets. That of their types is in [`types`].

mod relationships;
mod types;

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Asset, AssetError, Assets, Deleted, Filter, Key, Made, NewAsset};
use crate::web::etag::{Conditions, ETag, Tagged};
use crate::web::extract::{Json, MergePatch, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Problem};

/// The doors of the room.
pub fn router(assets: Assets) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, change, delete))
        .merge(types::router())
        .merge(relationships::router())
        .with_state(assets)
}

impl From<AssetError> for Problem {
    fn from(error: AssetError) -> Self {
        let detail = error.to_string();
        match error {
            AssetError::NotFound(_) | AssetError::TypeNotFound(_) => Self::new(problem::NOT_FOUND, detail),
            AssetError::Exists(_)
            | AssetError::TypeInUse(_)
            | AssetError::OtherSignals { .. }
            | AssetError::Circle { .. }
            | AssetError::Fed { .. } => Self::new(problem::CONFLICT, detail),
            AssetError::Changed => Self::new(problem::PRECONDITION_FAILED, detail),
            AssetError::Invalid(errors) => {
                let mut problem = Self::new(problem::INVALID, detail);
                problem.errors = errors;
                problem
            }
            AssetError::Database(sqlx::Error::WorkerCrashed) => {
                Self::new(problem::UNAVAILABLE, "the deletion was interrupted").retry_after(Duration::from_secs(1))
            }
            AssetError::Database(error) => error.into(),
        }
    }
}

/// An asset as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Asset)]
struct AssetView {
    /// Its key.
    key: String,
    /// The key of its type.
    r#type: String,
    /// The version of its type.
    type_version: i32,
    /// For people.
    name: Option<String>,
    /// As its type has them.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// Counts changes, from 1.
    revision: i64,
    /// When it was made known.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// An asset to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewAsset)]
struct AssetForm {
    /// Its key, unique among assets.
    key: Key,
    /// The key of its type.
    r#type: Key,
    /// The version of its type. By default the newest.
    #[serde(default)]
    #[schema(minimum = 1)]
    type_version: Option<i32>,
    /// For people.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// As its type has them.
    #[serde(default)]
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
}

/// What of an asset can be changed: what is not mentioned stays, null removes.
#[derive(ToSchema)]
#[schema(as = AssetPatch)]
#[expect(dead_code, reason = "describes a merge patch, which is applied as a tree")]
struct PatchForm {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Another version of the same type, if it has the same signals.
    #[schema(minimum = 1, nullable = false)]
    type_version: Option<i32>,
    /// As its type has them.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
}

/// What went.
#[derive(Debug, Serialize, ToSchema)]
struct AssetDeleted {
    /// Key of the asset that is no more.
    key: String,
    /// What went with it.
    deleted: Deleted,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only assets of this type, in any version.
    #[param(value_type = Option<String>)]
    r#type: Option<Key>,
    /// Only assets whose key or name contains this, in either case.
    q: Option<String>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl From<Asset> for AssetView {
    fn from(asset: Asset) -> Self {
        Self {
            key: asset.key,
            r#type: asset.asset_type.key.clone(),
            type_version: asset.asset_type.version,
            name: asset.name,
            attributes: asset.attributes,
            revision: asset.revision,
            created_at: asset.created_at,
            updated_at: asset.updated_at,
        }
    }
}

fn tagged(asset: Asset) -> Tagged<Json<AssetView>> {
    Tagged(ETag::new(asset.tag()), Json(asset.into()))
}

/// Make an asset known
///
/// Repeating the same request is safe: it answers 200 with the asset that is there.
#[utoipa::path(post, path = "/v1/assets", tag = "assets", request_body = AssetForm, responses(
    (status = 201, description = "It is new.", body = AssetView, headers(
        ("ETag" = String, description = "Its version."), ("Location" = String, description = "Where it is."))),
    (status = 200, description = "It was there already, just the same.", body = AssetView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 409, description = "The key belongs to an asset that differs.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn create(State(assets): State<Assets>, Json(form): Json<AssetForm>) -> Result<Response, Problem> {
    let AssetForm { key, r#type, type_version, name, attributes } = form;
    Ok(match assets.create(NewAsset { key, asset_type: r#type, type_version, name, attributes }).await? {
        Made::New(asset) => {
            let location = [(header::LOCATION, format!("/v1/assets/{}", asset.key))];
            (StatusCode::CREATED, location, tagged(asset)).into_response()
        }
        Made::Same(asset) => tagged(asset).into_response(),
    })
}

/// List assets
#[utoipa::path(get, path = "/v1/assets", tag = "assets", params(ListQuery), responses(
    (status = 200, description = "A page of assets in the order of their keys.", body = Page<AssetView>)))]
async fn list(State(assets): State<Assets>, Query(query): Query<ListQuery>) -> Result<Json<Page<AssetView>>, Problem> {
    let filter = Filter { asset_type: query.r#type.map(String::from), text: query.q };
    let page = assets.list(&filter, query.limit, query.cursor.as_deref()).await?;
    Ok(Json(page.map(AssetView::from)))
}

/// Show an asset
#[utoipa::path(get, path = "/v1/assets/{asset}", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset."),
    ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has.")), responses(
    (status = 200, description = "The asset.", body = AssetView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 304, description = "The client has it already."),
    (status = 404, description = "There is no such asset.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn read(
    State(assets): State<Assets>,
    Path(asset): Path<Key>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let asset = assets.current(asset.as_str()).await?;
    Ok(conditions.answer(ETag::new(asset.tag()), AssetView::from(asset)))
}

/// Change an asset
///
/// A JSON merge patch: what is not mentioned stays, null removes. With `If-Match` nothing is
/// changed if somebody else was faster.
#[utoipa::path(patch, path = "/v1/assets/{asset}", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset."),
    ("If-Match" = Option<String>, Header, description = "The ETag of what was read.")),
    request_body(content = PatchForm, content_type = "application/merge-patch+json"), responses(
    (status = 200, description = "The asset as it is now.", body = AssetView,
        headers(("ETag" = String, description = "Its new version."))),
    (status = 404, description = "There is no such asset.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 409, description = "The other version of the type has other signals.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 412, description = "Somebody changed it meanwhile.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn change(
    State(assets): State<Assets>,
    Path(asset): Path<Key>,
    conditions: Conditions,
    MergePatch(patch): MergePatch,
) -> Result<Tagged<Json<AssetView>>, Problem> {
    retrying(&conditions, || async {
        let present = assets.current(asset.as_str()).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        Ok(assets.patch(&present, &patch).await?)
    })
    .await
    .map(tagged)
}

/// Delete an asset
///
/// All its readings, models, jobs, predictions, events and alarms go with it, at once and for good;
/// the answer says how many.
#[utoipa::path(delete, path = "/v1/assets/{asset}", tag = "assets", params(
    ("asset" = Key, Path, description = "Key of the asset."),
    ("If-Match" = Option<String>, Header, description = "The ETag of what was read.")), responses(
    (status = 200, description = "It is gone, and what went with it.", body = AssetDeleted),
    (status = 404, description = "There is no such asset.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 412, description = "Somebody changed it meanwhile.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn delete(
    State(assets): State<Assets>,
    Path(asset): Path<Key>,
    conditions: Conditions,
) -> Result<Json<AssetDeleted>, Problem> {
    let deleted = retrying(&conditions, || async {
        let present = assets.current(asset.as_str()).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        Ok(assets.delete(&present).await?)
    });
    Ok(Json(AssetDeleted { deleted: deleted.await?, key: asset.into() }))
}

/// Repeats a change that somebody else's overtook, for callers who named no version.
async fn retrying<T, F: Future<Output = Result<T, Problem>>>(
    conditions: &Conditions,
    change: impl Fn() -> F,
) -> Result<T, Problem> {
    const ATTEMPTS: usize = 5;
    for _ in 1..ATTEMPTS {
        match change().await {
            Err(overtaken) if overtaken.kind == problem::PRECONDITION_FAILED && !conditions.demands_version() => {}
            other => return other,
        }
    }
    change().await
}
