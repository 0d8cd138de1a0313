//! The API as a client meets it: a real server on a real port with a real database.

mod assets;
mod end;
mod hostile;
mod lives;
mod openapi;
mod server;
mod tester;
mod types;
