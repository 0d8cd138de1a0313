//! What every HTTP door needs and no room should write twice.
//!
//! Answers to requests that cannot be served are problems (RFC 9457) wherever they arise. Nothing
//! here knows what the server is about.

pub mod body;
pub mod etag;
pub mod extract;
pub mod idempotency;
pub mod json;
pub mod page;
pub mod problem;
pub mod sse;
pub mod tls;
