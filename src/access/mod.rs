//! API keys: who may ask this server for what.
//!
//! A key is 256 random bits, shown once; the database has its SHA-256. All keys are in memory, so a
//! request costs no statement, whether its key is known or not; every server looks once a second
//! whether keys were changed elsewhere, and while the database is away the keys of before go on.
//! As long as there never was a key of an admin, a server on a loopback address asks for none. What
//! was changed over HTTP, and with which key, is in the audit trail. The table of what each door needs
//! is in `server/rights.rs`, because only the roof knows all doors.

mod audit;
pub mod command;
mod role;
mod roster;
pub mod routes;
mod secret;
mod store;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use audit::{Act, Action, Actor, AuditEntry, Pending, TrailFilter};
pub use role::{ROLES, Right, Role};
pub use secret::Secret;

use crate::clock::Clock;
use crate::ids::ApiKeyId;
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;
use roster::Roster;

/// Longest name, in characters.
pub const MAX_NAME: usize = 100;
/// Between two looks whether keys were changed elsewhere.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two in which old entries of the audit trail are forgotten.
const HOUSEKEEPING: usize = 600;
/// The list of keys, for its cursors.
const LIST: &str = "api-keys";

/// A key as it is shown: everything but its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = ApiKeyRecord)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Who or what uses it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Its first characters, by which it is recognised.
    pub prefix: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused; null for never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute; null for never.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From when on it is refused by decision; null while it is not.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApiKeyStanding)]
pub enum Standing {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody decided against it.
    Revoked,
}

impl Standing {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// Whether it can be used now.
    #[must_use]
    pub fn standing(&self, now: DateTime<Utc>) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Active
        }
    }
}

/// A key to be made.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = NewApiKey)]
pub struct KeyForm {
    /// Who or what will use it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// From when on it is refused (RFC 3339); never when left out.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which keys a list shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only those of this role.
    pub role: Option<Role>,
    /// Only those that can be used, or cannot any more.
    pub standing: Option<Standing>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Anybody: this server asks for no keys.
    Anybody,
    /// Whoever has this key.
    Key(Arc<ApiKey>),
}

impl Caller {
    /// What it may do.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Anybody => Role::Admin,
            Self::Key(key) => key.role,
        }
    }
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such key.
    #[error("this server does not know the key")]
    Unknown,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
    /// Somebody decided against it.
    #[error("the key was revoked")]
    Revoked,
}

/// Why a key could not be had, made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A name that says nothing, or too much.
    #[error("has 1 to {MAX_NAME} characters, none of them a control character")]
    Name,
    /// An end that is over.
    #[error("lies in the past")]
    Over,
    /// No such key.
    #[error("there is no such key")]
    NotFound,
    /// Nobody could make keys over HTTP any more.
    #[error(
        "this is the last active key of an admin: without it keys can be made only on the server's machine \
         (counterpart key create); make another one first, or revoke it with force"
    )]
    LastAdmin,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] rand::rngs::SysError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// The keys of a database, and what one server knows of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    db: PgPool,
    clock: Clock,
    roster: Arc<RwLock<Option<Arc<Roster>>>>,
    /// Held while the roster is read anew.
    turn: Arc<Mutex<()>>,
    /// The line that makes a key, in a shell on the server's machine.
    line: Arc<str>,
}

