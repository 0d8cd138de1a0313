//! `GET /v1/assets/{asset}/history`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::asset::{Asset, Assets, Interval, Kind};
use crate::reading::history::{Agg, Fill, MAX_POINTS, Question, Table};
use crate::reading::{ReadingError, Readings, instant};
use crate::web::extract::{Json, Path, Query};
use crate::web::page;
use crate::web::problem::Problem;

/// Rows without `limit`.
const DEFAULT_ROWS: usize = 1000;
/// Rows of one CSV answer.
const MAX_CSV_ROWS: usize = 100_000;
/// Names the list in cursors.
const LIST: &str = "history";

#[derive(Clone, Debug)]
struct Room {
    readings: Readings,
    assets: Assets,
}

/// The readings' doors.
pub fn router(readings: Readings, assets: Assets) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(read_history)).with_state(Room { readings, assets })
}

impl From<ReadingError> for Problem {
    fn from(error: ReadingError) -> Self {
        match error {
            ReadingError::Database(error) => error.into(),
            ReadingError::Invalid { parameter, detail } => Self::invalid(parameter, detail),
        }
    }
}

/// Which history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// Begin of the range: RFC 3339 or epoch milliseconds. A day before `to` by default.
    from: Option<String>,
    /// End of the range, not part of it. Just behind the newest frame by default.
    to: Option<String>,
    /// Names of signals, separated by commas. All by default.
    signals: Option<String>,
    /// Put readings into buckets of this ISO 8601 duration, such as `PT5M`.
    interval: Option<String>,
    /// How a bucket becomes a value.
    agg: Option<Agg>,
    /// What stands where nothing was measured. Without it gaps stay and empty buckets are left out.
    #[param(inline)]
    fill: Option<Fill>,
    /// Thin the answer to this many points that keep its look (3 to 11,000).
    max_points: Option<usize>,
    /// Rows of the answer, at most 11,000 (100,000 as CSV).
    limit: Option<usize>,
    /// Continues an answer: its `next`.
    cursor: Option<String>,
    /// `json` or `csv`; the Accept header by default.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

/// History as columns.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct History {
    /// Key of the asset.
    asset: String,
    /// Begin of the range.
    from: String,
    /// End of the range, not part of it.
    to: String,
    /// Duration of a bucket, when rows are buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    /// How buckets became values, when rows are buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    agg: Option<Agg>,
    /// Names of the columns.
    signals: Vec<String>,
    /// UCUM unit of each signal.
    units: BTreeMap<String, String>,
    /// One a row.
    timestamps: Vec<String>,
    /// One column a signal; null is a gap. Booleans are 0 and 1, enum values the position of their
    /// label.
    values: BTreeMap<String, Vec<Option<f64>>>,
    /// Cursor of the rest, when there is more.
    next: Option<String>,
}

/// Readings of an asset over time
#[utoipa::path(
    get, path = "/v1/assets/{asset}/history", tag = "readings",
    params(("asset" = String, Path, description = "Key of the asset"), HistoryQuery),
    responses(
        (status = 200, description = "The readings", content((History = "application/json"), (String = "text/csv"))),
        (status = 404, description = "No such asset", body = crate::web::problem::Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter makes no sense", body = crate::web::problem::Document, content_type = "application/problem+json"),
    )
)]
async fn read_history(
    State(room): State<Room>,
    Path(key): Path<String>,
    Query(query): Query<HistoryQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let csv = query.format.map_or_else(|| wants_csv(&headers), |format| format == Format::Csv);
    let asset = room.assets.find(&key).await?;
    let question = question(&query, &asset, csv)?;
    let table = room.readings.history(asset.id, &question).await?;
    let next = table.next.map(|next| page::cursor(LIST, &next.timestamp_micros()));
    if csv {
        return Ok(as_csv(&asset, &question, &table, next.as_deref(), &uri));
    }
    Ok(Json(history(&asset, &question, table, next)).into_response())
}

