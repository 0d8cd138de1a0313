//! How assets hang together: an output of one is an input of the next.
//!
//! A relationship of type `feeds` says that a what-if of its source goes on in its target. There is
//! never a circle of them: one writer at a time looks before it writes. An input is fed by one asset
//! only.

mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Asset, AssetError, Assets, Made, Role, Signal, constraint, invalid};
use crate::ids::AssetId;
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// The list of an asset's relationships, for its cursors.
const LIST: &str = "relationships";
/// The list of all relationships.
const ALL: &str = "all-relationships";

/// Kinds of relationships.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelationshipType {
    /// An output of the source is a disturbance or control input of the target.
    Feeds,
}

impl RelationshipType {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Feeds => "feeds",
        }
    }
}

/// A relationship from one asset to another.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Relationship {
    /// Key of the asset that it starts from.
    pub source: String,
    /// Name of that asset, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
    /// What it says.
    pub r#type: RelationshipType,
    /// Key of the asset that it leads to.
    pub target: String,
    /// Name of that asset, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
    /// The output of the source.
    pub from_signal: String,
    /// The input of the target that it becomes.
    pub to_signal: String,
    /// When it was made, or last changed.
    pub created_at: DateTime<Utc>,
}

/// The two ends of a `feeds`.
#[derive(Clone, Debug, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Feed {
    /// An output of the source.
    pub from_signal: String,
    /// A disturbance or control input of the target, in the same unit.
    pub to_signal: String,
}

/// Which relationships a list shows. Conditions that are not given hold for all.
#[derive(Clone, Debug, Default)]
pub struct RelationshipFilter {
    /// Only those of this type.
    pub kind: Option<RelationshipType>,
    /// Only those that start from the asset of this key.
    pub source: Option<String>,
    /// Only those that lead to the asset of this key.
    pub target: Option<String>,
}

/// One edge of a chain of assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Key of the asset that feeds.
    pub source: String,
    /// Key of the asset that is fed.
    pub target: String,
    /// The output of the source.
    pub from_signal: String,
    /// The input of the target.
    pub to_signal: String,
}

impl Assets {
    /// Says that one asset feeds another, or that it feeds it otherwise than before.
    pub async fn relate(&self, source: &str, target: &str, feed: Feed) -> Result<Made<Relationship>, AssetError> {
        let (source, target) = (self.current(source).await?, self.current(target).await?);
        check(&source, &target, &feed)?;
        let (db, now) = (self.db.clone(), self.clock.now());
        let (from, to) = (source.id, target.id);
        let wanted = feed.clone();
        // A task of its own, because a client that leaves must not leave half a transaction.
        let written = tokio::spawn(async move { write(&db, from, to, &wanted, now).await });
        let written = written.await.map_err(|_| AssetError::Database(sqlx::Error::WorkerCrashed))?;
        let (new, created_at) = written.map_err(|error| match error {
            WriteError::Circle => AssetError::Circle { feeder: source.key.clone(), fed: target.key.clone() },
            WriteError::Database(error) => match constraint(&error) {
                Some("relationship_fed_once") => {
                    AssetError::Fed { target: target.key.clone(), signal: feed.to_signal.clone() }
                }
                Some("relationship_source_id_fkey") => AssetError::NotFound(source.key.clone()),
                Some("relationship_target_id_fkey") => AssetError::NotFound(target.key.clone()),
                _ => error.into(),
            },
        })?;
        let relationship = Relationship {
            source: source.key,
            source_name: source.name,
            r#type: RelationshipType::Feeds,
            target: target.key,
            target_name: target.name,
            from_signal: feed.from_signal,
            to_signal: feed.to_signal,
            created_at,
        };
        Ok(if new { Made::New(relationship) } else { Made::Same(relationship) })
    }

    /// Ends a relationship; false when there was none.
    pub async fn unrelate(&self, source: &str, kind: RelationshipType, target: &str) -> Result<bool, AssetError> {
        let source = self.current(source).await?;
        Ok(store::delete(&self.db, source.id, kind.name(), target).await?)
    }

    /// A page of the relationships that an asset has, those that lead to it included.
    pub async fn relationships(
        &self,
        key: &str,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<Relationship>, Problem> {
        let asset = self.current(key).await?;
        let after: Option<(String, String)> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::of_asset(&self.db, asset.id, after, limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |row| (row.source.clone(), row.target.clone())))
    }

    /// A page of all relationships that a filter lets through.
    pub async fn all_relationships(
        &self,
        filter: &RelationshipFilter,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<Relationship>, Problem> {
        let after: Option<(String, String)> = cursor.map(|cursor| page::position(ALL, cursor)).transpose()?;
        let rows = store::all(&self.db, filter, after, limit.rows()).await?;
        Ok(Page::of(ALL, rows, limit, |row| (row.source.clone(), row.target.clone())))
    }

    /// Every `feeds` that a change of an asset goes through, near and far, at most `limit` of them.
    pub async fn downstream(&self, asset: AssetId, limit: usize) -> Result<Vec<Edge>, AssetError> {
        Ok(store::downstream(&self.db, asset, limit as i64).await?)
    }
}

/// Why a relationship was not written.
enum WriteError {
    Circle,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

async fn write(
    db: &sqlx::PgPool,
    source: AssetId,
    target: AssetId,
    feed: &Feed,
    now: DateTime<Utc>,
) -> Result<(bool, DateTime<Utc>), WriteError> {
    let mut transaction = db.begin().await?;
    store::lock_feeds(&mut *transaction).await?;
    if store::reaches(&mut *transaction, target, source).await? {
        return Err(WriteError::Circle);
    }
    let written = store::write(&mut *transaction, source, target, feed, now).await?;
    transaction.commit().await?;
    Ok(written)
}

fn check(source: &Asset, target: &Asset, feed: &Feed) -> Result<(), AssetError> {
    if source.id == target.id {
        return Err(invalid("target", "an asset cannot feed itself"));
    }
    let signal = |asset: &Asset, name: &str, pointer: &str, fits: fn(Role) -> bool, wanted: &str| {
        let found = asset.asset_type.signal(name).map(|(_, signal)| signal.clone());
        let found: Signal = found.ok_or_else(|| invalid(pointer, format!("{} has no signal {name}", asset.key)))?;
        if fits(found.role) {
            return Ok(found);
        }
        Err(invalid(pointer, format!("{name} has the role {}; it must be {wanted}", found.role.name())))
    };
    let from = signal(source, &feed.from_signal, "/from_signal", |role| role == Role::Output, "an output")?;
    let is_input = |role| matches!(role, Role::Disturbance | Role::ControlInput);
    let to = signal(target, &feed.to_signal, "/to_signal", is_input, "a disturbance or control_input")?;
    if from.unit != to.unit {
        let detail = format!("{} is in {} and {} in {}; they must be the same", to.name, to.unit, from.name, from.unit);
        return Err(invalid("/to_signal", detail));
    }
    if from.kind != to.kind {
        return Err(invalid("/to_signal", "the two signals are of different kinds"));
    }
    Ok(())
}
