//! Which base models there are: those inside the program, and those that people added.
//!
//! Always: one that was added has the hash, names and shapes that its card says, every weight is finite, and
//! this server answered its golden input as its maker's did; one that a type or a version names cannot be
//! deleted; none ever changes. The bytes are held against their hash again whenever they are loaded.
//! Which one an asset gets is said by its type, and with [`AUTO`] by its fine-tune jobs.

mod bases;
pub mod command;
mod golden;
mod manifest;
pub mod routes;
mod store;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

pub use self::bases::Bases;
pub use self::golden::{Golden, Input};
use self::manifest::{Checked, fault};
pub use self::manifest::{MAX_WEIGHTS, NewBaseModel};
use super::base::{BaseCard, SHIPPED};
use super::choice::BaseChoice;
use super::engine::{Engine, EngineError};
pub use crate::asset::AUTO;
use crate::asset::Made;
use crate::clock::Clock;
use crate::web::problem::FieldError;

/// Base models that people can have added at a time: a job that chooses tries each.
const MOST: i64 = 16;

/// A base model.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct BaseModel {
    /// What is known of it.
    #[serde(flatten)]
    pub card: BaseCard,
    /// Whether it is part of the program; otherwise somebody added it.
    pub shipped: bool,
    /// Whether it serves where a type does not choose.
    pub default: bool,
    /// When it was added; null for one that is part of the program.
    pub created_at: Option<DateTime<Utc>>,
}

/// Why a base model could not be had, added or deleted.
#[derive(Debug, thiserror::Error)]
pub enum BaseModelError {
    /// There is no such one.
    #[error("there is no base model {0}")]
    NotFound(String),
    /// The name belongs to another one.
    #[error("there is a base model {0} already, and it is not the same")]
    Exists(String),
    /// It is part of the program.
    #[error("the base model {0} is part of the program and stays")]
    Shipped(String),
    /// Something needs it.
    #[error("{0} needs it")]
    InUse(String),
    /// There are so many already.
    #[error("there are {MOST} base models of your own already: delete one first")]
    TooMany,
    /// It is refused.
    #[error("the base model is refused")]
    Invalid(Vec<FieldError>),
    /// The model's thread could not look at it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The check was given up because the server ends.
    #[error("the server is ending")]
    Ending,
    /// The database said no.
    #[error("the database said no")]
    Database(#[from] sqlx::Error),
}

/// The handle: adds, shows and deletes base models. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BaseModels {
    db: PgPool,
    clock: Clock,
    engine: Engine,
}

