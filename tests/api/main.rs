//! The API as a client meets it: a real server on a real port with a real database.

mod assets;
mod end;
mod group_commit;
mod hostile;
mod hostile_readings;
mod lives;
mod openapi;
mod server;
mod stream;
mod telemetry;
mod tester;
mod types;
