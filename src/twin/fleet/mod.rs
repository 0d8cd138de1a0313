//! The fleet: how every asset stands, in one request.

pub(super) mod routes;
mod store;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::judged::{self, Risk};
use super::{Freshness, Health, TwinError, Twins};
use crate::asset::{Asset, Filter};
use crate::ids::AssetId;
use crate::reading::instant;
use crate::web::page::{Limit, Page};
use crate::web::problem::Problem;

/// How one asset stands.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Standing {
    /// Key of the asset.
    pub asset: String,
    /// For people.
    pub name: Option<String>,
    /// The key of its type.
    pub r#type: String,
    /// The version of its type.
    pub type_version: i32,
    /// Instant of the newest frame.
    pub observed_at: Option<String>,
    /// Seconds since then.
    pub age_s: Option<f64>,
    /// Whether the state is of now.
    pub freshness: Freshness,
    /// How far the newest judged step lies from normal operation, in units of the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_score: Option<f64>,
    /// Its health class now, and how long it is until it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How likely it breaks a limit within the horizon of its own newest forecast. Absent without limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

impl Twins {
    /// A page of the fleet, in the order of the keys.
    pub async fn fleet(&self, filter: &Filter, limit: Limit, cursor: Option<&str>) -> Result<Page<Standing>, Problem> {
        let page = self.assets.list(filter, limit, cursor).await?;
        let items = self.standings(&page.items.iter().collect::<Vec<_>>()).await?;
        Ok(Page { items, next: page.next })
    }

    /// Those of the assets that exist, in the order of their keys.
    pub async fn standing(&self, keys: &BTreeSet<&str>) -> Result<Vec<Standing>, TwinError> {
        let keys: Vec<&str> = keys.iter().copied().collect();
        let found = self.assets.find_many(&keys).await?;
        let assets: Vec<&Asset> = keys.iter().filter_map(|key| found.get(*key).map(AsRef::as_ref)).collect();
        self.standings(&assets).await
    }

    async fn standings(&self, assets: &[&Asset]) -> Result<Vec<Standing>, TwinError> {
        let ids: Vec<AssetId> = assets.iter().map(|asset| asset.id).collect();
        let newest = store::newest(&self.pool, &ids).await?;
        let mut judged = judged::store::of(&self.pool, &ids).await?;
        let now = self.clock.now();
        let standing = |asset: &&Asset| {
            let judged = judged.remove(&asset.id).unwrap_or_default();
            let observed_at: Option<DateTime<Utc>> = newest.get(&asset.id).copied();
            let age = observed_at.map(|at| now - at);
            Standing {
                asset: asset.key.clone(),
                name: asset.name.clone(),
                r#type: asset.asset_type.key.clone(),
                type_version: asset.asset_type.version,
                observed_at: observed_at.map(instant::text),
                age_s: age.map(|age| age.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6),
                freshness: age.map_or(Freshness::Empty, |age| Freshness::of(age, asset.asset_type.document.interval)),
                anomaly_score: judged.anomaly.map(|anomaly| anomaly.score),
                health: judged.health.map(Health::now),
                risk: judged.risk,
            }
        };
        Ok(assets.iter().map(standing).collect())
    }
}
