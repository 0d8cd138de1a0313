//! What exists: assets, and the versioned types that say what their signals and attributes are.
//!
//! A version of a type never changes, so whoever holds an [`Arc<AssetType>`] can rely on it. An
//! asset can move to another version only if frames of the two read alike. Deleting an asset
//! deletes all that hangs on it in one transaction. Keys are unique among assets and among types.

mod cache;
mod interval;
pub mod key;
mod patch;
mod relationship;
pub mod routes;
pub mod schema;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;

use crate::clock::Clock;
use crate::ids::AssetId;
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{FieldError, Problem};
use cache::Cache;
use store::AssetRow;

pub use interval::Interval;
pub use key::Key;
pub use relationship::{Edge, Feed, Relationship, RelationshipFilter, RelationshipType};
pub use routes::router;
pub use schema::form::{AUTO, AttributeKind, Declared, EndOfLife, Extends, OnInvalid, Role, Sign, Template, TypeForm};
pub use schema::{Attribute, Kind, Signal, TypeDocument};

/// Longest name of an asset, in characters.
const MAX_NAME: usize = 200;
/// The list of assets, for its cursors.
const LIST: &str = "assets";

/// The assets and their types. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Assets {
    db: PgPool,
    clock: Clock,
    cache: Arc<Cache>,
}

/// One version of a type.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetType {
    /// The database's surrogate of this version.
    pub id: i64,
    /// Name that people chose; the same for all versions.
    pub key: String,
    /// 1, 2, 3...
    pub version: i32,
    /// What it says.
    pub document: TypeDocument,
    /// When this version was made.
    pub created_at: DateTime<Utc>,
}

/// A physical thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    /// The database's surrogate.
    pub id: AssetId,
    /// Name that people chose.
    pub key: String,
    /// The version of the type that it is an instance of.
    pub asset_type: Arc<AssetType>,
    /// For people.
    pub name: Option<String>,
    /// Checked against the type.
    pub attributes: Map<String, Value>,
    /// Counts changes, from 1.
    pub revision: i64,
    /// When it was made known.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An asset to be.
#[derive(Clone, Debug)]
pub struct NewAsset {
    /// Its key.
    pub key: Key,
    /// The key of its type.
    pub asset_type: Key,
    /// The version of its type; the newest if not given.
    pub type_version: Option<i32>,
    /// For people.
    pub name: Option<String>,
    /// As the type has them.
    pub attributes: Map<String, Value>,
}

/// Which assets a list shows. Conditions that are not given hold for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those of this type, in any version.
    pub asset_type: Option<String>,
    /// Only those whose key or name contains this, in either case.
    pub text: Option<String>,
}

/// What went with a deleted asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Deleted {
    /// Frames of readings.
    pub frames: i64,
    /// Model versions.
    pub models: i64,
    /// Fine-tune jobs.
    pub jobs: i64,
    /// Kept predictions.
    pub predictions: i64,
    /// Logs, notes and labels.
    pub events: i64,
    /// Alarms, active and cleared.
    pub alarms: i64,
}

/// Whether something was made or was there already, just the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Made<T> {
    /// It is new.
    New(T),
    /// It was there.
    Same(T),
}

/// Why an asset or type could not be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// No such asset.
    #[error("there is no asset {0}")]
    NotFound(String),
    /// No such type, or not in that version.
    #[error("there is no asset type {0}")]
    TypeNotFound(String),
    /// The key belongs to another one.
    #[error("{0} exists already and is not the same")]
    Exists(String),
    /// Somebody changed it meanwhile.
    #[error("somebody changed it meanwhile")]
    Changed,
    /// A type cannot go while there are assets of it.
    #[error("there are assets of the type {0}: delete them first")]
    TypeInUse(String),
    /// Frames could not be read by the other version.
    #[error(
        "version {to} of the type has other signals than version {from}, so the stored readings could not be read; \
         make a new asset for it"
    )]
    OtherSignals {
        /// Version that the asset has.
        from: i32,
        /// Version that was wanted.
        to: i32,
    },
    /// Assets that feed each other could not be answered one after the other.
    #[error("{fed} feeds {feeder} already, directly or through others: that would be a circle")]
    Circle {
        /// Who was to feed.
        feeder: String,
        /// Who was to be fed.
        fed: String,
    },
    /// An input has one value, so one asset feeds it.
    #[error("another asset feeds {signal} of {target} already")]
    Fed {
        /// Who was to be fed.
        target: String,
        /// Its input.
        signal: String,
    },
    /// Values that are wrong.
    #[error("{}", in_words(.0))]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Faults for who has no answer with pointers, such as a command line.
