//! The HTTP of webhooks. Handlers only translate.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Delivery, EventType, Secret, Status, Webhook, WebhookError, WebhookForm, Webhooks};
use crate::ids::WebhookId;
use crate::web::etag::{Conditions, ETag, Tagged};
use crate::web::extract::{Json, MergePatch, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Document, Problem};

/// Times that a change is tried again for a caller who named no version.
const ATTEMPTS: usize = 5;

/// The room's resources.
pub fn router(webhooks: Webhooks) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, change, delete))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .with_state(webhooks)
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let detail = error.to_string();
        match error {
            WebhookError::NotFound => Self::new(problem::NOT_FOUND, detail),
            WebhookError::Changed => Self::new(problem::PRECONDITION_FAILED, detail),
            WebhookError::TooMany => Self::new(problem::CONFLICT, detail),
            WebhookError::Invalid(errors) => {
                let mut problem = Self::new(problem::INVALID, detail);
                problem.errors = errors;
                problem
            }
            WebhookError::Random(error) => Self::internal(&error),
            WebhookError::Write(error) => Self::internal(&error),
            WebhookError::Database(sqlx::Error::WorkerCrashed) => {
                Self::new(problem::UNAVAILABLE, "the test was interrupted").retry_after(Duration::from_secs(1))
            }
            WebhookError::Database(error) => error.into(),
        }
    }
}

