//! The model: what it learns by, and what it has learned.

pub mod recipe;
pub mod store;

pub use recipe::Recipe;
