//! The HTTP of base models. Handlers only translate.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{BaseModel, BaseModelError, BaseModels, NewBaseModel};
use crate::asset::Made;
use crate::model::EngineError;
use crate::web::extract::{Json, Path};
use crate::web::problem::{self, Document, Problem};

/// The doors of base models.
pub fn router(models: BaseModels) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(read, delete)).with_state(models)
}

impl From<BaseModelError> for Problem {
    fn from(error: BaseModelError) -> Self {
        let detail = error.to_string();
        match error {
            BaseModelError::NotFound(_) => Self::new(problem::NOT_FOUND, detail),
            BaseModelError::Exists(_) => Self::new(problem::CONFLICT, detail).at("/card/name", "is taken"),
            BaseModelError::Shipped(_) | BaseModelError::InUse(_) | BaseModelError::TooMany => {
                Self::new(problem::CONFLICT, detail)
            }
            BaseModelError::Invalid(errors) => {
                let mut problem = Self::new(problem::INVALID, detail);
                problem.errors = errors;
                problem
            }
            BaseModelError::Engine(EngineError::Busy) => {
                Self::new(problem::BUSY, "the model has more requests than it can take")
                    .retry_after(Duration::from_secs(1))
            }
            BaseModelError::Ending | BaseModelError::Engine(EngineError::Stopped) => {
                Self::new(problem::BUSY, "the server is ending").retry_after(Duration::from_secs(5))
            }
            BaseModelError::Engine(error) => Self::internal(&error),
            BaseModelError::Database(error) => error.into(),
        }
    }
}

/// The base models that types can name and versions stand on.
#[derive(Debug, Serialize, ToSchema)]
struct BaseModelList {
    /// Those inside the program, the default first, then those that people added, by name.
    items: Vec<BaseModel>,
}

/// What went.
#[derive(Debug, Serialize, ToSchema)]
struct BaseModelDeleted {
    /// The name of the base model that is no more.
    name: String,
}

/// List the base models with their cards
#[utoipa::path(get, path = "/v1/base-models", tag = "models", responses(
    (status = 200, description = "The base models.", body = BaseModelList)))]
async fn list(State(models): State<BaseModels>) -> Result<Json<BaseModelList>, Problem> {
    Ok(Json(BaseModelList { items: models.list().await? }))
}

/// Show a base model
#[utoipa::path(get, path = "/v1/base-models/{name}", tag = "models", params(
    ("name" = String, Path, description = "Its name.")), responses(
    (status = 200, description = "The base model.", body = BaseModel),
    (status = 404, description = "There is no such base model.", body = Document,
        content_type = "application/problem+json")))]
async fn read(State(models): State<BaseModels>, Path(name): Path<String>) -> Result<Json<BaseModel>, Problem> {
    Ok(Json(models.find(&name).await?))
}

/// Add a base model of your own
///
/// The document is what `counterpart base pack FILE.safetensors` writes: the card of pretraining, the weights,
/// and a golden input with its answer. Hash, size, names, shapes and finiteness are checked, and the golden
/// input must be answered here as its maker's machine did. Repeating the same request is safe.
#[utoipa::path(post, path = "/v1/base-models", tag = "models", request_body = NewBaseModel, responses(
    (status = 201, description = "It is new; asset types can name it.", body = BaseModel, headers(
        ("Location" = String, description = "Where it is."))),
    (status = 200, description = "It was there already, with the same weights.", body = BaseModel),
    (status = 409, description = "The name belongs to another one, or there are as many as there can be.",
        body = Document, content_type = "application/problem+json"),
    (status = 413, description = "The body is larger than 16 MiB.", body = Document,
        content_type = "application/problem+json"),
    (status = 422, description = "It is refused; each entry of errors names a field.", body = Document,
        content_type = "application/problem+json"),
    (status = 503, description = "Busy", body = Document, content_type = "application/problem+json")))]
async fn add(State(models): State<BaseModels>, Json(new): Json<NewBaseModel>) -> Result<Response, Problem> {
    Ok(match models.add(new).await? {
        Made::New(model) => {
            let location = [(header::LOCATION, format!("/v1/base-models/{}", model.card.name))];
            (StatusCode::CREATED, location, Json(model)).into_response()
        }
        Made::Same(model) => Json(model).into_response(),
    })
}

/// Delete a base model that was added
#[utoipa::path(delete, path = "/v1/base-models/{name}", tag = "models", params(
    ("name" = String, Path, description = "Its name.")), responses(
    (status = 200, description = "It is gone.", body = BaseModelDeleted),
    (status = 404, description = "There is no such base model.", body = Document,
        content_type = "application/problem+json"),
    (status = 409, description = "A type, a version or an unfinished job needs it, or it is part of the program.",
        body = Document, content_type = "application/problem+json")))]
async fn delete(State(models): State<BaseModels>, Path(name): Path<String>) -> Result<Json<BaseModelDeleted>, Problem> {
    models.delete(&name).await?;
    Ok(Json(BaseModelDeleted { name }))
}
