//! The HTTP of asset types.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::asset::{AssetError, AssetType, Assets, Key, Made, TypeForm};
use crate::web::etag::{Conditions, ETag, Tagged};
use crate::web::extract::{Json, Path, Query};
use crate::web::json;
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Problem};

pub(super) fn router() -> OpenApiRouter<Assets> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, put, delete))
        .routes(routes!(versions))
        .routes(routes!(version))
}

/// A version of an asset type as it is shown.
#[derive(Debug, Serialize)]
struct TypeView {
    key: String,
    version: i32,
    created_at: DateTime<Utc>,
    #[serde(flatten)]
    document: TypeForm,
}

/// A type to be: its key beside its document. Never made: the body is read in two steps, because
/// serde's flatten would let faults pass.
enum NewType {}

impl PartialSchema for TypeView {
    fn schema() -> RefOr<Schema> {
        let of = |description, schema: ObjectBuilder| RefOr::from(schema.description(Some(description)).build());
        let version = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let instant = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let more = [
            ("key", Ref::from_schema_name("Key").into()),
            ("version", of("1, 2, 3...", version)),
            ("created_at", of("When this version was made.", instant)),
        ];
        document_with("A version of an asset type, with everything inherited.", more)
    }
}

impl ToSchema for TypeView {
    fn name() -> Cow<'static, str> {
        "AssetType".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        NewType::schemas(schemas);
    }
}

impl PartialSchema for NewType {
    fn schema() -> RefOr<Schema> {
        document_with("A type to be: its key beside its document.", [("key", Ref::from_schema_name("Key").into())])
    }
}

impl ToSchema for NewType {
    fn name() -> Cow<'static, str> {
        "NewAssetType".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Key".to_owned(), Key::schema()));
        TypeForm::schemas(schemas);
    }
}

/// The schema of a document with more members. Not "all of" the two, because the document alone
/// takes no others.
fn document_with<const N: usize>(description: &str, more: [(&str, RefOr<Schema>); N]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = TypeForm::schema() else { unreachable!("the form is a struct") };
    object.description = Some(description.to_owned());
    for (name, schema) in more {
        object.required.push(name.to_owned());
        object.properties.insert(name.to_owned(), schema);
    }
    RefOr::T(Schema::Object(object))
}

/// What went.
#[derive(Debug, Serialize, ToSchema)]
struct TypeDeleted {
    /// Key of the type that is no more.
    key: String,
    /// How many versions it had.
    versions: u64,
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

impl From<Arc<AssetType>> for TypeView {
    fn from(of: Arc<AssetType>) -> Self {
        let AssetType { key, version, document, created_at, .. } = Arc::unwrap_or_clone(of);
        Self { key, version, created_at, document: document.into() }
    }
}

/// Differs from that of an earlier type of the same key.
fn tag(of: &AssetType) -> ETag {
    ETag::new(format_args!("{}-{}", of.id, of.version))
}

fn made(made: Made<Arc<AssetType>>) -> Response {
    match made {
        Made::New(of) => {
            let location = [(header::LOCATION, format!("/v1/asset-types/{}/versions/{}", of.key, of.version))];
            (StatusCode::CREATED, location, Tagged(tag(&of), Json(TypeView::from(of)))).into_response()
        }
        Made::Same(of) => Tagged(tag(&of), Json(TypeView::from(of))).into_response(),
    }
}

/// Make an asset type known
///
/// Repeating the same request is safe: it answers 200 with the type that is there.
#[utoipa::path(post, path = "/v1/asset-types", tag = "asset types", request_body = NewType, responses(
    (status = 201, description = "It is new: version 1.", body = TypeView, headers(
        ("ETag" = String, description = "Its version."), ("Location" = String, description = "Where it is."))),
    (status = 200, description = "It was there already, just the same.", body = TypeView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 409, description = "The key belongs to a type that differs: PUT makes a new version of it.",
        body = problem::Document, content_type = "application/problem+json")))]
async fn create(State(assets): State<Assets>, Json(mut body): Json<serde_json::Value>) -> Result<Response, Problem> {
    let Some(members) = body.as_object_mut() else {
        return Err(Problem::invalid("", "invalid type: expected an object"));
    };
    let key = members.remove("key").ok_or_else(|| Problem::invalid("/key", "is missing"))?;
    let key: Key = json::shape(&key).map_err(|fault| Problem::invalid("/key", fault.detail))?;
    let form = json::shape(&body).map_err(json::JsonError::Shape)?;
    Ok(made(assets.create_type(&key, form).await?))
}

