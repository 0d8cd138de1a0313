//! The HTTP of alarms. That of their rules is in [`rules`]. Handlers only translate.

mod rules;

use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Alarm, AlarmError, Alarms, Filter, LogEntry, Said, Severity, Source, Standing};
use crate::asset::Key;
use crate::ids::{AlarmId, AlarmRuleId};
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Document, Problem};

/// Characters of a person's name at most.
const MAX_WHO: usize = 200;
/// Characters of a comment at most.
const MAX_COMMENT: usize = 2_000;

/// The room's resources.
pub fn router(alarms: Alarms) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(acknowledge))
        .routes(routes!(clear))
        .routes(routes!(shelve))
        .routes(routes!(unshelve))
        .routes(routes!(comment))
        .merge(rules::router())
        .with_state(alarms)
}

impl From<AlarmError> for Problem {
    fn from(error: AlarmError) -> Self {
        let detail = error.to_string();
        match error {
            AlarmError::NoRule | AlarmError::NotFound => Self::new(problem::NOT_FOUND, detail),
            AlarmError::Changed => Self::new(problem::PRECONDITION_FAILED, detail),
            AlarmError::TooManyRules | AlarmError::Over | AlarmError::LogFull => Self::new(problem::CONFLICT, detail),
            AlarmError::Invalid(errors) => {
                let mut problem = Self::new(problem::INVALID, detail);
                problem.errors = errors;
                problem
            }
            AlarmError::Asset(error) => error.into(),
            AlarmError::Database(sqlx::Error::WorkerCrashed) => {
                Self::new(problem::UNAVAILABLE, "the change was interrupted").retry_after(Duration::from_secs(1))
            }
            AlarmError::Database(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only alarms of this asset.
    #[param(value_type = Option<String>)]
    asset: Option<Key>,
    /// Only alarms that stand so.
    #[param(inline)]
    state: Option<Standing>,
    /// Only alarms with this severity.
    severity: Option<Severity>,
    /// Only alarms from this source.
    source: Option<Source>,
    /// Only alarms of this rule.
    rule: Option<AlarmRuleId>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// An alarm and everything that happened to it.
#[derive(Debug, Serialize, ToSchema)]
struct AlarmWithLog {
    /// The alarm.
    alarm: Alarm,
    /// What happened to it, in its order.
    log: Vec<LogEntry>,
}

/// Who does it, and what they say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = AlarmNote)]
struct NoteForm {
    /// Who does it; at most 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    who: Option<String>,
    /// In words; at most 2,000 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    comment: Option<String>,
}

/// Until when an alarm is shelved, and who does it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = AlarmShelf)]
struct ShelfForm {
    /// Until when; at most 30 days ahead.
    until: DateTime<Utc>,
    /// Who does it; at most 200 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    who: Option<String>,
    /// In words; at most 2,000 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    comment: Option<String>,
}

/// List alarms, the newest first
#[utoipa::path(
    get, path = "/v1/alarms", tag = "alarms", params(ListQuery),
    responses(
        (status = 200, description = "A page of alarms", body = Page<Alarm>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(State(alarms): State<Alarms>, Query(query): Query<ListQuery>) -> Result<Json<Page<Alarm>>, Problem> {
    let ListQuery { asset, state, severity, source, rule, limit, cursor } = query;
    let filter = Filter { asset: asset.map(String::from), state, severity, source, rule };
    Ok(Json(alarms.list(&filter, limit, cursor.as_deref()).await?))
}

/// Show an alarm and what happened to it
#[utoipa::path(
    get, path = "/v1/alarms/{id}", tag = "alarms", params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm with its log", body = AlarmWithLog),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(State(alarms): State<Alarms>, Path(id): Path<AlarmId>) -> Result<Json<AlarmWithLog>, Problem> {
    let alarm = alarms.find(id).await?;
    Ok(Json(AlarmWithLog { alarm, log: alarms.log(id).await? }))
}

/// Say that somebody took notice of an alarm
///
/// An alarm that has cleared can be acknowledged too. Doing it again changes nothing.
#[utoipa::path(
    post, path = "/v1/alarms/{id}/acknowledge", tag = "alarms", request_body = NoteForm,
    params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm as it is now", body = Alarm),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The note is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn acknowledge(
    State(alarms): State<Alarms>,
    Path(id): Path<AlarmId>,
    Json(form): Json<NoteForm>,
) -> Result<Json<Alarm>, Problem> {
    Ok(Json(alarms.acknowledge(id, &said(form.who, form.comment)?).await?))
}

/// Clear an alarm by hand
///
/// If what raised it still holds, the next reading or forecast that says so raises another alarm; the same
/// silence is not told twice. Doing it again changes nothing.
#[utoipa::path(
    post, path = "/v1/alarms/{id}/clear", tag = "alarms", request_body = NoteForm,
    params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm as it is now", body = Alarm),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The note is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn clear(
    State(alarms): State<Alarms>,
    Path(id): Path<AlarmId>,
    Json(form): Json<NoteForm>,
) -> Result<Json<Alarm>, Problem> {
    Ok(Json(alarms.clear(id, &said(form.who, form.comment)?).await?))
}

/// Shelve an alarm
///
/// Until then nobody wants to hear of it, nor of others that its rule raises.
#[utoipa::path(
    post, path = "/v1/alarms/{id}/shelve", tag = "alarms", request_body = ShelfForm,
    params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm as it is now", body = Alarm),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It has cleared", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The note is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn shelve(
    State(alarms): State<Alarms>,
    Path(id): Path<AlarmId>,
    Json(form): Json<ShelfForm>,
) -> Result<Json<Alarm>, Problem> {
    Ok(Json(alarms.shelve(id, Some(form.until), &said(form.who, form.comment)?).await?))
}

/// Take an alarm off the shelf
#[utoipa::path(
    post, path = "/v1/alarms/{id}/unshelve", tag = "alarms", request_body = NoteForm,
    params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm as it is now", body = Alarm),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It has cleared", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The note is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn unshelve(
    State(alarms): State<Alarms>,
    Path(id): Path<AlarmId>,
    Json(form): Json<NoteForm>,
) -> Result<Json<Alarm>, Problem> {
    Ok(Json(alarms.shelve(id, None, &said(form.who, form.comment)?).await?))
}

/// Comment on an alarm
#[utoipa::path(
    post, path = "/v1/alarms/{id}/comment", tag = "alarms", request_body = NoteForm,
    params(("id" = AlarmId, Path, description = "Id of the alarm")),
    responses(
        (status = 200, description = "The alarm as it is now", body = Alarm),
        (status = 404, description = "No such alarm", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Its log is full", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The comment is missing or too long", body = Document, content_type = "application/problem+json"),
    )
)]
async fn comment(
    State(alarms): State<Alarms>,
    Path(id): Path<AlarmId>,
    Json(form): Json<NoteForm>,
) -> Result<Json<Alarm>, Problem> {
    let said = said(form.who, form.comment)?;
    if said.comment.is_none() {
        return Err(Problem::invalid("/comment", "is missing"));
    }
    Ok(Json(alarms.comment(id, &said).await?))
}

fn said(who: Option<String>, comment: Option<String>) -> Result<Said, Problem> {
    for (pointer, text, most) in [("/who", &who, MAX_WHO), ("/comment", &comment, MAX_COMMENT)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > most) {
            return Err(Problem::invalid(pointer, format!("must have 1 to {most} characters, not all of them blank")));
        }
    }
    Ok(Said { who, comment })
}
