//! Partitions of the frames: made on demand, made ahead, dropped when they are too old.
//!
//! A partition is a day from `frame_layout.daily_from` on and a month before it. Making one is
//! safe between servers: whoever comes second finds it there.

pub(super) mod store;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, Utc};
use sqlx::PgPool;
use tokio::sync::OnceCell;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
/// Days that are there before their first frame.
const DAYS_AHEAD: u64 = 2;

/// The partitions as this server knows them.
#[derive(Clone, Debug)]
pub(super) struct Partitions {
    pool: PgPool,
    daily_from: Arc<OnceCell<NaiveDate>>,
    known: Arc<Mutex<HashSet<String>>>,
}

/// The days or the month of one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Period {
    from: NaiveDate,
    to: NaiveDate,
    name: String,
}

impl Period {
    fn of(day: NaiveDate, daily_from: NaiveDate) -> Option<Self> {
        if day >= daily_from {
            let to = day.checked_add_days(Days::new(1))?;
            return Some(Self { from: day, to, name: format!("frame_d{}", day.format("%Y%m%d")) });
        }
        let from = day.with_day(1)?;
        let to = from.checked_add_months(Months::new(1))?;
        Some(Self { from, to, name: format!("frame_m{}", from.format("%Y%m")) })
    }

    /// The end of the partition of a name, if it is one of ours.
    fn end(name: &str) -> Option<NaiveDate> {
        if let Some(day) = name.strip_prefix("frame_d") {
            return NaiveDate::parse_from_str(day, "%Y%m%d").ok()?.checked_add_days(Days::new(1));
        }
        let month = name.strip_prefix("frame_m")?;
        NaiveDate::parse_from_str(&format!("{month}01"), "%Y%m%d").ok()?.checked_add_months(Months::new(1))
    }
}

/// The day of an instant, counted from 1970.
pub(super) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(MICROSECONDS_PER_DAY)).unwrap_or_default()
}

impl Partitions {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, daily_from: Arc::default(), known: Arc::default() }
    }

    /// Makes what is missing for frames of these days, counted from 1970.
    pub(super) async fn ensure(&self, days: &BTreeSet<i32>) -> Result<(), sqlx::Error> {
        let daily_from = *self.daily_from.get_or_try_init(|| store::daily_from(&self.pool)).await?;
        let periods: BTreeSet<Period> = days
            .iter()
            .filter_map(|&day| Period::of(NaiveDate::from_epoch_days(day)?, daily_from))
            .filter(|period| !self.knows(&period.name))
            .collect();
        if periods.is_empty() {
            return Ok(());
        }
        self.reload().await?;
        for period in periods.iter().filter(|period| !self.knows(&period.name)) {
            let made = store::create(&self.pool, &period.name, period.from, period.to).await;
            if let Err(error) = made {
                // Another server may have made it at the same moment.
                self.reload().await?;
                if !self.knows(&period.name) {
                    return Err(error);
                }
            }
            self.lock().insert(period.name.clone());
            tracing::debug!(partition.name = %period.name, "made a partition");
        }
        Ok(())
    }

    /// Forgets what it knew: somebody else dropped a partition.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// Makes the partitions of the next days.
    pub(super) async fn ahead(&self, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
        let days = (0..=DAYS_AHEAD).filter_map(|days| now.date_naive().checked_add_days(Days::new(days)));
        self.ensure(&days.map(|day| day.to_epoch_days()).collect()).await
    }

    /// Drops partitions that end at or before a day; returns how many.
    pub(super) async fn drop_before(&self, day: NaiveDate) -> Result<usize, sqlx::Error> {
        let names = store::names(&self.pool).await?;
        let old = names.iter().filter(|name| Period::end(name).is_some_and(|end| end <= day));
        let mut dropped = 0;
        for name in old {
            self.lock().remove(name);
            store::drop_one(&self.pool, name).await?;
            tracing::info!(partition.name = %name, "dropped a partition that retention no longer keeps");
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn reload(&self) -> Result<(), sqlx::Error> {
        let names = store::names(&self.pool).await?;
        *self.lock() = names.into_iter().collect();
        Ok(())
    }

    fn knows(&self, name: &str) -> bool {
        self.lock().contains(name)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::fixture;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn a_period_is_a_month_before_the_layout_and_a_day_after() {
        let daily_from = day("2026-10-01");
        let month = Period::of(day("2026-09-30"), daily_from).expect("a month");
        assert_eq!((month.from, month.to, &*month.name), (day("2026-09-01"), daily_from, "frame_m202609"));
        let first = Period::of(daily_from, daily_from).expect("a day");
        assert_eq!((first.from, first.to, &*first.name), (daily_from, day("2026-10-02"), "frame_d20261001"));
        assert_eq!(Period::end("frame_m202612"), Some(day("2027-01-01")));
        assert_eq!(Period::end("frame_default"), None);
    }

    #[tokio::test]
    async fn servers_that_need_the_same_partitions_at_once_all_get_them() {
        let pool = fixture::fresh().await.pool;
        let days: BTreeSet<i32> = (20_000..20_040).step_by(13).collect();
        let servers: Vec<Partitions> = (0..4).map(|_| Partitions::new(pool.clone())).collect();
        let outcomes = futures::future::join_all(servers.iter().map(|server| server.ensure(&days))).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert!(!store::names(&pool).await.expect("names").is_empty());
    }

    #[tokio::test]
    async fn retention_drops_only_what_ended() {
        let pool = fixture::fresh().await.pool;
        let partitions = Partitions::new(pool.clone());
        let today = day("2031-05-20");
        let days = ["2031-05-10", "2031-05-11", "2031-05-20"].map(|text| day(text).to_epoch_days());
        partitions.ensure(&days.into()).await.expect("made");
        assert_eq!(partitions.drop_before(day("2031-05-11")).await.expect("dropped"), 1);
        partitions.ahead(today.and_hms_opt(12, 0, 0).expect("noon").and_utc()).await.expect("made");
        let mut names = store::names(&pool).await.expect("names");
        names.sort();
        assert_eq!(names, ["frame_d20310511", "frame_d20310520", "frame_d20310521", "frame_d20310522"]);
    }
}
