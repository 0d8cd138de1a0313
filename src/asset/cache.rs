//! What was read lately. Versions of types never change and are kept; assets are read again after
//! a second, because another server may have changed them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Asset, AssetType};

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// Assets kept at most; beyond, stale ones are dropped.
const MANY: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Cache {
    assets: Mutex<HashMap<String, (Instant, Arc<Asset>)>>,
    types: Mutex<HashMap<i64, Arc<AssetType>>>,
}

impl Cache {
    /// The assets that were read within the last second, and the keys of the others.
    pub(super) fn assets<'a>(&self, keys: &[&'a str]) -> (HashMap<String, Arc<Asset>>, Vec<&'a str>) {
        let kept = lock(&self.assets);
        let mut found = HashMap::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in keys {
            match kept.get(*key) {
                Some((read, asset)) if read.elapsed() < FRESH => {
                    drop(found.insert((*key).to_owned(), Arc::clone(asset)));
                }
                _ => missing.push(*key),
            }
        }
        (found, missing)
    }

    pub(super) fn keep(&self, asset: &Arc<Asset>) {
        let mut kept = lock(&self.assets);
        if kept.len() >= MANY {
            kept.retain(|_, (read, _)| read.elapsed() < FRESH);
        }
        kept.insert(asset.key.clone(), (Instant::now(), Arc::clone(asset)));
    }

    pub(super) fn forget(&self, key: &str) {
        lock(&self.assets).remove(key);
    }

    pub(super) fn of_type(&self, id: i64) -> Option<Arc<AssetType>> {
        lock(&self.types).get(&id).cloned()
    }

    pub(super) fn keep_type(&self, asset_type: &Arc<AssetType>) {
        lock(&self.types).insert(asset_type.id, Arc::clone(asset_type));
    }
}

/// What panicked while it held the lock left a whole map behind: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
