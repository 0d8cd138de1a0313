//! What the tests of quality found in an asset's readings, kept for as long as they are the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::asset::AssetType;
use crate::ids::AssetId;
use crate::quality::live::{Faults, Stretch};
use crate::reading::Frame;

/// Assets whose findings are kept in memory; most have none.
const KEPT: usize = 4_096;

/// Findings by asset, of one content of its readings each.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownFaults(Arc<Mutex<Kept>>);

type Kept = HashMap<AssetId, (u64, Arc<Faults>)>;

impl KnownFaults {
    /// The frames of an answer that looks back on `most`, without what fails in them; `None` where nothing
    /// does. Costs milliseconds of CPU at times: call it off the runtime's threads.
    pub(super) fn leave_out(
        &self,
        asset: AssetId,
        asset_type: &AssetType,
        frames: &[Frame],
        most: usize,
    ) -> Option<Vec<Frame>> {
        let stretch = Stretch::of(asset_type, frames, most);
        let faults = self.of(asset, stretch.hash).unwrap_or_else(|| {
            let faults = Arc::new(Faults::find(asset_type, frames, stretch));
            self.keep(asset, stretch.hash, &faults);
            faults
        });
        faults.leave_out(frames, stretch)
    }

    fn of(&self, asset: AssetId, hash: u64) -> Option<Arc<Faults>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&asset).filter(|(known, _)| *known == hash).map(|(_, faults)| Arc::clone(faults))
    }

    fn keep(&self, asset: AssetId, hash: u64, faults: &Arc<Faults>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&asset) {
            kept.clear();
        }
        kept.insert(asset, (hash, Arc::clone(faults)));
    }
}
