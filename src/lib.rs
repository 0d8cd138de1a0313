//! Counterpart: the digital twin server that learns its asset.
//!
//! Rooms stacked on floors; imports point down only: what exists, what was measured, what we
//! believe, what we expect, what people ask. `tests/architecture.rs` holds the plan.

// Ground: no domain knowledge.
pub mod clock;
pub mod ids;
pub mod db;
pub mod web;

// First floor: the nouns, each with its table.
pub mod asset;
pub mod reading;
pub mod score;
pub mod model;

// Third floor: what machines and people come for.
pub mod training;
