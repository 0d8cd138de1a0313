//! The audit trail: which key changed what over HTTP, and what was refused to it.
//!
//! Requests that operate or administer leave an entry, also when they are refused, fail, or lose their
//! client. Entries are written beside the request, so that a trail that cannot be written stops nobody;
//! it is logged then. Bodies are not kept. What is done on the command line is not here.

mod store;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::{Access, ApiKey, Caller, Role};
use crate::ids::{ApiKeyId, AuditEntryId};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// How long entries are kept.
const KEPT: TimeDelta = TimeDelta::days(400);
/// The list of entries, for its cursors.
const LIST: &str = "audit";

/// A request that changed something, or was to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditEntryId,
    /// When it came.
    pub at: DateTime<Utc>,
    /// The key that it brought; null where the server asked for none.
    pub key_id: Option<ApiKeyId>,
    /// The name of the key at that time.
    pub key_name: Option<String>,
    /// The role of the key at that time.
    pub role: Role,
    /// HTTP method.
    pub method: String,
    /// Its address without the query.
    pub path: String,
    /// HTTP status of the answer; null where the client left before there was one.
    pub status: Option<i16>,
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
                    audit.request = format!("{} {}", entry.method, entry.path),
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
            key_id: key.map(|key| key.id),
            key_name: key.map(|key| key.name.clone()),
            role: caller.role(),
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
        };
        Pending { db: self.db.clone(), entry: Some(entry) }
    }

    /// A page of the trail, the newest first; of one key or of all.
    pub async fn trail(
        &self,
        key: Option<ApiKeyId>,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<AuditEntry>, Problem> {
        let before: Option<AuditEntryId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, key, before, limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |entry| entry.id))
    }

    /// Forgets some entries that are too old: how many.
    pub async fn forget_trail(&self) -> sqlx::Result<u64> {
        store::forget(&self.db, self.clock.now() - KEPT).await
    }
}