/// A webhook as it is shown. Its secret is not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
struct Shown {
    /// Its id.
    id: WebhookId,
    /// For people: who listens there.
    name: String,
    /// Where events are posted to.
    url: String,
    /// What is told.
    events: Vec<EventType>,
    /// Keys of the assets that are told about; null for all.
    assets: Option<Vec<String>>,
    /// Keys of the asset types that are told about; null for all.
    asset_types: Option<Vec<String>>,
    /// Severities of the alarms that are told about; null for all.
    severities: Option<Vec<String>>,
    /// Whether it is told anything.
    enabled: bool,
    /// Why the server switched it off; null while it is on, and where a person did.
    disabled_reason: Option<String>,
    /// Attempts that failed since the last one that did not.
    failures: i32,
    /// When the first of them was.
    failing_since: Option<DateTime<Utc>>,
    /// Until when the secret before signs beside the present one; null when it does not.
    previous_secret_until: Option<DateTime<Utc>>,
    /// Counts changes, from 1.
    revision: i64,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<Webhook> for Shown {
    fn from(webhook: Webhook) -> Self {
        let form = webhook.form;
        Self {
            id: webhook.id,
            name: form.name,
            url: form.url,
            events: form.events,
            assets: form.assets,
            asset_types: form.asset_types,
            severities: form.severities,
            enabled: form.enabled,
            disabled_reason: webhook.disabled_reason,
            failures: webhook.failures,
            failing_since: webhook.failing_since,
            previous_secret_until: webhook.previous_until,
            revision: webhook.revision,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A webhook with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
struct WithSecret {
    #[serde(flatten)]
    webhook: Shown,
    /// What events are signed with (HMAC-SHA256, Standard Webhooks): the key is the base64 after `whsec_`.
    #[schema(example = "whsec_...")]
    secret: String,
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
struct DeliveriesQuery {
    /// Only deliveries that stand so.
    status: Option<Status>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

fn with_secret(webhook: Webhook, secret: &Secret) -> Json<WithSecret> {
    Json(WithSecret { webhook: webhook.into(), secret: secret.reveal().to_owned() })
}

fn tagged(webhook: Webhook) -> Tagged<Json<Shown>> {
    Tagged(ETag::new(webhook.tag()), Json(webhook.into()))
}

/// Make a webhook
///
/// Events are posted to its address as JSON, `{"id", "type", "timestamp", "asset", "data"}`, signed as Standard
/// Webhooks has it: `webhook-id`, `webhook-timestamp`, `webhook-signature`. Answer 2xx within ten seconds;
/// anything else is attempted again after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h and 12 h, each a little
/// longer by chance, and longer where `Retry-After` asks for it. The same event may come twice: its id tells. A
/// receiver that answers 410, or with which nothing worked for three days and twenty attempts, is switched off.
/// The answer is the only place where the secret stands, so that there is no `Idempotency-Key` here.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", request_body = WebhookForm,
    responses(
        (status = 201, description = "It is told what happens from now on", body = WithSecret, headers(
            ("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
        (status = 409, description = "There are as many as there can be", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Nothing could be told to it", body = Document, content_type = "application/problem+json"),
    )
)]
async fn create(State(webhooks): State<Webhooks>, Json(form): Json<WebhookForm>) -> Result<Response, Problem> {
    let (webhook, secret) = webhooks.create(form).await?;
    let headers =
        [(header::LOCATION, format!("/v1/webhooks/{}", webhook.id)), (header::CACHE_CONTROL, "no-store".to_owned())];
    let tag = ETag::new(webhook.tag());
    Ok((StatusCode::CREATED, headers, Tagged(tag, with_secret(webhook, &secret))).into_response())
}

/// List webhooks, the newest first
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", params(ListQuery),
    responses(
        (status = 200, description = "A page of webhooks, without their secrets", body = Page<Shown>),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(State(webhooks): State<Webhooks>, Query(query): Query<ListQuery>) -> Result<Json<Page<Shown>>, Problem> {
    Ok(Json(webhooks.list(query.limit, query.cursor.as_deref()).await?.map(Shown::from)))
}

/// Show a webhook
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", tag = "webhooks", params(
        ("id" = WebhookId, Path, description = "Its id"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has")),
    responses(
        (status = 200, description = "The webhook, without its secret", body = Shown, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(
    State(webhooks): State<Webhooks>,
    Path(id): Path<WebhookId>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let webhook = webhooks.find(id).await?;
    Ok(conditions.answer(ETag::new(webhook.tag()), Shown::from(webhook)))
}

/// Change a webhook
///
/// A JSON merge patch: what is not mentioned stays, null removes. While it is switched off nothing is recorded for
/// it; what waited before goes on when it is switched on again. Another address, or switching it on, forgets what
/// failed.
#[utoipa::path(
    patch, path = "/v1/webhooks/{id}", tag = "webhooks", params(
        ("id" = WebhookId, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    request_body(content = Object, content_type = "application/merge-patch+json",
        description = "What is to be different, as in a new webhook"),
    responses(
        (status = 200, description = "The webhook as it is now", body = Shown, headers(("ETag" = String, description = "Its new version"))),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Nothing could be told to it", body = Document, content_type = "application/problem+json"),
    )
)]
async fn change(
    State(webhooks): State<Webhooks>,
    Path(id): Path<WebhookId>,
    conditions: Conditions,
    MergePatch(patch): MergePatch,
) -> Result<Tagged<Json<Shown>>, Problem> {
    for attempt in 1.. {
        let present = webhooks.find(id).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match webhooks.patch(&present, &patch).await {
            Err(WebhookError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(tagged(other?)),
        }
    }
    Err(WebhookError::Changed.into())
}

/// Delete a webhook
///
/// Its deliveries go with it, also those that wait.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", tag = "webhooks", params(
        ("id" = WebhookId, Path, description = "Its id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json"),
    )
)]
async fn delete(
    State(webhooks): State<Webhooks>,
    Path(id): Path<WebhookId>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    for attempt in 1.. {
        let present = webhooks.find(id).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match webhooks.delete(&present).await {
            Err(WebhookError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(other.map(|()| StatusCode::NO_CONTENT)?),
        }
    }
    Err(WebhookError::Changed.into())
}

/// Give a webhook another secret
///
/// For a day events are signed with both, with a blank between, so that the receiver can change over. The answer is
/// the only place where the new secret stands.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secret", tag = "webhooks", params(("id" = WebhookId, Path, description = "Its id")),
    responses(
        (status = 200, description = "The webhook with its new secret", body = WithSecret),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
    )
)]
async fn rotate(State(webhooks): State<Webhooks>, Path(id): Path<WebhookId>) -> Result<Response, Problem> {
    let (webhook, secret) = webhooks.rotate(id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], with_secret(webhook, &secret)).into_response())
}

/// Send a test event
///
/// An event of the type `webhook.test` is posted at once, also where the webhook is switched off. It is not attempted
/// again. The answer says what the receiver said.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/test", tag = "webhooks", params(("id" = WebhookId, Path, description = "Its id")),
    responses(
        (status = 200, description = "What came of it: delivered, or failed and why", body = Delivery),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
    )
)]
async fn test(State(webhooks): State<Webhooks>, Path(id): Path<WebhookId>) -> Result<Json<Delivery>, Problem> {
    Ok(Json(webhooks.test(id).await?))
}

/// List a webhook's deliveries, the newest first
///
/// Of the last days, as a setting says (30 by default).
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "Its id"), DeliveriesQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = Page<Delivery>),
        (status = 404, description = "No such webhook", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn deliveries(
    State(webhooks): State<Webhooks>,
    Path(id): Path<WebhookId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let DeliveriesQuery { status, limit, cursor } = query;
    Ok(Json(webhooks.deliveries(id, status, limit, cursor.as_deref()).await?))
}