impl Access {
    /// The keys of a database, which is not asked yet.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock, roster: Arc::default(), turn: Arc::default(), line: command::line_of_any().into() }
    }

    /// Tells whoever has no key the very line that makes one. It names a folder of this machine, so that only a
    /// server that no other machine reaches says it.
    #[must_use]
    pub fn telling(self, line: &str) -> Self {
        Self { line: line.into(), ..self }
    }

    /// Makes a key. The secret is given away here and nowhere else.
    pub async fn create(&self, form: KeyForm) -> Result<(ApiKey, Secret), AccessError> {
        let name = form.name.trim();
        if !(1..=MAX_NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(AccessError::Name);
        }
        let now = self.clock.now();
        if form.expires_at.is_some_and(|end| end <= now) {
            return Err(AccessError::Over);
        }
        let secret = Secret::mint()?;
        let key = ApiKey {
            id: ApiKeyId::mint(&self.clock),
            name: name.to_owned(),
            role: form.role,
            prefix: secret.prefix().to_owned(),
            created_at: now,
            expires_at: form.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        store::insert(&self.db, &key, secret.hash().bytes()).await?;
        tracing::info!(key.prefix = key.prefix, key.role = key.role.name(), "a key was made");
        self.look_at_own_change().await;
        Ok((key, secret))
    }

    /// A page of keys, the newest first.
    pub async fn list(&self, filter: Filter, limit: Limit, cursor: Option<&str>) -> Result<Page<ApiKey>, Problem> {
        let before: Option<ApiKeyId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, filter, before, self.clock.now(), limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |key| key.id))
    }

    /// One key.
    pub async fn find(&self, id: ApiKeyId) -> Result<ApiKey, AccessError> {
        store::find(&self.db, id).await?.ok_or(AccessError::NotFound)
    }

    /// The key of these first characters.
    pub async fn named(&self, prefix: &str) -> Result<ApiKeyId, AccessError> {
        store::named(&self.db, prefix).await?.ok_or(AccessError::NotFound)
    }

    /// Refuses a key from now on. Once more changes nothing. The last active key of an admin is
    /// revoked only with `force`.
    pub async fn revoke(&self, id: ApiKeyId, force: bool) -> Result<(), AccessError> {
        let now = self.clock.now();
        let mut transaction = self.db.begin().await?;
        if store::is_last_admin(&mut transaction, id, now).await? && !force {
            return Err(AccessError::LastAdmin);
        }
        let done = store::revoke(&mut *transaction, id, now).await?;
        transaction.commit().await?;
        if done {
            tracing::info!(key.id = %id, "a key was revoked");
            self.look_at_own_change().await;
            return Ok(());
        }
        self.find(id).await.map(drop)
    }

    /// Whether requests need no key: on a server that is not `exposed`, until there is a key of an
    /// admin.
    pub async fn is_open(&self, exposed: bool) -> Result<bool, AccessError> {
        Ok(!exposed && !self.ready().await?.has_admin())
    }

    /// Whether there is a key that can be used.
    pub async fn has_active(&self) -> Result<bool, AccessError> {
        Ok(self.ready().await?.has_active(self.clock.now()))
    }

    /// The key that a client sent, if it may be used.
    pub async fn identify(&self, sent: &str) -> Result<Result<Arc<ApiKey>, Refusal>, AccessError> {
        Ok(self.ready().await?.identify(sent, self.clock.now()))
    }

    /// Waits until a request of this caller would be refused: for what lasts longer than a request.
    pub async fn refused(&self, caller: &Caller) {
        loop {
            tokio::time::sleep(LOOK).await;
            let admits = |roster: Arc<Roster>| match caller {
                Caller::Anybody => !roster.has_admin(),
                Caller::Key(key) => roster.admits(key, self.clock.now()),
            };
            if !self.known().is_none_or(admits) {
                return;
            }
        }
    }

    /// One look: reads the keys anew if any was changed, and writes uses. Says whether one was changed.
    pub async fn look(&self) -> Result<bool, AccessError> {
        let _turn = self.turn.lock().await;
        let known = self.known();
        // Before the keys, so that they are at least as new as it.
        let version = store::version(&self.db).await?;
        let changed = known.as_ref().is_none_or(|roster| roster.version != version);
        if changed {
            let roster = Roster::new(version, store::all(&self.db).await?, known.as_deref());
            *self.roster.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(roster));
        }
        if let Some(roster) = self.known() {
            let (keys, at) = roster.unwritten();
            if !keys.is_empty() {
                store::used(&self.db, &keys, &at).await?;
                roster.note_written(&keys, &at);
            }
        }
        Ok(changed)
    }

    /// Looks until the end, and once more then for the last uses.
    pub async fn keep_looking(self, end: CancellationToken) {
        for round in 0_usize.. {
            let ended = tokio::select! {
                () = end.cancelled() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "keys could not be read; those of before go on"
                );
            }
            if ended {
                return;
            }
            if round.is_multiple_of(HOUSEKEEPING)
                && let Err(error) = self.forget_trail().await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "old entries of the audit trail stay for now");
            }
        }
    }

    /// The keys, which are read if they never were. Refuses when they cannot be.
    async fn ready(&self) -> Result<Arc<Roster>, AccessError> {
        if let Some(roster) = self.known() {
            return Ok(roster);
        }
        self.look().await?;
        self.known().ok_or(AccessError::Database(sqlx::Error::PoolClosed))
    }

    fn known(&self) -> Option<Arc<Roster>> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this server changed holds here at once. It is committed: a failure only makes it later.
    async fn look_at_own_change(&self) {
        if let Err(error) = self.look().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the changed keys are read a moment later");
        }
    }
}
