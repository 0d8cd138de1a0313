//! What became of every reading of a request.

use serde::Serialize;

use crate::web::problem::Kind;

/// Errors that a receipt lists; it counts all.
const LISTED: usize = 100;

/// The answer to an ingest request. `received` is the sum of `stored`, `updated`, `duplicates` and
/// `rejected`; all are counts of readings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Readings in the request; an item without any counts as one.
    pub received: u64,
    /// Were not there before.
    pub stored: u64,
    /// Replaced another value of the same signal and instant.
    pub updated: u64,
    /// Were there already; nothing changed.
    pub duplicates: u64,
    /// Of `stored` and `updated`: older than the asset's newest frame when the request came.
    pub late: u64,
    /// Were refused; `errors` says why.
    pub rejected: u64,
    /// Errors, also those beyond the first 100.
    pub errors_total: u64,
    /// The first 100 errors.
    pub errors: Vec<ItemError>,
}

/// Why a reading, or all readings of an item, was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ItemError {
    /// Place of the item in the request, from 0: in the array, of the line, of the row.
    pub index: u64,
    /// JSON pointer into the body; for NDJSON and CSV into an array of the lines or rows.
    pub pointer: String,
    /// `/problems/<slug>`, a page that the server serves.
    pub r#type: String,
    /// What is wrong.
    pub detail: String,
}

impl Receipt {
    /// Counts readings as refused and notes why; the texts are made only while errors are listed.
    pub(super) fn reject(&mut self, readings: u64, index: usize, kind: Kind, why: impl FnOnce() -> (String, String)) {
        self.received += readings;
        self.rejected += readings;
        self.errors_total += 1;
        if self.errors.len() < LISTED {
            let (pointer, detail) = why();
            let r#type = format!("/problems/{}", kind.slug);
            self.errors.push(ItemError { index: index as u64, pointer, r#type, detail });
        }
    }

    /// Counts readings as refused because of others: the request was atomic.
    pub(super) fn withdraw(&mut self, readings: u64) {
        self.received += readings;
        self.rejected += readings;
    }

    /// Adds another receipt of the same stream of items.
    pub(super) fn add(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.updated += other.updated;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.rejected += other.rejected;
        self.errors_total += other.errors_total;
        let room = LISTED.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(room));
    }

    /// Whether there was something and none of it was taken.
    #[must_use]
    pub fn nothing_taken(&self) -> bool {
        self.received > 0 && self.rejected == self.received
    }
}
