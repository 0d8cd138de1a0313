//! `POST /v1/telemetry`, `POST /v1/assets/{asset}/telemetry`, `POST /v1/imports`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::import::{self, ImportForm, ImportOptions, ImportSummary};
use super::{BodyError, Coding, CsvOptions, Form, Ingest, IngestError, MAX_READINGS, Options, Receipt};
use crate::asset::{Asset, Interval};
use crate::reading::instant;
use crate::web::body::{self, MAX_BODY};
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::{self, Problem};

/// When to come back after a refusal for lack of room.
const RETRY: Duration = Duration::from_secs(1);

/// The doors for readings.
pub fn router(ingest: Ingest) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(post_many)).routes(routes!(post_one)).with_state(ingest)
}

/// The door for history: a request may take as long as its body keeps coming.
pub fn imports(ingest: Ingest) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(post_import)).with_state(ingest)
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Syntax(detail) => Self::new(problem::INVALID_JSON, detail),
            IngestError::Form { pointer, detail } => Self::invalid(pointer, detail),
            IngestError::TooMany => {
                Self::new(problem::BATCH_TOO_LARGE, format!("there are more than {MAX_READINGS} readings"))
            }
            IngestError::TooLarge => Self::new(problem::TOO_LARGE, "the frames would take too much memory at once"),
            IngestError::Busy => Self::new(problem::BUSY, "too much is being stored at the moment").retry_after(RETRY),
            IngestError::Away => {
                Self::new(problem::UNAVAILABLE, "the database did not answer; sending the same again is safe")
                    .retry_after(RETRY)
            }
            IngestError::Failed => Self::new(problem::INTERNAL, "an unexpected error was logged"),
            IngestError::Asset(error) => error.into(),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooLarge => problem::TOO_LARGE,
            BodyError::Damaged => problem::BAD_REQUEST,
        };
        Self::new(kind, error.to_string())
    }
}

/// How telemetry is to be taken.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TelemetryQuery {
    /// Store all readings or none.
    #[serde(default)]
    atomic: bool,
    /// Name of the CSV column that holds the instant: `ts`, `observed_at`, `timestamp` or `time` by
    /// default.
    time: Option<String>,
}

/// Nothing was stored: a problem document with the receipt inside.
#[derive(Serialize)]
struct NothingStored<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    #[serde(flatten)]
    receipt: &'a Receipt,
}

/// Take in readings of many assets
///
/// A JSON array of frames `{"asset", "ts", "values": {signal: value}}` or of readings `{"asset",
/// "signal", "ts", "value", "quality"}`, also inside `{"readings": [..]}`; the same as NDJSON, one a
/// line; or CSV with a column `asset`. Answered after the commit. Sending the same again changes
/// nothing.
#[utoipa::path(
    post, path = "/v1/telemetry", tag = "telemetry",
    params(TelemetryQuery),
    request_body(description = "Readings", content(
        (serde_json::Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
    )),
    responses(
        (status = 200, description = "Everything was stored", body = Receipt),
        (status = 207, description = "Some readings were refused", body = Receipt),
        (status = 422, description = "No reading was stored", body = Receipt, content_type = "application/problem+json"),
    )
)]
async fn post_many(
    State(ingest): State<Ingest>,
    Query(query): Query<TelemetryQuery>,
    request: Request,
) -> Result<Response, Problem> {
    take(&ingest, None, query, request).await
}

/// Take in readings of one asset
///
/// `{"ts", "values": {signal: value}}` or an array of them, columns `{"timestamps": [..], "values":
/// {signal: [..]}}`, or plainly `{"temp": 3.1}` for now; the same as NDJSON; or CSV with a column for
/// the instant and one for each signal.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/telemetry", tag = "telemetry",
    params(("asset" = String, Path, description = "Key of the asset"), TelemetryQuery),
    request_body(description = "Readings", content(
        (serde_json::Value = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
    )),
    responses(
        (status = 200, description = "Everything was stored", body = Receipt),
        (status = 207, description = "Some readings were refused", body = Receipt),
        (status = 404, description = "No such asset", body = problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "No reading was stored", body = Receipt, content_type = "application/problem+json"),
    )
)]
async fn post_one(
    State(ingest): State<Ingest>,
    Path(key): Path<String>,
    Query(query): Query<TelemetryQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let asset = ingest.assets().find(&key).await?;
    take(&ingest, Some(asset), query, request).await
}

async fn take(
    ingest: &Ingest,
    scope: Option<Arc<Asset>>,
    query: TelemetryQuery,
    request: Request,
) -> Result<Response, Problem> {
    let form = form(request.headers())?;
    let coding = coding(request.headers())?;
    let options = Options { atomic: query.atomic, csv: CsvOptions { time: query.time, ..CsvOptions::default() } };
    let body = request.into_body();
    // Without a declared length it could be as long as it may be.
    let announced = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let mut hold = ingest.admit(announced.unwrap_or(MAX_BODY).min(MAX_BODY))?;
    let bytes = body::read(body, MAX_BODY).await?;
    let receipt = if coding == Coding::Identity {
        hold.resize(bytes.len())?;
        ingest.take(scope, form, &bytes, &options, &mut hold).await?
    } else {
        hold.resize(bytes.len() + MAX_BODY)?;
        let open = coding.open(&bytes, MAX_BODY).await?;
        drop(bytes);
        hold.resize(open.len())?;
        ingest.take(scope, form, &open, &options, &mut hold).await?
    };
    Ok(answer(&receipt))
}

