//! Counterpart: the digital twin server that learns its asset.
//!
//! Rooms stacked on floors; imports point down only: what exists, what was measured, what we
//! believe, what we expect, what people ask. `tests/architecture.rs` holds the plan.

// Ground: no domain knowledge.
pub mod clock;
pub mod db;
pub mod ids;
pub mod web;

// First floor: the nouns.
pub mod expert;
pub mod model;
pub mod prior;
pub mod score;
