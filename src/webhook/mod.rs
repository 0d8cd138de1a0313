//! Webhooks: what happens is told to receivers over HTTP, signed as Standard Webhooks has it.
//!
//! The rooms below and beside this one know nothing of it: triggers note alarms, champions and failed jobs in
//! the transaction in which they change ([`deliver`] hands them on). Told at least once: a receiver knows an
//! event that it had by its id. One receiver that hangs or fails delays no other. Nothing is sent to an address
//! that is not public unless a setting allows its network ([`guard`]); redirects are not followed. Who receives
//! is known to admins alone, because an address may itself be a secret. Mail and chat are deliberately absent.

pub mod deliver;
mod event;
mod form;
pub mod guard;
mod post;
pub mod routes;
mod schedule;
mod secret;
mod store;

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use serde_json::Value;
use sqlx::PgPool;

pub use deliver::{Delivery, Status};
pub use event::EventType;
pub use form::WebhookForm;
pub use secret::Secret;

use crate::clock::Clock;
use crate::ids::{DeliveryId, WebhookId};
use crate::observe::{Counter, EncodeLabelSet, Family, Metrics};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{FieldError, Problem};
use guard::{Guard, Names};
use post::Postman;

/// Webhooks at most.
pub const MAX_WEBHOOKS: i64 = 100;
/// How long the secret before still signs beside the new one, in hours.
pub const BOTH_HOURS: i64 = 24;
/// The list of webhooks, for its cursors.
const LIST: &str = "webhooks";
/// The list of a webhook's deliveries, for its cursors.
const DELIVERIES: &str = "webhook-deliveries";

/// Webhooks.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)] // clap names a group after the struct; ours are all called Config
pub struct Config {
    /// Send events of webhooks over plain HTTP too, where they can be read and changed on their way.
    #[arg(long, env = "COUNTERPART_WEBHOOK_ALLOW_HTTP")]
    pub webhook_allow_http: bool,
    /// Networks that webhooks may reach although they are not public, such as 10.1.0.0/16, separated by commas.
    #[arg(long, env = "COUNTERPART_WEBHOOK_NETWORKS", value_delimiter = ',', value_name = "NETWORKS")]
    pub webhook_networks: Vec<IpNet>,
    /// A file of certificates (PEM) that receivers' own may be signed with, beside those that the system trusts.
    #[arg(long, env = "COUNTERPART_WEBHOOK_CA_FILE", value_name = "FILE")]
    pub webhook_ca_file: Option<PathBuf>,
    /// Days that events and their deliveries are kept.
    #[arg(long, env = "COUNTERPART_WEBHOOK_KEEP_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=3650))]
    pub webhook_keep_days: u32,
}

/// A webhook as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What it says.
    pub form: WebhookForm,
    /// Attempts that failed since the last one that did not.
    pub failures: i32,
    /// When the first of them was.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the server switched it off.
    pub disabled_reason: Option<String>,
    /// Until when the secret before signs too.
    pub previous_until: Option<DateTime<Utc>>,
    /// Counts changes, from 1.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Webhook {
    /// Changes whenever the webhook does.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{}-{}", self.id, self.revision)
    }
}

/// Why a webhook could not be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// Somebody changed it meanwhile.
    #[error("somebody changed it meanwhile")]
    Changed,
    /// There are as many as there may be.
    #[error("there are {MAX_WEBHOOKS} webhooks already, the most that there can be")]
    TooMany,
    /// Values that are wrong.
    #[error("something in the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] rand::rngs::SysError),
    /// What is to be sent cannot be written.
    #[error("an event could not be written")]
    Write(#[from] serde_json::Error),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Handle on webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Webhooks {
    db: PgPool,
    clock: Clock,
    postman: Postman,
    keep: TimeDelta,
    attempts: Family<OutcomeLabel, Counter>,
}

