//! Grids of assets that nothing was measured of since: a person who drags a what-if asks many times
//! about one state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::features::Grid;
use crate::ids::AssetId;

/// Grids kept in memory; one is about 0.2 MB.
const KEPT: usize = 128;

/// Grids by asset, each of one `seq` of the twin.
#[derive(Clone, Debug, Default)]
pub(super) struct Grids(Arc<Mutex<Kept>>);

type Kept = HashMap<AssetId, (i64, Arc<Grid>)>;

impl Grids {
    /// The grid of a state, if it was kept.
    pub(super) fn of(&self, asset: AssetId, seq: i64) -> Option<Arc<Grid>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&asset).filter(|(known, _)| *known == seq).map(|(_, grid)| Arc::clone(grid))
    }

    /// Keeps the grid of a state, in place of the asset's older one.
    pub(super) fn keep(&self, asset: AssetId, seq: i64, grid: &Arc<Grid>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&asset) {
            kept.clear();
        }
        kept.insert(asset, (seq, Arc::clone(grid)));
    }
}
