//! Events: what is not a number. Log lines of machines, notes of people, and labels that say what
//! was so during an interval, from which health is learned.
//!
//! An event has one instant or an interval, in event time and within the instants that readings may
//! have. Its id is unique within the asset; a sender that chooses it can send the same event twice
//! without harm, or end one that it began: the same id again replaces what it said before.

mod form;
mod life;
mod receipt;
pub mod routes;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

pub use form::{EventForm, MAX_CODE, MAX_TEXT};
pub use life::{Life, Turn, lives};
pub use receipt::{EventError, EventReceipt};

use crate::asset::{Asset, AssetError, Assets};
use crate::clock::Clock;
use crate::ids::EventId;
use crate::reading::Readings;
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// Events of one request.
pub const MAX_EVENTS: usize = 1_000;
/// The list of an asset's events, for its cursors.
const LIST: &str = "events";

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = EventKind)]
pub enum Kind {
    /// A machine wrote it.
    Log,
    /// A person wrote it.
    Note,
    /// It says what was so, for learning.
    Label,
}

/// How bad it is: the scale of alarms, and one step below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = EventSeverity)]
pub enum Severity {
    /// The asset has failed, or will at once.
    Critical,
    /// It cannot do what it is for.
    Major,
    /// It does it badly.
    Minor,
    /// It may become one of those.
    Warning,
    /// Nothing is wrong.
    Info,
}

impl Kind {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Note => "note",
            Self::Label => "label",
        }
    }
}

impl Severity {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// An event as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Event {
    /// Unique within the asset.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// When it happened, or began.
    #[sqlx(rename = "starts_at")]
    pub start: DateTime<Utc>,
    /// When it ended; null for an instant, or while it lasts.
    #[sqlx(rename = "ends_at")]
    pub end: Option<DateTime<Utc>>,
    /// How bad it is; null where the sender did not say.
    pub severity: Option<Severity>,
    /// What the machine calls it.
    pub code: Option<String>,
    /// For people.
    pub text: Option<String>,
    /// Of a label: the health class that the asset was in.
    pub class: Option<String>,
    /// When the server took it in.
    pub received_at: DateTime<Utc>,
}

/// What an asset was like for a while, as a label says.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Label {
    /// When it began.
    #[sqlx(rename = "starts_at")]
    pub start: DateTime<Utc>,
    /// When it ended; `None` while it lasts.
    #[sqlx(rename = "ends_at")]
    pub end: Option<DateTime<Utc>>,
    /// The health class.
    pub class: String,
}

/// Which events a list shows. Conditions that are not given hold for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this kind.
    pub kind: Option<Kind>,
    /// Only those that happened at or after this instant, or still lasted then.
    pub from: Option<DateTime<Utc>>,
    /// Only those that happened or began before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Only those with this code.
    pub code: Option<String>,
    /// Only those as bad as this.
    pub severity: Option<Severity>,
    /// Only labels of this class.
    pub class: Option<String>,
}

/// Why events could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The body is not what is taken here.
    #[error("{0}")]
    Syntax(String),
    /// More events than one request may bring.
    #[error("there are more than {MAX_EVENTS} events")]
    TooMany,
    /// No such event.
    #[error("the asset has no event {0}")]
    NotFound(String),
    /// The asset is not there, or cannot be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// The events of all assets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    readings: Readings,
}

impl Events {
    /// The events of a database. Those of `readings` decide which instants events may have.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, readings: Readings) -> Self {
        Self { db, clock, assets, readings }
    }

    /// Keeps what can be kept of a body: one event, or an array of them. Labels teach, so they are
    /// made and replaced only by those who `may_label`.
    pub async fn take(&self, asset: &str, body: &[u8], may_label: bool) -> Result<EventReceipt, EventsError> {
        let asset = self.assets.find(asset).await?;
        let items = form::items(body)?;
        let window = self.readings.window();
        let mut forms: Vec<_> = items.events.iter().map(|text| form::read(text, &asset.asset_type, window)).collect();
        if !may_label {
            let named: Vec<&str> = forms.iter().flatten().filter_map(|form| form.id.as_deref()).collect();
            let labels = store::labels_among(&self.db, asset.id, &named).await?;
            forms = forms.into_iter().map(|form| form.and_then(|form| form.unless_label(&labels))).collect();
        }
        let mut receipt = EventReceipt::default();
        let mut taken: Vec<Event> = Vec::with_capacity(items.events.len());
        let mut place_of: HashMap<String, usize> = HashMap::new();
        for (index, form) in forms.into_iter().enumerate() {
            receipt.received += 1;
            match form {
                Err(wrong) => receipt.reject(index, &items.base(index), wrong),
                Ok(form) => {
                    let id = form.id.unwrap_or_else(|| EventId::mint(&self.clock).to_string());
                    let event = Event { id: id.clone(), received_at: self.clock.now(), ..form.event };
                    receipt.ids.push(Some(id.clone()));
                    match place_of.get(&id) {
                        // Twice in one request: the later one counts, as if it had come in a later request.
                        Some(place) => {
                            receipt.count_twin(taken[*place] == event);
                            taken[*place] = event;
                        }
                        None => {
                            place_of.insert(id, taken.len());
                            taken.push(event);
                        }
                    }
                }
            }
        }
        if !taken.is_empty() {
            let (new, changed) = self.keep(&asset, &taken, may_label).await?;
            receipt.stored += new;
            receipt.updated += changed;
            receipt.duplicates += taken.len() as u64 - new - changed;
        }
        Ok(receipt)
    }

    /// A page of an asset's events, those that began last first.
    pub async fn list(
        &self,
        asset: &str,
        filter: &Filter,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<Event>, Problem> {
        let asset = self.assets.find(asset).await?;
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && from > to
        {
            return Err(Problem::invalid("from", "lies after `to`"));
        }
        let before: Option<(DateTime<Utc>, String)> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, asset.id, filter, before, limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |event| (event.start, event.id.clone())))
    }

    /// One event.
    pub async fn find(&self, asset: &str, id: &str) -> Result<Event, EventsError> {
        let asset = self.assets.find(asset).await?;
        store::find(&self.db, asset.id, id).await?.ok_or_else(|| EventsError::NotFound(id.to_owned()))
    }

    /// Forgets one event.
    pub async fn delete(&self, asset: &str, id: &str) -> Result<(), EventsError> {
        let asset = self.assets.find(asset).await?;
        if store::delete(&self.db, asset.id, id).await? {
            return Ok(());
        }
        Err(EventsError::NotFound(id.to_owned()))
    }

    /// Writes events: how many are new, and how many said something else before.
    async fn keep(&self, asset: &Arc<Asset>, events: &[Event], may_label: bool) -> Result<(u64, u64), EventsError> {
        store::upsert(&self.db, asset.id, events, may_label).await.map_err(|error| {
            let deleted = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
            if deleted { AssetError::NotFound(asset.key.clone()).into() } else { error.into() }
        })
    }
}
