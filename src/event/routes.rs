//! The HTTP of events. Handlers only translate.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Event, EventForm, EventReceipt, Events, EventsError, Filter, Kind, MAX_EVENTS, Severity};
use crate::access::{Caller, Right};
use crate::asset::Key;
use crate::reading::instant;
use crate::web::body::{self, MAX_BODY};
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Document, Problem};

/// The room's resources.
pub fn router(events: Events) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, delete)).with_state(events)
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        let detail = error.to_string();
        match error {
            EventsError::Syntax(_) => Self::new(problem::INVALID_JSON, detail),
            EventsError::TooMany => Self::new(problem::BATCH_TOO_LARGE, detail).max(MAX_EVENTS),
            EventsError::NotFound(_) => Self::new(problem::NOT_FOUND, detail),
            EventsError::Asset(error) => error.into(),
            EventsError::Database(error) => error.into(),
        }
    }
}

/// One event, or at most 1,000.
#[derive(ToSchema)]
#[schema(as = NewEvents)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a body whose items are read one by one")]
enum EventsForm {
    One(EventForm),
    Many(Vec<EventForm>),
}

/// Nothing was stored: a problem document with the receipt inside.
#[derive(Serialize)]
struct NothingStored<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    #[serde(flatten)]
    receipt: &'a EventReceipt,
    detail: &'static str,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only events of this kind.
    kind: Option<Kind>,
    /// Only events that happened at or after this instant, or still lasted then.
    from: Option<String>,
    /// Only events that happened or began before this instant.
    to: Option<String>,
    /// Only events with this code.
    code: Option<String>,
    /// Only events with this severity.
    severity: Option<Severity>,
    /// Only labels of this class.
    class: Option<String>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct EventPath {
    asset: Key,
    id: Key,
}

/// Keep events of an asset
///
/// Log lines, notes and labels; one or an array of at most 1,000. Good ones are kept although others are
/// refused; labels, which teach, are refused from a device. An event with an `id` can be sent again: the same changes nothing, something else replaces it,
/// which is how an event that lasts gets its end.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/events", tag = "events",
    params(("asset" = Key, Path, description = "Key of the asset")), request_body = EventsForm,
    responses(
        (status = 200, description = "All were kept", body = EventReceipt),
        (status = 207, description = "Some were refused", body = EventReceipt),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "None was kept", body = EventReceipt, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(events): State<Events>,
    Path(asset): Path<Key>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let may_label = Right::Operate.roles().contains(&caller.role());
    body::expect_type(request.headers(), "application/json")?;
    let body = body::read(request.into_body(), MAX_BODY).await?;
    Ok(answer(&events.take(asset.as_str(), &body, may_label).await?))
}

/// List events of an asset, those that began last first
#[utoipa::path(
    get, path = "/v1/assets/{asset}/events", tag = "events",
    params(("asset" = Key, Path, description = "Key of the asset"), ListQuery),
    responses(
        (status = 200, description = "A page of events", body = Page<Event>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(events): State<Events>,
    Path(asset): Path<Key>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Event>>, Problem> {
    let at = |name: &str, text: Option<&str>| {
        text.map(instant::from_text).transpose().map_err(|error| Problem::invalid(name, error.to_string()))
    };
    let (from, to) = (at("from", query.from.as_deref())?, at("to", query.to.as_deref())?);
    let ListQuery { kind, code, severity, class, .. } = query;
    let filter = Filter { kind, from, to, code, severity, class };
    Ok(Json(events.list(asset.as_str(), &filter, query.limit, query.cursor.as_deref()).await?))
}

/// Show an event
#[utoipa::path(
    get, path = "/v1/assets/{asset}/events/{id}", tag = "events",
    params(("asset" = Key, Path, description = "Key of the asset"), ("id" = Key, Path, description = "Id of the event")),
    responses(
        (status = 200, description = "The event", body = Event),
        (status = 404, description = "No such asset or event", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(State(events): State<Events>, Path(path): Path<EventPath>) -> Result<Json<Event>, Problem> {
    Ok(Json(events.find(path.asset.as_str(), path.id.as_str()).await?))
}

/// Delete an event
#[utoipa::path(
    delete, path = "/v1/assets/{asset}/events/{id}", tag = "events",
    params(("asset" = Key, Path, description = "Key of the asset"), ("id" = Key, Path, description = "Id of the event")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such asset or event", body = Document, content_type = "application/problem+json"),
    )
)]
async fn delete(State(events): State<Events>, Path(path): Path<EventPath>) -> Result<StatusCode, Problem> {
    events.delete(path.asset.as_str(), path.id.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer(receipt: &EventReceipt) -> Response {
    if receipt.nothing_taken() {
        let kind = problem::NOTHING_STORED;
        let document = NothingStored {
            r#type: format!("/problems/{}", kind.slug),
            title: kind.title,
            status: kind.status,
            detail: "no event was kept; `errors` says why",
            receipt,
        };
        let media = header::HeaderValue::from_static(problem::MEDIA_TYPE);
        let mut response = (StatusCode::UNPROCESSABLE_ENTITY, Json(document)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        return response;
    }
    let status = if receipt.rejected > 0 { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    (status, Json(receipt)).into_response()
}
