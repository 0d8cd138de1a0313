//! Counterpart: the digital twin server that learns its asset.
//!
//! Rooms stacked on floors; imports point down only: what exists, what was measured, what we
//! believe, what we expect, what people ask. `tests/architecture.rs` holds the plan.

// Ground: no domain knowledge.
pub mod clock;
pub mod db;
pub mod ids;
pub mod observe;
pub mod web;

// First floor: the nouns, each with its table.
pub mod asset;

// Roof: put together here, and only here.
pub mod config;
pub mod server;
