//! The audit trail: which key changed what over HTTP, what was refused to it, and what the server did by itself.
//!
//! Requests that operate or administer leave an entry, also when they are refused, fail, or lose their
//! client. Entries are written beside the request, so that a trail that cannot be written stops nobody;
//! it is logged then. What the server does by itself is written by the room that does it, in the transaction
//! in which it does. Bodies are not kept. What is done on the command line is not here.

mod store;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{Access, ApiKey, Caller, Role};
use crate::ids::{ApiKeyId, AuditEntryId};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// How long entries are kept.
const KEPT: TimeDelta = TimeDelta::days(400);
/// The list of entries, for its cursors.
const LIST: &str = "audit";

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AuditActor)]
pub enum Actor {
    /// Whoever had the key.
    Key,
    /// Whoever reached the server, which asked for no key.
    Open,
    /// The server by itself.
    Server,
}

/// What the server does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AuditAct)]
pub enum Act {
    /// A version began to serve: it passed the gate, or was better in the shadow.
    Promote,
    /// A version no longer serves: what it replaced was better.
    RollBack,
    /// A fine-tune job was made.
    FineTune,
}

/// What was done: the method of a request, or what the server did by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[sqlx(type_name = "text")]
#[schema(as = AuditAction)]
pub enum Action {
    /// Something was made, or something was done to it.
    #[serde(rename = "POST")]
    #[sqlx(rename = "POST")]
    Post,
    /// Something was put in the place of another.
    #[serde(rename = "PUT")]
    #[sqlx(rename = "PUT")]
    Put,
    /// A part of something was changed.
    #[serde(rename = "PATCH")]
    #[sqlx(rename = "PATCH")]
    Patch,
    /// Something was taken away.
    #[serde(rename = "DELETE")]
    #[sqlx(rename = "DELETE")]
    Delete,
    /// The server let a version serve.
    #[serde(rename = "promote")]
    #[sqlx(rename = "promote")]
    Promote,
    /// The server let the version before serve again.
    #[serde(rename = "roll_back")]
    #[sqlx(rename = "roll_back")]
    RollBack,
    /// The server made a fine-tune job.
    #[serde(rename = "fine_tune")]
    #[sqlx(rename = "fine_tune")]
    FineTune,
}

/// Which entries are listed.
#[derive(Clone, Debug, Default)]
pub struct TrailFilter {
    /// Only what was done with this key.
    pub key: Option<ApiKeyId>,
    /// Only what was done by these.
    pub actor: Option<Actor>,
    /// Only this.
    pub action: Option<Action>,
    /// Only what was done to addresses that begin so.
    pub path: Option<String>,
}

/// A request that changed something, or was to; or what the server did by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditEntryId,
    /// When it came, or was done.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor: Actor,
    /// The key that it brought; null where the server asked for none.
    pub key_id: Option<ApiKeyId>,
    /// The name of the key at that time.
    pub key_name: Option<String>,
    /// The role of the key at that time; null of the server itself.
    pub role: Option<Role>,
    /// HTTP method; null of what the server did by itself.
    pub method: Option<String>,
    /// Its address without the query; of what the server did by itself that of what it did it to.
    pub path: String,
    /// HTTP status of the answer; null where the client left before there was one, and of what the server did by
    /// itself.
    pub status: Option<i16>,
    /// What the server did by itself; null of a request.
    pub act: Option<Act>,
    /// Why it did, in words; null of a request.
    pub reason: Option<String>,
}

/// An entry that is written when its request is over, however that ends.
#[derive(Debug)]
pub struct Pending {
    db: PgPool,
    entry: Option<AuditEntry>,
}

impl Pending {
    /// The request was answered.
    pub fn answered(mut self, status: u16) {
        if let Some(entry) = &mut self.entry {
            entry.status = i16::try_from(status).ok();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (Some(entry), Ok(runtime)) = (self.entry.take(), tokio::runtime::Handle::try_current()) else { return };
        let db = self.db.clone();
        runtime.spawn(async move {
            if let Err(error) = store::insert(&db, &entry).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    audit.key = entry.key_name,
                    audit.request = format!("{} {}", entry.method.as_deref().unwrap_or_default(), entry.path),
                    audit.status = entry.status,
                    "an entry of the audit trail could not be written"
                );
            }
        });
    }
}

impl Access {
    /// Begins the entry of a request.
    #[must_use]
    pub fn pending(&self, caller: &Caller, method: &str, path: &str) -> Pending {
        let key: Option<&Arc<ApiKey>> = if let Caller::Key(key) = caller { Some(key) } else { None };
        let entry = AuditEntry {
            id: AuditEntryId::mint(&self.clock),
            at: self.clock.now(),
            actor: if key.is_some() { Actor::Key } else { Actor::Open },
            key_id: key.map(|key| key.id),
            key_name: key.map(|key| key.name.clone()),
            role: Some(caller.role()),
            method: Some(method.to_owned()),
            path: path.to_owned(),
            status: None,
            act: None,
            reason: None,
        };
        Pending { db: self.db.clone(), entry: Some(entry) }
    }

    /// A page of the trail, the newest first.
    pub async fn trail(
        &self,
        filter: &TrailFilter,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<AuditEntry>, Problem> {
        let before: Option<AuditEntryId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, filter, before, limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |entry| entry.id))
    }

    /// Forgets some entries that are too old: how many.
    pub async fn forget_trail(&self) -> sqlx::Result<u64> {
        store::forget(&self.db, self.clock.now() - KEPT).await
    }
}