fn answer(receipt: &Receipt) -> Response {
    if receipt.nothing_taken() {
        let kind = problem::NOTHING_STORED;
        let document = NothingStored {
            r#type: format!("/problems/{}", kind.slug),
            title: kind.title,
            status: kind.status,
            detail: "no reading was stored; `errors` says why",
            receipt,
        };
        let mut response = (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(document)).into_response();
        let media = header::HeaderValue::from_static(problem::MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        return response;
    }
    let status = if receipt.rejected > 0 { StatusCode::MULTI_STATUS } else { StatusCode::OK };
    (status, axum::Json(receipt)).into_response()
}

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    match body::media_type(headers).as_deref() {
        Some("application/json") => Ok(Form::Json),
        Some("application/x-ndjson" | "application/jsonl") => Ok(Form::Lines),
        Some("text/csv") => Ok(Form::Csv),
        _ => Err(Problem::new(
            problem::UNSUPPORTED_MEDIA_TYPE,
            "readings come as application/json, application/x-ndjson or text/csv in UTF-8; name it in Content-Type",
        )),
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let named = headers.get(header::CONTENT_ENCODING).map_or(Some(""), |value| value.to_str().ok());
    named.and_then(Coding::of).ok_or_else(|| {
        Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, "bodies may be compressed by gzip or zstd, and by nothing else")
    })
}

/// What is imported, and how.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    /// Key of the asset that all readings belong to; otherwise the rows name theirs.
    asset: Option<String>,
    /// Read and check everything, store nothing.
    #[serde(default)]
    dry_run: bool,
    /// Name of the CSV column that holds the instant.
    time: Option<String>,
    /// Signals of CSV columns, `column:signal` separated by commas; other columns are left out.
    columns: Option<String>,
    /// Instant of the first row, for CSV without a column that holds it. Needs `interval`.
    start: Option<String>,
    /// ISO 8601 duration between rows. Needs `start`.
    interval: Option<String>,
}

/// Import history
///
/// CSV or NDJSON of up to 1 GiB, taken in chunk by chunk. Sending the same again changes nothing, so
/// an import that broke off is simply repeated. The answer counts all rows.
#[utoipa::path(
    post, path = "/v1/imports", tag = "telemetry",
    params(ImportQuery),
    request_body(description = "History", content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "The whole body was read; some rows may have been refused", body = ImportSummary),
        (status = 404, description = "No such asset", body = problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "The first line or a parameter makes no sense", body = problem::Document, content_type = "application/problem+json"),
    )
)]
async fn post_import(
    State(ingest): State<Ingest>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Json<ImportSummary>, Problem> {
    let form = match form(request.headers())? {
        Form::Csv => ImportForm::Csv,
        Form::Lines => ImportForm::Lines,
        Form::Json => {
            return Err(Problem::new(
                problem::UNSUPPORTED_MEDIA_TYPE,
                "history comes as text/csv or application/x-ndjson",
            ));
        }
    };
    if coding(request.headers())? != Coding::Identity {
        return Err(Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, "imports are not compressed"));
    }
    let scope = match &query.asset {
        Some(key) => Some(ingest.assets().find(key).await?),
        None => None,
    };
    let options = ImportOptions { form, dry_run: query.dry_run, csv: csv_options(&query)? };
    let stream = Body::into_data_stream(request.into_body());
    let summary = import::stream(&ingest, scope, &options, stream, |_| {}).await.map_err(|error| match error {
        import::ImportError::Ingest(error) => error.into(),
        import::ImportError::Read(_) => Problem::new(problem::BAD_REQUEST, "the body ended before it was complete"),
        import::ImportError::Silent => Problem::new(problem::TIMEOUT, error.to_string()),
        import::ImportError::TooLarge => Problem::new(problem::TOO_LARGE, error.to_string()),
        other => Problem::new(problem::INVALID, other.to_string()),
    })?;
    Ok(Json(summary))
}

fn csv_options(query: &ImportQuery) -> Result<CsvOptions, Problem> {
    let columns = query.columns.as_deref().map(import::parse_columns).transpose();
    let columns = columns.map_err(|detail| Problem::invalid("columns", detail))?;
    let clock = match (&query.start, &query.interval) {
        (None, None) => None,
        (Some(start), Some(interval)) => {
            let start = instant::from_text(start).map_err(|error| Problem::invalid("start", error.to_string()))?;
            let interval = interval.parse::<Interval>();
            let interval = interval.map_err(|error| Problem::invalid("interval", error.to_string()))?;
            Some((start.timestamp_micros(), interval.micros()))
        }
        (Some(_), None) => return Err(Problem::invalid("interval", "is missing beside `start`")),
        (None, Some(_)) => return Err(Problem::invalid("start", "is missing beside `interval`")),
    };
    Ok(CsvOptions { time: query.time.clone(), columns, clock })
}