impl Webhooks {
    /// The webhooks of a database.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, config: &Config, metrics: &Metrics) -> Self {
        let guard = Guard {
            allow_http: config.webhook_allow_http,
            networks: config.webhook_networks.clone(),
            names: Names::default(),
        };
        let postman = Postman::new(guard, config.webhook_ca_file.clone());
        let attempts = metrics.register("webhook_attempts", "Attempts to deliver an event", Family::default());
        Self { db, clock, postman, keep: TimeDelta::days(i64::from(config.webhook_keep_days)), attempts }
    }

    /// The same with names that lead where a test says.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.postman.guard.names = names;
        self
    }

    /// Makes a webhook. Its secret is given away here, and where it is rotated.
    pub async fn create(&self, mut form: WebhookForm) -> Result<(Webhook, Secret), WebhookError> {
        self.check(&form, None).await?;
        form.name = form.name.trim().to_owned();
        let (secret, now) = (Secret::mint()?, self.clock.now());
        let webhook = Webhook {
            id: WebhookId::mint(&self.clock),
            form,
            failures: 0,
            failing_since: None,
            disabled_reason: None,
            previous_until: None,
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        if !store::insert(&self.db, &webhook, secret.reveal(), MAX_WEBHOOKS).await? {
            return Err(WebhookError::TooMany);
        }
        tracing::info!(webhook.id = %webhook.id, "a webhook was made");
        Ok((webhook, secret))
    }

    /// A page of webhooks, the newest first.
    pub async fn list(&self, limit: Limit, cursor: Option<&str>) -> Result<Page<Webhook>, Problem> {
        let before: Option<WebhookId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, before, self.clock.now(), limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |webhook| webhook.id))
    }

    /// A webhook.
    pub async fn find(&self, id: WebhookId) -> Result<Webhook, WebhookError> {
        store::find(&self.db, id, self.clock.now()).await?.ok_or(WebhookError::NotFound)
    }

    /// Changes a webhook by a JSON merge patch, unless it is no longer the one that was read. Another address,
    /// or switching it on, forgets what failed before.
    pub async fn patch(&self, present: &Webhook, patch: &Value) -> Result<Webhook, WebhookError> {
        let mut form = present.form.patched(patch)?;
        form.name = form.name.trim().to_owned();
        if form == present.form {
            return Ok(present.clone());
        }
        self.check(&form, Some(&present.form)).await?;
        let anew = form.url != present.form.url || form.enabled && !present.form.enabled;
        if !store::update(&self.db, present, &form, anew, self.clock.now()).await? {
            return Err(WebhookError::Changed);
        }
        self.find(present.id).await
    }

    /// Deletes a webhook with its deliveries, unless it is no longer the one that was read.
    pub async fn delete(&self, present: &Webhook) -> Result<(), WebhookError> {
        if !store::delete(&self.db, present.id, present.revision).await? {
            return Err(WebhookError::Changed);
        }
        tracing::info!(webhook.id = %present.id, "a webhook was deleted");
        Ok(())
    }

    /// Gives a webhook another secret. The one before signs too for a day, so that the receiver can change over;
    /// the one before that no longer does.
    pub async fn rotate(&self, id: WebhookId) -> Result<(Webhook, Secret), WebhookError> {
        let (secret, now) = (Secret::mint()?, self.clock.now());
        if !store::rotate(&self.db, id, secret.reveal(), now + TimeDelta::hours(BOTH_HOURS), now).await? {
            return Err(WebhookError::NotFound);
        }
        tracing::info!(webhook.id = %id, "the secret of a webhook was rotated");
        Ok((self.find(id).await?, secret))
    }

    /// A page of a webhook's deliveries, the newest first.
    pub async fn deliveries(
        &self,
        id: WebhookId,
        status: Option<Status>,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<Delivery>, Problem> {
        let before: Option<DeliveryId> = cursor.map(|cursor| page::position(DELIVERIES, cursor)).transpose()?;
        self.find(id).await?;
        let rows = deliver::store::list(&self.db, id, status, before, limit.rows()).await?;
        Ok(Page::of(DELIVERIES, rows, limit, |delivery| delivery.id))
    }

    /// Refuses what could never tell anything. What stood there before is not looked up again: an asset may be
    /// gone meanwhile.
    async fn check(&self, form: &WebhookForm, before: Option<&WebhookForm>) -> Result<(), WebhookError> {
        let mut faults = form.faults();
        let mut refuse = |pointer: String, detail: String| faults.push(FieldError { pointer, detail });
        if before.is_none_or(|before| before.url != form.url)
            && let Err(refused) = self.postman.check(&form.url).await
        {
            refuse("/url".to_owned(), refused.to_string());
        }
        let assets = form.assets.as_deref().filter(|_| before.is_none_or(|before| before.assets != form.assets));
        let types =
            form.asset_types.as_deref().filter(|_| before.is_none_or(|before| before.asset_types != form.asset_types));
        let (assets, types) = store::unknown(&self.db, assets, types).await?;
        for (member, unknown) in [("assets", assets), ("asset_types", types)] {
            for place in unknown {
                refuse(format!("/{member}/{place}"), "is none that there is".to_owned());
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(WebhookError::Invalid(faults)) }
    }
}
