//! What the writers believe, compared with what the database holds.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::Connection as _;

use super::writer::{instant, values};

/// One writer's acknowledged frames: asset and number.
pub(crate) struct Book {
    writer: u64,
    frames: Vec<(String, u64)>,
}

impl Book {
    pub(crate) fn new(writer: u64) -> Self {
        Self { writer, frames: Vec::new() }
    }

    pub(crate) fn acknowledge(&mut self, batch: Vec<(String, u64)>) {
        self.frames.extend(batch);
    }
}

/// The comparison, in readings; the last counts assets.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) acknowledged: u64,
    /// Acknowledged, but not there.
    pub(crate) lost: u64,
    /// There, with another value.
    pub(crate) wrong: u64,
    /// There, but nobody was told so. Every batch is sent until it is acknowledged, so none may be.
    pub(crate) phantom: u64,
    /// Assets whose twin counts other readings than the frames hold, or reports another newest frame.
    pub(crate) state_drift: u64,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.wrong + self.phantom + self.state_drift == 0
    }
}

/// The values of a frame, in the order of the type's signals.
type Values = Vec<Option<f64>>;
type Frames = HashMap<(String, DateTime<Utc>), Values>;

/// What a twin says, or what its frames say that it should.
#[derive(PartialEq, sqlx::FromRow)]
struct State {
    readings: i64,
    observed_at: Option<DateTime<Utc>>,
    reported: Values,
}

#[derive(sqlx::FromRow)]
struct TwinRow {
    key: String,
    #[sqlx(flatten)]
    state: State,
}

/// Reads everything that the database holds and holds it against the books.
pub(crate) async fn compare(url: &str, books: &[Book]) -> Findings {
    let mut database = sqlx::PgConnection::connect(url).await.expect("the server's database answers");
    let rows: Vec<(String, DateTime<Utc>, Values)> =
        sqlx::query_as("select a.key, f.observed_at, f.values from frame f join asset a on a.id = f.asset_id")
            .fetch_all(&mut database)
            .await
            .expect("the frames are readable");
    let twins: Vec<TwinRow> = sqlx::query_as(
        "select a.key, t.readings, t.observed_at, t.reported from twin t join asset a on a.id = t.asset_id",
    )
    .fetch_all(&mut database)
    .await
    .expect("the twins are readable");

    let mut findings = Findings::default();
    let mut frames: Frames = HashMap::new();
    let mut held: HashMap<String, State> = HashMap::new();
    for (asset, at, found) in rows {
        let readings = found.iter().flatten().count() as i64;
        let state =
            held.entry(asset.clone()).or_insert_with(|| State { readings: 0, observed_at: None, reported: Vec::new() });
        state.readings += readings;
        if state.observed_at < Some(at) {
            state.observed_at = Some(at);
            state.reported.clone_from(&found);
        }
        assert!(frames.insert((asset, at), found).is_none(), "the key of frame keeps instants apart");
    }
    for (asset, expected) in &held {
        let agrees = twins.iter().any(|twin| twin.key == *asset && twin.state == *expected);
        findings.state_drift += u64::from(!agrees);
    }
    for book in books {
        for (asset, seq) in &book.frames {
            let expected = values(book.writer, *seq);
            findings.acknowledged += expected.len() as u64;
            match frames.remove(&(asset.clone(), instant(book.writer, *seq))) {
                None => findings.lost += expected.len() as u64,
                Some(found) => {
                    let right = |place: &usize| found.get(*place).copied().flatten() == Some(expected[*place]);
                    findings.wrong += (0..expected.len()).filter(|place| !right(place)).count() as u64;
                }
            }
        }
    }
    findings.phantom = frames.values().map(|found| found.iter().flatten().count() as u64).sum();
    findings
}
