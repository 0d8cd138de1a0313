//! The HTTP of keys. Handlers only translate.

mod audit;
mod session;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use session::{COOKIE, Credential, credential};

use super::{Access, AccessError, ApiKey, Caller, Filter, KeyForm, Role, Standing};
use crate::ids::ApiKeyId;
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Document, Problem};

/// The room's resources.
pub fn router(access: Access) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, revoke))
        .merge(session::router())
        .merge(audit::router())
        .with_state(access)
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let detail = error.to_string();
        match error {
            AccessError::Name => Self::invalid("/name", detail),
            AccessError::Over => Self::invalid("/expires_at", detail),
            AccessError::NotFound => Self::new(problem::NOT_FOUND, detail),
            AccessError::LastAdmin => Self::new(problem::CONFLICT, detail).at("force", "true revokes it all the same"),
            AccessError::Random(error) => Self::internal(&error),
            AccessError::Database(error) => error.into(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    /// The server's layer has put it there; a door without that layer lets nobody in.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(problem::KEY_NEEDED, "nobody checked who asks"))
    }
}

/// A key, and whether it can be used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct Shown {
    #[serde(flatten)]
    key: ApiKey,
    /// Whether it can be used.
    standing: Standing,
}

/// A new key with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
struct Created {
    #[serde(flatten)]
    shown: Shown,
    /// The key itself. Keep it: the server keeps only its hash.
    #[schema(example = "cpk_x7Kd93Qa_...")]
    key: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only keys of this role.
    role: Option<Role>,
    /// Only keys that can be used (active), or cannot any more.
    standing: Option<Standing>,
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
struct RevokeQuery {
    /// Revoke it even if it is the last active key of an admin.
    #[serde(default)]
    force: bool,
}

impl Access {
    fn shown(&self, key: ApiKey) -> Shown {
        let standing = key.standing(self.clock.now());
        Shown { key, standing }
    }
}

/// Make a key
///
/// The answer is the only place where the key itself stands. From the first key of an admin on, every
/// request needs a key. There is no `Idempotency-Key` here, because an answer that is kept would keep the
/// secret: if the answer was lost, revoke the key and make another one.
#[utoipa::path(post, path = "/v1/api-keys", tag = "keys", request_body = KeyForm, responses(
    (status = 201, description = "It can be used at once here, and on other servers of the database within seconds", body = Created,
        headers(("Location" = String, description = "Where it is"))),
    (status = 422, description = "Something is not valid", body = Document, content_type = "application/problem+json")))]
async fn create(State(access): State<Access>, Json(form): Json<KeyForm>) -> Result<Response, Problem> {
    let (key, secret) = access.create(form).await?;
    let headers =
        [(header::LOCATION, format!("/v1/api-keys/{}", key.id)), (header::CACHE_CONTROL, "no-store".to_owned())];
    let created = Created { shown: access.shown(key), key: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, headers, Json(created)).into_response())
}

/// List keys, newest first
///
/// Also those that were revoked or have expired. Never their secrets.
#[utoipa::path(get, path = "/v1/api-keys", tag = "keys", params(ListQuery), responses(
    (status = 200, description = "A page of keys", body = Page<Shown>),
    (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json")))]
async fn list(State(access): State<Access>, Query(query): Query<ListQuery>) -> Result<Json<Page<Shown>>, Problem> {
    let filter = Filter { role: query.role, standing: query.standing };
    let page = access.list(filter, query.limit, query.cursor.as_deref()).await?;
    Ok(Json(page.map(|key| access.shown(key))))
}

/// Show a key
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "keys",
    params(("id" = ApiKeyId, Path, description = "Its id")), responses(
    (status = 200, description = "The key, without its secret", body = Shown),
    (status = 404, description = "No such key", body = Document, content_type = "application/problem+json")))]
async fn read(State(access): State<Access>, Path(id): Path<ApiKeyId>) -> Result<Json<Shown>, Problem> {
    let key = access.find(id).await?;
    Ok(Json(access.shown(key)))
}

/// Revoke a key
///
/// It is refused from now on, on other servers of the database within seconds. It stays in the list. The
/// last active key of an admin is revoked only with `force=true`: requests go on to need a key then, and
/// only `counterpart key create` on the server's machine can make one.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "keys",
    params(("id" = ApiKeyId, Path, description = "Its id"), RevokeQuery), responses(
    (status = 204, description = "It is revoked"),
    (status = 404, description = "No such key", body = Document, content_type = "application/problem+json"),
    (status = 409, description = "It is the last active key of an admin", body = Document, content_type = "application/problem+json")))]
async fn revoke(
    State(access): State<Access>,
    Path(id): Path<ApiKeyId>,
    Query(query): Query<RevokeQuery>,
) -> Result<StatusCode, Problem> {
    access.revoke(id, query.force).await?;
    Ok(StatusCode::NO_CONTENT)
}
