//! Counterpart: the digital twin server that learns its asset.
//!
//! Rooms stacked on floors; imports point down only: what exists, what was measured, what we
//! believe, what we expect, what people ask. `tests/architecture.rs` holds the plan.

// Ground: no domain knowledge.
pub mod clock;
pub mod ids;
pub mod db;
pub mod observe;
pub mod web;
pub mod job;

// First floor: the nouns, each with its table, and what learns.
pub mod access;
pub mod asset;
pub mod reading;
pub mod event;
pub mod twin;
pub mod score;
pub mod expert;
pub mod prior;
pub mod model;

// Second floor: where data meets the model.
pub mod quality;
pub mod features;
pub mod forecast;

// Third floor: what machines and people come for.
pub mod ingest;
pub mod scenario;
pub mod training;
pub mod backtest;
pub mod alarm;
pub mod webhook;

// Roof: put together here, and only here.
pub mod dashboard;
pub mod demo;
pub mod evaluate;
pub mod server;
pub mod config;