fn question(query: &HistoryQuery, asset: &Asset, csv: bool) -> Result<Question, Problem> {
    let signals = signals(query.signals.as_deref(), asset)?;
    let guide = signals.iter().position(|&signal| asset.asset_type.document.signals[signal].kind == Kind::Number);
    let at = |name: &str, text: Option<&str>| -> Result<Option<DateTime<Utc>>, Problem> {
        text.map(instant::from_text).transpose().map_err(|error| Problem::invalid(name, error.to_string()))
    };
    let interval = query.interval.as_deref().map(str::parse::<Interval>).transpose();
    let interval = interval.map_err(|error| Problem::invalid("interval", error.to_string()))?;
    if query.agg.is_some() && interval.is_none() {
        return Err(Problem::invalid("agg", "needs an `interval`"));
    }
    if query.max_points.is_some_and(|points| !(3..=MAX_POINTS).contains(&points)) {
        return Err(Problem::invalid("max_points", format!("is not between 3 and {MAX_POINTS}")));
    }
    let most = if csv { MAX_CSV_ROWS } else { MAX_POINTS };
    if query.limit.is_some_and(|limit| !(1..=most).contains(&limit)) {
        return Err(Problem::invalid("limit", format!("is not between 1 and {most}")));
    }
    let resume = query.cursor.as_deref().map(|cursor| page::position::<i64>(LIST, cursor)).transpose()?;
    // Buckets and thinned points are few by themselves.
    let bounded = interval.is_some() || query.max_points.is_some();
    Ok(Question {
        from: at("from", query.from.as_deref())?,
        to: at("to", query.to.as_deref())?,
        signals,
        guide: guide.unwrap_or_default(),
        step_us: interval.map(Interval::micros),
        agg: query.agg.unwrap_or_default(),
        fill: query.fill,
        max_points: query.max_points,
        limit: query.limit.unwrap_or(if csv || bounded { most } else { DEFAULT_ROWS }),
        resume: resume.map(instant::instant),
    })
}

fn signals(names: Option<&str>, asset: &Asset) -> Result<Vec<usize>, Problem> {
    let document = &asset.asset_type.document;
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Ok((0..document.signals.len()).collect());
    };
    let mut signals = Vec::new();
    for name in names.split(',').map(str::trim) {
        let Some(place) = document.signals.iter().position(|signal| signal.name == name) else {
            let known: Vec<&str> = document.signals.iter().map(|signal| signal.name.as_str()).collect();
            return Err(Problem::invalid(
                "signals",
                format!("a name is no signal of the asset; it has {}", known.join(", ")),
            ));
        };
        if !signals.contains(&place) {
            signals.push(place);
        }
    }
    Ok(signals)
}

fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept
        .split(',')
        .any(|one| one.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/csv")))
}

fn history(asset: &Asset, question: &Question, table: Table, next: Option<String>) -> History {
    let signals = || question.signals.iter().map(|&signal| &asset.asset_type.document.signals[signal]);
    let columns = table
        .columns
        .into_iter()
        .map(|column| column.into_iter().map(|value| value.is_finite().then_some(value)).collect());
    History {
        asset: asset.key.clone(),
        from: instant::text(table.from),
        to: instant::text(table.to),
        interval: table.step_us.and_then(Interval::from_micros).map(|interval| interval.to_string()),
        agg: table.step_us.map(|_| question.agg),
        signals: signals().map(|signal| signal.name.clone()).collect(),
        units: signals().map(|signal| (signal.name.clone(), signal.unit.clone())).collect(),
        timestamps: table.instants.into_iter().map(instant::text).collect(),
        values: signals().map(|signal| signal.name.clone()).zip(columns).collect(),
        next,
    }
}

fn as_csv(asset: &Asset, question: &Question, table: &Table, next: Option<&str>, uri: &Uri) -> Response {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = question.signals.iter().map(|&signal| asset.asset_type.document.signals[signal].name.as_str());
    // Writing into memory does not fail.
    let _ = writer.write_record(std::iter::once("observed_at").chain(names));
    for (row, at) in table.instants.iter().enumerate() {
        let cells = table.columns.iter().map(|column| match column[row] {
            value if value.is_finite() => value.to_string(),
            _ => String::new(),
        });
        let _ = writer.write_record(std::iter::once(instant::text(*at)).chain(cells));
    }
    let body = writer.into_inner().unwrap_or_default();
    let mut response = ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], body).into_response();
    if let Some(next) = next {
        let kept =
            uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let query: Vec<&str> = kept.collect();
        let link = format!("<{}?{}&cursor={next}>; rel=\"next\"", uri.path(), query.join("&")).replace("?&", "?");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}
