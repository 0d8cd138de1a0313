//! The HTTP of alarm rules.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::alarm::{AlarmError, Alarms, Condition, Rule, RuleForm, Severity, Source};
use crate::asset::{Interval, Key};
use crate::ids::AlarmRuleId;
use crate::web::etag::{Conditions, ETag, Tagged};
use crate::web::extract::{Json, MergePatch, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{Document, Problem};

/// Times that a change is tried again for a caller who named no version.
const ATTEMPTS: usize = 5;

pub(super) fn router() -> OpenApiRouter<Alarms> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, change, delete))
}

/// A rule as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlarmRule)]
struct RuleView {
    /// Its id.
    id: AlarmRuleId,
    /// Key of the asset that it watches.
    asset: String,
    /// For people; the title of its alarms.
    name: String,
    /// For people: what to do.
    description: Option<String>,
    /// What is watched.
    source: Source,
    /// What is watched for.
    condition: Condition,
    /// The signal that is watched; null for missing readings of any signal, and where the whole asset is judged.
    signal: Option<String>,
    /// Of health: the class whose probability is watched.
    class: Option<String>,
    /// UCUM unit of the signal.
    unit: Option<String>,
    /// In the unit of the signal, for rates per second; null for missing readings.
    limit: Option<f64>,
    /// How far inside the limit the value must be before the alarm clears.
    deadband: f64,
    /// ISO 8601 duration that the condition must hold; null for at once.
    #[schema(value_type = Option<String>)]
    r#for: Option<Interval>,
    /// Of predicted: ISO 8601 duration ahead that is looked at.
    #[schema(value_type = Option<String>)]
    within: Option<Interval>,
    /// Of predicted: from which probability on a breach counts.
    probability: Option<f64>,
    /// How bad it is.
    severity: Severity,
    /// Whether it is watched.
    enabled: bool,
    /// Counts changes, from 1.
    revision: i64,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
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

#[derive(Debug, Deserialize)]
struct RulePath {
    asset: Key,
    rule: AlarmRuleId,
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        let Rule { id, asset, form, unit, revision, created_at, updated_at } = rule;
        Self {
            id,
            asset,
            name: form.name,
            description: form.description,
            source: form.source,
            condition: form.condition,
            signal: form.signal,
            class: form.class,
            unit,
            limit: form.limit,
            deadband: form.deadband.unwrap_or_default(),
            r#for: form.r#for,
            within: form.within,
            probability: form.probability,
            severity: form.severity,
            enabled: form.enabled,
            revision,
            created_at,
            updated_at,
        }
    }
}

fn tagged(rule: Rule) -> Tagged<Json<RuleView>> {
    Tagged(ETag::new(rule.tag()), Json(rule.into()))
}

/// Make an alarm rule
///
/// On what is measured: a value above or below a limit, its change per second, or readings that are
/// missing. On what is predicted: a limit that the twin's own newest forecast breaks within a lead time with
/// at least a probability. `for` is how long it must hold, in event time; `deadband` how far the value must
/// come back before the alarm clears.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/alarm-rules", tag = "alarm-rules", request_body = RuleForm,
    params(("asset" = Key, Path, description = "Key of the asset")),
    responses(
        (status = 201, description = "It is watched from now on", body = RuleView, headers(
            ("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The asset has as many rules as it can have", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It could never be evaluated", body = Document, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(alarms): State<Alarms>,
    Path(asset): Path<Key>,
    Json(form): Json<RuleForm>,
) -> Result<Response, Problem> {
    let rule = alarms.create_rule(asset.as_str(), form).await?;
    let location = [(header::LOCATION, format!("/v1/assets/{}/alarm-rules/{}", rule.asset, rule.id))];
    Ok((StatusCode::CREATED, location, tagged(rule)).into_response())
}

/// List the alarm rules of an asset, the newest first
#[utoipa::path(
    get, path = "/v1/assets/{asset}/alarm-rules", tag = "alarm-rules",
    params(("asset" = Key, Path, description = "Key of the asset"), ListQuery),
    responses(
        (status = 200, description = "A page of rules", body = Page<RuleView>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(alarms): State<Alarms>,
    Path(asset): Path<Key>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RuleView>>, Problem> {
    let page = alarms.rules(asset.as_str(), query.limit, query.cursor.as_deref()).await?;
    Ok(Json(page.map(RuleView::from)))
}

/// Show an alarm rule
#[utoipa::path(
    get, path = "/v1/assets/{asset}/alarm-rules/{rule}", tag = "alarm-rules", params(
        ("asset" = Key, Path, description = "Key of the asset"),
        ("rule" = AlarmRuleId, Path, description = "Id of the rule"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has")),
    responses(
        (status = 200, description = "The rule", body = RuleView, headers(("ETag" = String, description = "Its version"))),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "No such asset or rule", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(
    State(alarms): State<Alarms>,
    Path(path): Path<RulePath>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let rule = alarms.rule(path.asset.as_str(), path.rule).await?;
    Ok(conditions.answer(ETag::new(rule.tag()), RuleView::from(rule)))
}

/// Change an alarm rule
///
/// A JSON merge patch: what is not mentioned stays, null removes. Source, condition and signal cannot be
/// changed. The newest value is looked at again; a rule that is switched off clears its alarm.
#[utoipa::path(
    patch, path = "/v1/assets/{asset}/alarm-rules/{rule}", tag = "alarm-rules", params(
        ("asset" = Key, Path, description = "Key of the asset"),
        ("rule" = AlarmRuleId, Path, description = "Id of the rule"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    request_body(content = Object, content_type = "application/merge-patch+json",
        description = "What is to be different, as in a new rule"),
    responses(
        (status = 200, description = "The rule as it is now", body = RuleView,
            headers(("ETag" = String, description = "Its new version"))),
        (status = 404, description = "No such asset or rule", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It could never be evaluated", body = Document, content_type = "application/problem+json"),
    )
)]
async fn change(
    State(alarms): State<Alarms>,
    Path(path): Path<RulePath>,
    conditions: Conditions,
    MergePatch(patch): MergePatch,
) -> Result<Tagged<Json<RuleView>>, Problem> {
    for attempt in 1.. {
        let present = alarms.rule(path.asset.as_str(), path.rule).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match alarms.patch_rule(&present, &patch).await {
            Err(AlarmError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(tagged(other?)),
        }
    }
    Err(AlarmError::Changed.into())
}

/// Delete an alarm rule
///
/// Its active alarm clears; alarms that it raised stay.
#[utoipa::path(
    delete, path = "/v1/assets/{asset}/alarm-rules/{rule}", tag = "alarm-rules", params(
        ("asset" = Key, Path, description = "Key of the asset"),
        ("rule" = AlarmRuleId, Path, description = "Id of the rule"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such asset or rule", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json"),
    )
)]
async fn delete(
    State(alarms): State<Alarms>,
    Path(path): Path<RulePath>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    for attempt in 1.. {
        let present = alarms.rule(path.asset.as_str(), path.rule).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match alarms.delete_rule(&present).await {
            Err(AlarmError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(other.map(|()| StatusCode::NO_CONTENT)?),
        }
    }
    Err(AlarmError::Changed.into())
}
