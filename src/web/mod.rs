//! What every HTTP door needs and no room should write twice.

pub mod problem;