/// List asset types
#[utoipa::path(get, path = "/v1/asset-types", tag = "asset types", params(ListQuery), responses(
    (status = 200, description = "A page of types, each in its newest version, in the order of their keys.",
        body = Page<TypeView>)))]
async fn list(State(assets): State<Assets>, Query(query): Query<ListQuery>) -> Result<Json<Page<TypeView>>, Problem> {
    let page = assets.list_types(query.limit, query.cursor.as_deref()).await?;
    Ok(Json(page.map(TypeView::from)))
}

/// Show an asset type in its newest version
#[utoipa::path(get, path = "/v1/asset-types/{type}", tag = "asset types", params(
    ("type" = Key, Path, description = "Key of the type."),
    ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has.")), responses(
    (status = 200, description = "The type.", body = TypeView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 304, description = "The client has it already."),
    (status = 404, description = "There is no such type.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn read(State(assets): State<Assets>, Path(key): Path<Key>, conditions: Conditions) -> Result<Response, Problem> {
    let of = assets.version(key.as_str(), None).await?;
    Ok(conditions.answer(tag(&of), TypeView::from(of)))
}

/// Say what an asset type is from now on
///
/// Makes a new version, or the type itself if there is none; a document that says the same as the
/// newest version makes nothing. Assets stay with the version that they have until they are
/// changed.
#[utoipa::path(put, path = "/v1/asset-types/{type}", tag = "asset types", params(
    ("type" = Key, Path, description = "Key of the type."),
    ("If-Match" = Option<String>, Header, description = "The ETag of what was read.")),
    request_body = TypeForm, responses(
    (status = 201, description = "A new version.", body = TypeView, headers(
        ("ETag" = String, description = "Its version."), ("Location" = String, description = "Where it is."))),
    (status = 200, description = "The newest version, which says the same.", body = TypeView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 412, description = "Somebody changed it meanwhile.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn put(
    State(assets): State<Assets>,
    Path(key): Path<Key>,
    conditions: Conditions,
    Json(form): Json<TypeForm>,
) -> Result<Response, Problem> {
    let allowed = |newest: Option<&AssetType>| match newest {
        Some(newest) => conditions.allow_change(&tag(newest)).map_err(|_| AssetError::Changed),
        None if conditions.demands_version() => Err(AssetError::Changed),
        None => Ok(()),
    };
    Ok(made(assets.put_type(&key, form, allowed).await?))
}

/// Delete an asset type with all its versions
#[utoipa::path(delete, path = "/v1/asset-types/{type}", tag = "asset types", params(
    ("type" = Key, Path, description = "Key of the type.")), responses(
    (status = 200, description = "It is gone.", body = TypeDeleted),
    (status = 404, description = "There is no such type.", body = problem::Document,
        content_type = "application/problem+json"),
    (status = 409, description = "There are assets of it.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn delete(State(assets): State<Assets>, Path(key): Path<Key>) -> Result<Json<TypeDeleted>, Problem> {
    let versions = assets.delete_type(key.as_str()).await?;
    Ok(Json(TypeDeleted { key: key.into(), versions }))
}

/// List the versions of an asset type
#[utoipa::path(get, path = "/v1/asset-types/{type}/versions", tag = "asset types", params(
    ("type" = Key, Path, description = "Key of the type."), ListQuery), responses(
    (status = 200, description = "A page of versions, newest first.", body = Page<TypeView>),
    (status = 404, description = "There is no such type.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn versions(
    State(assets): State<Assets>,
    Path(key): Path<Key>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<TypeView>>, Problem> {
    let page = assets.list_versions(key.as_str(), query.limit, query.cursor.as_deref()).await?;
    Ok(Json(page.map(TypeView::from)))
}

/// Show one version of an asset type
#[utoipa::path(get, path = "/v1/asset-types/{type}/versions/{version}", tag = "asset types", params(
    ("type" = Key, Path, description = "Key of the type."),
    ("version" = i32, Path, description = "1, 2, 3...", minimum = 1)), responses(
    (status = 200, description = "The version.", body = TypeView,
        headers(("ETag" = String, description = "Its version."))),
    (status = 304, description = "The client has it already."),
    (status = 404, description = "There is no such version.", body = problem::Document,
        content_type = "application/problem+json")))]
async fn version(
    State(assets): State<Assets>,
    Path((key, version)): Path<(Key, i32)>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let of = assets.version(key.as_str(), Some(version)).await?;
    Ok(conditions.answer(tag(&of), TypeView::from(of)))
}
