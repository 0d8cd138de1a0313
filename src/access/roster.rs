//! All keys in memory, as they stood at one version of the table.
//!
//! A request is checked against this and nothing else: a key that is not here costs neither a
//! statement nor memory. A roster is never changed, only replaced; what it counts of uses goes on in
//! the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use super::secret::{Hash, Secret};
use super::store::Row;
use super::{ApiKey, Refusal, Role, Standing};
use crate::ids::ApiKeyId;

/// Uses of a key are written at most once in so long a time.
const WRITTEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// When a key was last used that never was.
const NEVER: i64 = i64::MIN;

/// The keys by the characters by which they are recognised.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) version: i64,
    keys: HashMap<String, Entry>,
    has_admin: bool,
}

#[derive(Debug)]
struct Entry {
    key: Arc<ApiKey>,
    hash: Hash,
    used: Arc<Used>,
}

/// When a key was last used, and what the database knows of it; in microseconds.
#[derive(Debug)]
struct Used {
    seen: AtomicI64,
    written: AtomicI64,
}

impl Roster {
    /// The roster of rows. `before` is the one that it replaces.
    pub(super) fn new(version: i64, rows: Vec<Row>, before: Option<&Self>) -> Self {
        let has_admin = rows.iter().any(|row| row.key.role == Role::Admin);
        let entry = |row: Row| {
            // The database refuses a hash of another length.
            let hash = Hash::kept(&row.secret_hash)?;
            let known = before.and_then(|roster| roster.keys.get(&row.key.prefix));
            let used = known.filter(|known| known.key.id == row.key.id).map_or_else(
                || {
                    let at = row.key.last_used_at.map_or(NEVER, |at| at.timestamp_micros());
                    Arc::new(Used { seen: AtomicI64::new(at), written: AtomicI64::new(at) })
                },
                |known| Arc::clone(&known.used),
            );
            Some((row.key.prefix.clone(), Entry { key: Arc::new(row.key), hash, used }))
        };
        Self { version, keys: rows.into_iter().filter_map(entry).collect(), has_admin }
    }

    /// Whether there is a key of an admin, or ever was one: a key that expires or is revoked must
    /// not open what it closed.
    pub(super) fn has_admin(&self) -> bool {
        self.has_admin
    }

    pub(super) fn has_active(&self, now: DateTime<Utc>) -> bool {
        self.keys.values().any(|entry| entry.key.standing(now) == Standing::Active)
    }

    /// Whether a key that was identified before would be so again, with the same role.
    pub(super) fn admits(&self, key: &ApiKey, now: DateTime<Utc>) -> bool {
        self.keys.get(&key.prefix).is_some_and(|entry| {
            entry.key.id == key.id && entry.key.role == key.role && entry.key.standing(now) == Standing::Active
        })
    }

    /// The key that a client sent, if it may be used.
    pub(super) fn identify(&self, sent: &str, now: DateTime<Utc>) -> Result<Arc<ApiKey>, Refusal> {
        let sent = Secret::read(sent).ok_or(Refusal::Unknown)?;
        let entry = self.keys.get(sent.prefix()).filter(|entry| entry.hash.is(&sent.hash())).ok_or(Refusal::Unknown)?;
        match entry.key.standing(now) {
            Standing::Active => {
                entry.used.seen.fetch_max(now.timestamp_micros(), Ordering::Relaxed);
                Ok(Arc::clone(&entry.key))
            }
            Standing::Expired => Err(Refusal::Expired),
            Standing::Revoked => Err(Refusal::Revoked),
        }
    }

    /// Uses that the database should learn of.
    pub(super) fn unwritten(&self) -> (Vec<ApiKeyId>, Vec<DateTime<Utc>>) {
        let every = WRITTEN_EVERY.num_microseconds().unwrap_or(i64::MAX);
        let due = self.keys.values().filter_map(|entry| {
            let (seen, written) = (entry.used.seen.load(Ordering::Relaxed), entry.used.written.load(Ordering::Relaxed));
            let is_due = seen.checked_sub(written).is_none_or(|since| since >= every) && seen > written;
            is_due.then_some((entry.key.id, DateTime::from_timestamp_micros(seen)?))
        });
        due.unzip()
    }

    /// Notes what the database has learned.
    pub(super) fn note_written(&self, keys: &[ApiKeyId], at: &[DateTime<Utc>]) {
        let at: HashMap<&ApiKeyId, &DateTime<Utc>> = keys.iter().zip(at).collect();
        for entry in self.keys.values() {
            if let Some(at) = at.get(&entry.key.id) {
                entry.used.written.fetch_max(at.timestamp_micros(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn row(secret: &Secret, role: Role, clock: &Clock) -> Row {
        let key = ApiKey {
            id: ApiKeyId::mint(clock),
            name: "a".to_owned(),
            role,
            prefix: secret.prefix().to_owned(),
            created_at: clock.now(),
            expires_at: Some(clock.now() + TimeDelta::hours(1)),
            last_used_at: None,
            revoked_at: None,
        };
        Row { key, secret_hash: secret.hash().bytes().to_vec() }
    }

    #[test]
    fn only_the_whole_key_is_known_and_only_until_it_expires() {
        let clock = Clock::manual("2026-11-27T12:00:00Z".parse().unwrap());
        let secret = Secret::mint().unwrap();
        let roster = Roster::new(1, vec![row(&secret, Role::Reader, &clock)], None);
        assert_eq!(roster.identify(secret.reveal(), clock.now()).unwrap().role, Role::Reader);
        // The same first characters with another secret.
        let other = format!("{}{}", secret.prefix(), &Secret::mint().unwrap().reveal()[12..]);
        for wrong in [other.as_str(), "", "cpk_", secret.prefix()] {
            assert_eq!(roster.identify(wrong, clock.now()).unwrap_err(), Refusal::Unknown, "{wrong}");
        }
        clock.advance(TimeDelta::hours(1));
        assert_eq!(roster.identify(secret.reveal(), clock.now()).unwrap_err(), Refusal::Expired);
        assert!(!roster.has_active(clock.now()) && !roster.has_admin());
    }

    #[test]
    fn uses_are_due_once_a_minute_and_outlive_the_roster() {
        let clock = Clock::manual("2026-11-27T12:00:00Z".parse().unwrap());
        let secret = Secret::mint().unwrap();
        let known = row(&secret, Role::Admin, &clock);
        let again = Row { key: known.key.clone(), secret_hash: known.secret_hash.clone() };
        let roster = Roster::new(1, vec![known], None);
        assert!(roster.unwritten().0.is_empty(), "never used");
        roster.identify(secret.reveal(), clock.now()).unwrap();
        let (keys, at) = roster.unwritten();
        assert_eq!(at, [clock.now()], "the first use at once");
        roster.note_written(&keys, &at);
        clock.advance(TimeDelta::seconds(59));
        roster.identify(secret.reveal(), clock.now()).unwrap();
        assert!(roster.unwritten().0.is_empty(), "within the minute");
        let next = Roster::new(2, vec![again], Some(&roster));
        clock.advance(TimeDelta::seconds(1));
        next.identify(secret.reveal(), clock.now()).unwrap();
        assert_eq!(next.unwritten().1, [clock.now()]);
    }
}
