//! Base models at hand for serving, as bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::store;
use crate::clock::Clock;
use crate::model::base::hex;
use crate::model::choice::BaseChoice;

/// Own base models kept in memory; a small one is 2.4 MB.
const KEPT: usize = 8;
/// Between two looks whether a name still stands for the same weights: another server may have seen it
/// deleted and given anew.
const ASKED_AGAIN: TimeDelta = TimeDelta::seconds(2);

/// Finds base models by their names. Those inside the program cost nothing; others are read from the database
/// once. Clones share what was read.
#[derive(Clone, Debug)]
pub struct Bases {
    db: PgPool,
    clock: Clock,
    kept: Arc<Mutex<HashMap<String, Kept>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    choice: BaseChoice,
    sha256: String,
    at: DateTime<Utc>,
}

impl Bases {
    /// The base models of a database.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock, kept: Arc::default() }
    }

    /// The base model of a name; `None` where there is none.
    pub async fn of(&self, name: &str) -> sqlx::Result<Option<BaseChoice>> {
        if let Some(shipped) = BaseChoice::shipped(name) {
            return Ok(Some(shipped));
        }
        let now = self.clock.now();
        let known = self.lock().get(name).cloned();
        if let Some(kept) = known {
            if now - kept.at < ASKED_AGAIN {
                return Ok(Some(kept.choice));
            }
            if store::sha256(&self.db, name).await?.is_some_and(|sha256| hex(&sha256) == kept.sha256) {
                self.keep(name, Kept { at: now, ..kept.clone() });
                return Ok(Some(kept.choice));
            }
        }
        let found = store::with_weights(&self.db, name).await?;
        match &found {
            Some(choice) => {
                self.keep(name, Kept { choice: choice.clone(), sha256: choice.card().sha256, at: now });
            }
            None => drop(self.lock().remove(name)),
        }
        Ok(found)
    }

    fn keep(&self, name: &str, one: Kept) {
        let mut kept = self.lock();
        if kept.len() >= KEPT && !kept.contains_key(name) {
            let oldest = kept.iter().min_by_key(|(_, one)| one.at).map(|(name, _)| name.clone());
            oldest.and_then(|name| kept.remove(&name));
        }
        kept.insert(name.to_owned(), one);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::fixture;
    use crate::model::artefact;
    use crate::model::registry::{Golden, Input};

    /// A base model whose weights are these bytes, kept as it is.
    async fn put(db: &PgPool, bytes: &[u8]) -> String {
        let mut card = BaseChoice::default().card();
        "mine".clone_into(&mut card.name);
        card.sha256 = hex(&artefact::digest(bytes));
        let sha256 = card.sha256.clone();
        let choice = BaseChoice::own(card, bytes.to_vec());
        let golden = Golden { input: Input::USUAL, expected: Vec::new(), tolerance: 1e-4 };
        store::delete(db, "mine").await.unwrap();
        let now = "2026-11-27T00:00:00Z".parse().unwrap();
        assert!(store::insert(db, &choice, &golden, &artefact::digest(bytes), 1, now).await.unwrap());
        sha256
    }

    #[tokio::test]
    async fn a_name_that_was_given_anew_is_noticed_after_a_moment() {
        let db = fixture::fresh().await.pool;
        let clock = Clock::manual("2026-11-27T00:00:00Z".parse().unwrap());
        let bases = Bases::new(db.clone(), clock.clone());
        let sha256 = async || bases.of("mine").await.unwrap().map(|choice| choice.card().sha256);
        assert_eq!(
            bases.of("small-1").await.unwrap().map(|choice| choice.name().to_owned()),
            Some("small-1".to_owned())
        );
        assert_eq!(sha256().await, None);
        let first = put(&db, b"one").await;
        assert_eq!(sha256().await.as_ref(), Some(&first), "what is not there is asked for every time");
        let second = put(&db, b"two").await;
        assert_eq!(sha256().await, Some(first), "for a moment nothing is asked");
        clock.advance(TimeDelta::seconds(2));
        assert_eq!(sha256().await, Some(second));
        store::delete(&db, "mine").await.unwrap();
        clock.advance(TimeDelta::seconds(2));
        assert_eq!(sha256().await, None);
    }
}
