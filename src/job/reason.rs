//! What people may see of an error; the rest is for the log.

use std::error::Error;

/// Characters of an error that a job keeps.
const MAX_REASON: usize = 300;

/// Logs an error with its causes, and says of it what people may see in the job.
#[must_use]
pub fn told(error: &(dyn Error + 'static), phrase: &str) -> String {
    tracing::warn!(error, "{phrase}");
    phrase.to_owned()
}

/// What people may see of the error of work: libtorch adds a C++ stack below its first line.
#[must_use]
pub fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect()
}