impl BaseModels {
    /// The base models of a database, with the engine that looks at new ones.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, engine: Engine) -> Self {
        Self { db, clock, engine }
    }

    /// All of them: those inside the program, the default first, then others by name.
    pub async fn list(&self) -> Result<Vec<BaseModel>, BaseModelError> {
        let own = store::list(&self.db).await?;
        let shipped = SHIPPED.iter().filter_map(|shipped| BaseChoice::shipped(shipped.name));
        Ok(shipped.map(|choice| BaseModel::shipped(&choice)).chain(own.into_iter().map(BaseModel::from)).collect())
    }

    /// One of them.
    pub async fn find(&self, name: &str) -> Result<BaseModel, BaseModelError> {
        if let Some(shipped) = BaseChoice::shipped(name) {
            return Ok(BaseModel::shipped(&shipped));
        }
        let found = store::find(&self.db, name).await?;
        found.map(BaseModel::from).ok_or_else(|| BaseModelError::NotFound(name.to_owned()))
    }

    /// Adds one, once nothing speaks against it and its golden input has been answered as it should be. Doing
    /// so twice is no error as long as the same is said.
    pub async fn add(&self, new: NewBaseModel) -> Result<Made<BaseModel>, BaseModelError> {
        // Megabytes are decoded and hashed: not on the runtime's threads.
        let checked = tokio::task::spawn_blocking(|| new.check()).await.map_err(|_| BaseModelError::Ending)?;
        let Checked { choice, golden, sha256 } = checked.map_err(BaseModelError::Invalid)?;
        let name = choice.name();
        if let Some(present) = self.present(name, &sha256).await? {
            return Ok(Made::Same(present));
        }
        self.examine(&choice, &golden).await?;
        if store::insert(&self.db, &choice, &golden, &sha256, MOST, self.clock.now()).await? {
            return Ok(Made::New(self.find(name).await?));
        }
        // Somebody was faster, or there is no room.
        self.present(name, &sha256).await?.map(Made::Same).ok_or(BaseModelError::TooMany)
    }

    /// Deletes one that somebody added, unless a type, a version or an unfinished job needs it.
    pub async fn delete(&self, name: &str) -> Result<(), BaseModelError> {
        if BaseChoice::shipped(name).is_some() {
            return Err(BaseModelError::Shipped(name.to_owned()));
        }
        let mut transaction = self.db.begin().await?;
        if !store::lock(&mut *transaction, name).await? {
            return Err(BaseModelError::NotFound(name.to_owned()));
        }
        if let Some(user) = store::user(&mut *transaction, name).await? {
            return Err(BaseModelError::InUse(user));
        }
        if !store::delete(&mut *transaction, name).await? {
            return Err(BaseModelError::NotFound(name.to_owned()));
        }
        Ok(transaction.commit().await?)
    }

    /// The one that has a name already, if it has the same weights.
    async fn present(&self, name: &str, sha256: &[u8]) -> Result<Option<BaseModel>, BaseModelError> {
        let exists = || BaseModelError::Exists(name.to_owned());
        if BaseChoice::shipped(name).is_some() {
            return Err(exists());
        }
        match store::sha256(&self.db, name).await? {
            None => Ok(None),
            Some(known) if known == sha256 => Ok(Some(self.find(name).await?)),
            Some(_) => Err(exists()),
        }
    }

    /// Loads one on the model's thread and asks it its golden input.
    async fn examine(&self, choice: &BaseChoice, golden: &Golden) -> Result<(), BaseModelError> {
        let refuse = |fault: FieldError| BaseModelError::Invalid(vec![fault]);
        let answered = self.engine.answer_alone(choice, vec![golden.input.window()], None).await;
        match answered {
            Err(EngineError::Base(error)) => Err(refuse(fault(&error))),
            Err(error @ EngineError::NotFinite) => {
                Err(refuse(FieldError { pointer: "/golden/input".to_owned(), detail: error.to_string() }))
            }
            Err(error) => Err(error.into()),
            Ok(answers) => {
                answers.first().and_then(|answer| golden.objection(answer)).map_or(Ok(()), |fault| Err(refuse(fault)))
            }
        }
    }
}

impl BaseModel {
    fn shipped(choice: &BaseChoice) -> Self {
        let default = choice.name() == SHIPPED[0].name;
        Self { card: choice.card(), shipped: true, default, created_at: None }
    }
}

impl From<store::Row> for BaseModel {
    fn from(row: store::Row) -> Self {
        Self { card: row.card.0, shipped: false, default: false, created_at: Some(row.created_at) }
    }
}

/// Name of the base model that answers for an asset before it has a version, by what its type says: jobs that
/// choose have not chosen then.
#[must_use]
pub fn without_version(wanted: Option<&str>) -> &str {
    wanted.filter(|name| *name != AUTO).unwrap_or(SHIPPED[0].name)
}

/// A base model by its name, for a job; `None` where there is none.
pub async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<BaseChoice>> {
    match BaseChoice::shipped(name) {
        Some(shipped) => Ok(Some(shipped)),
        None => store::with_weights(db, name).await,
    }
}

/// All base models, for a job that chooses: the default first, then others inside the program, then those that
/// people added, by name.
pub async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<BaseChoice>> {
    let shipped = SHIPPED.iter().filter_map(|shipped| BaseChoice::shipped(shipped.name));
    Ok(shipped.chain(store::all_with_weights(db).await?).collect())
}
