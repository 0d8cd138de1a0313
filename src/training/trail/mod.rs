//! What this room does by itself, in the audit trail: versions that it promotes or rolls back, jobs that it
//! makes. An entry is written in the transaction of what it tells, so that neither is without the other.

pub(super) mod store;