fn in_words(faults: &[FieldError]) -> String {
    let words = faults.iter().map(|fault| format!("{}: {}", fault.pointer.trim_start_matches('/'), fault.detail));
    words.collect::<Vec<_>>().join("; ")
}

impl AssetType {
    /// A signal and its place in a frame.
    #[must_use]
    pub fn signal(&self, name: &str) -> Option<(usize, &Signal)> {
        self.document.signals.iter().enumerate().find(|(_, signal)| signal.name == name)
    }

    /// The signals of a role with their places in a frame.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = (usize, &Signal)> {
        self.document.signals.iter().enumerate().filter(move |(_, signal)| signal.role == role)
    }

    /// The nominal time between frames in seconds.
    #[must_use]
    pub fn interval_s(&self) -> f64 {
        self.document.interval.seconds()
    }
}

impl Asset {
    /// Changes whenever the asset does, and differs from that of an earlier asset of the same key.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{}-{}", self.id.0, self.revision)
    }
}

impl Assets {
    /// The assets of a database.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock, cache: Arc::default() }
    }

    /// The asset of a key, at most a second old: a thousand frames in a row ask the database once.
    pub async fn find(&self, key: &str) -> Result<Arc<Asset>, AssetError> {
        let mut found = self.find_many(&[key]).await?;
        found.remove(key).ok_or_else(|| AssetError::NotFound(key.to_owned()))
    }

    /// The assets of several keys, as [`Self::find`] has them; keys without an asset are absent.
    pub async fn find_many(&self, keys: &[&str]) -> Result<HashMap<String, Arc<Asset>>, AssetError> {
        let (mut found, missing) = self.cache.assets(keys);
        if !missing.is_empty() {
            let rows = store::by_keys(&self.db, &missing).await?;
            for asset in self.complete(rows).await? {
                let asset = Arc::new(asset);
                self.cache.keep(&asset);
                found.insert(asset.key.clone(), asset);
            }
        }
        Ok(found)
    }

    /// The asset of a surrogate, if it still exists. Always asks the database.
    pub async fn by_id(&self, id: AssetId) -> Result<Option<Arc<Asset>>, AssetError> {
        let row = store::by_id(&self.db, id).await?;
        Ok(self.complete(row.into_iter().collect()).await?.pop().map(Arc::new))
    }

    /// The asset of a key as it is now.
    pub async fn current(&self, key: &str) -> Result<Asset, AssetError> {
        let rows = store::by_keys(&self.db, &[key]).await?;
        self.complete(rows).await?.pop().ok_or_else(|| AssetError::NotFound(key.to_owned()))
    }

    /// A page of assets in the order of their keys.
    pub async fn list(&self, filter: &Filter, limit: Limit, cursor: Option<&str>) -> Result<Page<Asset>, Problem> {
        let after: Option<String> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let (of_type, text) = (filter.asset_type.as_deref(), filter.text.as_deref());
        let rows = store::list(&self.db, of_type, text, after.as_deref(), limit.rows()).await?;
        let assets = self.complete(rows).await?;
        Ok(Page::of(LIST, assets, limit, |asset| asset.key.clone()))
    }

    /// Makes an asset known. Doing so twice is no error as long as the same is said.
    pub async fn create(&self, new: NewAsset) -> Result<Made<Asset>, AssetError> {
        let asset_type = match self.version(new.asset_type.as_str(), new.type_version).await {
            Err(AssetError::TypeNotFound(name)) => {
                return Err(invalid("/type", format!("there is no asset type {name}")));
            }
            other => other?,
        };
        check_name(new.name.as_deref())?;
        asset_type.document.check_attributes(&new.attributes).map_err(AssetError::Invalid)?;
        let now = self.clock.now();
        let row =
            store::insert(&self.db, &new, asset_type.id, now).await.map_err(|error| match constraint(&error) {
                // The type went while we looked.
                Some("asset_of_type") => AssetError::TypeNotFound(new.asset_type.to_string()),
                _ => error.into(),
            })?;
        if let Some(row) = row {
            return Ok(Made::New(row.complete(asset_type)));
        }
        let present = self.current(new.key.as_str()).await?;
        let same = present.asset_type.key == asset_type.key
            && new.type_version.is_none_or(|version| version == present.asset_type.version)
            && present.name == new.name
            && alike(&present.attributes, &new.attributes);
        if same { Ok(Made::Same(present)) } else { Err(AssetError::Exists(new.key.to_string())) }
    }

    /// Changes an asset by a JSON merge patch, unless it is no longer the one that was read.
    pub async fn patch(&self, present: &Asset, patch: &Value) -> Result<Asset, AssetError> {
        let wanted = patch::apply(present, patch)?;
        let asset_type = if wanted.type_version == present.asset_type.version {
            Arc::clone(&present.asset_type)
        } else {
            self.other_version(present, wanted.type_version).await?
        };
        check_name(wanted.name.as_deref())?;
        asset_type.document.check_attributes(&wanted.attributes).map_err(AssetError::Invalid)?;
        let unchanged = asset_type.id == present.asset_type.id
            && wanted.name == present.name
            && wanted.attributes == present.attributes;
        if unchanged {
            return Ok(present.clone());
        }
        let row = store::update(&self.db, present, asset_type.id, &wanted, self.clock.now()).await?;
        let asset = row.ok_or(AssetError::Changed)?.complete(asset_type);
        self.cache.forget(&asset.key);
        Ok(asset)
    }

    /// Deletes an asset with everything that hangs on it, unless it is no longer the one that was
    /// read.
    pub async fn delete(&self, present: &Asset) -> Result<Deleted, AssetError> {
        let (db, id, revision) = (self.db.clone(), present.id, present.revision);
        // A task of its own, because a client that leaves must not leave half a transaction.
        let deleted = tokio::spawn(async move {
            let mut transaction = db.begin().await?;
            let deleted = store::delete(&mut transaction, id, revision).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(deleted)
        });
        let deleted = deleted.await.map_err(|_| AssetError::Database(sqlx::Error::WorkerCrashed))?;
        self.cache.forget(&present.key);
        deleted?.ok_or(AssetError::Changed)
    }

    async fn other_version(&self, present: &Asset, version: i32) -> Result<Arc<AssetType>, AssetError> {
        let wanted = self.version(&present.asset_type.key, Some(version)).await.map_err(|error| match error {
            AssetError::TypeNotFound(name) => invalid("/type_version", format!("there is no asset type {name}")),
            other => other,
        })?;
        if wanted.document.frames_match(&present.asset_type.document) {
            Ok(wanted)
        } else {
            Err(AssetError::OtherSignals { from: present.asset_type.version, to: version })
        }
    }

    /// Gives rows their types.
    async fn complete(&self, rows: Vec<AssetRow>) -> Result<Vec<Asset>, AssetError> {
        let types = self.types_by_id(rows.iter().map(|row| row.asset_type_id)).await?;
        let complete = |row: AssetRow| types.get(&row.asset_type_id).map(|of| row.complete(Arc::clone(of)));
        Ok(rows.into_iter().filter_map(complete).collect())
    }
}

fn check_name(name: Option<&str>) -> Result<(), AssetError> {
    let fits = name.is_none_or(|name| (1..=MAX_NAME).contains(&name.chars().count()));
    if fits { Ok(()) } else { Err(invalid("/name", format!("must have 1 to {MAX_NAME} characters"))) }
}

/// Whether two sets of attributes say the same. The database may write a number in another way
/// than the client did: 1e2 comes back as 100.
fn alike(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let same = |a: &Value, b: &Value| a == b || (a.is_number() && a.as_f64() == b.as_f64());
    one.len() == other.len() && one.iter().all(|(name, a)| other.get(name).is_some_and(|b| same(a, b)))
}

fn invalid(pointer: &str, detail: impl Into<String>) -> AssetError {
    AssetError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
}

/// The constraint that a statement broke.
fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}
