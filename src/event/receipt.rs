//! What became of every event of a request.

use serde::Serialize;

use super::form::Wrong;

/// Errors that a receipt lists; it counts all.
const LISTED: usize = 100;

/// The answer to events. `received` is the sum of `stored`, `updated`, `duplicates` and `rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct EventReceipt {
    /// Events in the request.
    pub received: u64,
    /// Were not there before.
    pub stored: u64,
    /// Said something else under the same id before.
    pub updated: u64,
    /// Were there already; nothing changed.
    pub duplicates: u64,
    /// Were refused; `errors` says why.
    pub rejected: u64,
    /// Errors, also those beyond the first 100.
    pub errors_total: u64,
    /// The first 100 errors.
    pub errors: Vec<EventError>,
    /// Id of every event in the order of the request; null where it was refused.
    pub ids: Vec<Option<String>>,
}

/// Why an event was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct EventError {
    /// Its place in the request, from 0.
    pub index: u64,
    /// JSON pointer into the body.
    pub pointer: String,
    /// `/problems/<slug>`, a page that the server serves.
    pub r#type: String,
    /// What is wrong.
    pub detail: String,
}

impl EventReceipt {
    pub(super) fn reject(&mut self, index: usize, base: &str, wrong: Wrong) {
        self.rejected += 1;
        self.errors_total += 1;
        self.ids.push(None);
        if self.errors.len() < LISTED {
            let (pointer, r#type) = (format!("{base}{}", wrong.under), format!("/problems/{}", wrong.kind.slug));
            self.errors.push(EventError { index: index as u64, pointer, r#type, detail: wrong.detail });
        }
    }

    /// Counts an event that came after another one of the same id in the request.
    pub(super) fn count_twin(&mut self, same: bool) {
        if same {
            self.duplicates += 1;
        } else {
            self.updated += 1;
        }
    }

    /// Whether there was something and none of it was taken.
    #[must_use]
    pub fn nothing_taken(&self) -> bool {
        self.received > 0 && self.rejected == self.received
    }
}
