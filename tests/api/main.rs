//! The API as a client meets it: a real server on a real port with a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access_matrix;
mod alarms;
mod anomalies;
mod assets;
mod audit;
mod budget;
mod chain;
mod command;
mod conditions;
mod data_health;
mod end;
mod events;
mod fleet;
mod group_commit;
mod health;
mod hostile;
mod hostile_readings;
mod idempotency;
mod key_command;
mod keys;
mod laws;
mod ledger;
mod lives;
mod openapi;
mod probation;
mod remaining;
mod responses;
mod retro;
mod risk;
mod samples;
mod scenarios;
mod seek;
mod server;
mod sessions;
mod stream;
mod support;
mod telemetry;
mod tester;
mod types;
