//! `GET /v1/assets/{asset}/state`, `PUT /v1/assets/{asset}/desired`.

use std::collections::BTreeMap;

use axum::extract::State as Room;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::asset::{Kind, TypeDocument};
use crate::reading::instant;
use crate::twin::{Desired, Setpoint, State, TwinError, Twins, fleet};
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::Problem;

/// The twins' doors.
pub fn router(twins: Twins) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(read_state))
        .routes(routes!(set_desired))
        .with_state(twins.clone())
        .merge(fleet::routes::router(twins))
}

impl From<TwinError> for Problem {
    fn from(error: TwinError) -> Self {
        match error {
            TwinError::Database(error) => error.into(),
            TwinError::Asset(error) => error.into(),
            TwinError::Reading(error) => error.into(),
            TwinError::Invalid(refusals) => refusals
                .into_iter()
                .fold(Self::new(crate::web::problem::INVALID, "a desired value cannot be"), |problem, refusal| {
                    problem.at(refusal.pointer, refusal.detail)
                }),
        }
    }
}

/// Which state.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    /// How it was at this instant: RFC 3339 or epoch milliseconds. Now by default.
    as_of: Option<String>,
}

/// The live state of an asset
#[utoipa::path(
    get, path = "/v1/assets/{asset}/state", tag = "twins",
    params(("asset" = String, Path, description = "Key of the asset"), StateQuery),
    responses(
        (status = 200, description = "The state", body = State),
        (status = 404, description = "No such asset", body = crate::web::problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "Not an instant", body = crate::web::problem::Document, content_type = "application/problem+json"),
    )
)]
async fn read_state(
    Room(twins): Room<Twins>,
    Path(key): Path<String>,
    Query(query): Query<StateQuery>,
) -> Result<Json<State>, Problem> {
    let as_of = query.as_of.as_deref().map(instant::from_text).transpose();
    let as_of = as_of.map_err(|error| Problem::invalid("as_of", error.to_string()))?;
    let asset = twins.assets().find(&key).await?;
    Ok(Json(twins.state(&asset, as_of).await?))
}

/// Replace what is desired of an asset
///
/// The body maps control inputs to a value, or to `{"schedule": [{"at": .., "value": ..}]}`. It
/// replaces all that was desired before.
#[utoipa::path(
    put, path = "/v1/assets/{asset}/desired", tag = "twins",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body(content = BTreeMap<String, Value>, description = "Value or schedule by signal"),
    responses(
        (status = 200, description = "What is desired now", body = BTreeMap<String, Desired>),
        (status = 404, description = "No such asset", body = crate::web::problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "Not a control input, or out of its limits", body = crate::web::problem::Document, content_type = "application/problem+json"),
    )
)]
async fn set_desired(
    Room(twins): Room<Twins>,
    Path(key): Path<String>,
    Json(body): Json<BTreeMap<String, Value>>,
) -> Result<Json<BTreeMap<String, Desired>>, Problem> {
    let asset = twins.assets().find(&key).await?;
    let document = &asset.asset_type.document;
    let mut wanted = BTreeMap::new();
    for (name, value) in &body {
        let desired = desired(document, name, value).map_err(|(under, detail)| {
            Problem::invalid(format!("/{}{under}", name.replace('~', "~0").replace('/', "~1")), detail)
        })?;
        wanted.insert(name.clone(), desired);
    }
    Ok(Json(twins.set_desired(&asset, wanted).await?))
}

type Fault = (String, String);

fn desired(document: &TypeDocument, name: &str, given: &Value) -> Result<Desired, Fault> {
    let kind = document.signals.iter().find(|signal| signal.name == name).map(|signal| &signal.kind);
    let Value::Object(object) = given else {
        return number(kind, given).map(|value| Desired::Value { value }).map_err(|detail| (String::new(), detail));
    };
    let only = object.iter().next().filter(|_| object.len() == 1);
    match only.map(|(field, value)| (field.as_str(), value)) {
        Some(("value", value)) => {
            number(kind, value).map(|value| Desired::Value { value }).map_err(|detail| ("/value".to_owned(), detail))
        }
        Some(("schedule", Value::Array(setpoints))) => {
            let schedule = setpoints.iter().enumerate().map(|(place, setpoint)| {
                self::setpoint(kind, setpoint).map_err(|(under, detail)| (format!("/schedule/{place}{under}"), detail))
            });
            Ok(Desired::Schedule { schedule: schedule.collect::<Result<_, _>>()? })
        }
        _ => Err((
            String::new(),
            "must be a value, {\"value\": ..} or {\"schedule\": [{\"at\": .., \"value\": ..}]}".to_owned(),
        )),
    }
}

fn setpoint(kind: Option<&Kind>, given: &Value) -> Result<Setpoint, Fault> {
    let fields = given.as_object().filter(|fields| fields.len() == 2);
    let Some((at, value)) = fields.and_then(|fields| Some((fields.get("at")?, fields.get("value")?))) else {
        return Err((String::new(), "must be {\"at\": .., \"value\": ..}".to_owned()));
    };
    let micros = match at {
        Value::String(text) => instant::parse(text),
        Value::Number(number) => instant::from_epoch_ms(number.as_f64().unwrap_or(f64::INFINITY)),
        _ => Err(instant::InstantError::Malformed),
    };
    let micros = micros.map_err(|error| ("/at".to_owned(), error.to_string()))?;
    let value = number(kind, value).map_err(|detail| ("/value".to_owned(), detail))?;
    Ok(Setpoint { at: instant::instant(micros), value })
}

fn number(kind: Option<&Kind>, given: &Value) -> Result<f64, String> {
    match (given, kind) {
        (Value::Number(number), _) => number.as_f64().ok_or_else(|| "is too large".to_owned()),
        (Value::Bool(value), Some(Kind::Boolean)) => Ok(f64::from(u8::from(*value))),
        (Value::String(label), Some(Kind::Enum { labels })) => labels
            .iter()
            .position(|known| known == label)
            .map(|place| place as f64)
            .ok_or_else(|| "is none of the signal's labels".to_owned()),
        _ => Err("must be a number".to_owned()),
    }
}
