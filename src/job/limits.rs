//! What an attempt at a job may take of the machine: time and memory.
//!
//! Time is the work's own: what it wanted a processor for and got none does not count, so a busy machine ends
//! nothing for the work of others. Memory is what the process has grown by since the attempt began, because
//! work shares its process: with the server, or with other work. Both are looked at once a second at least, and
//! work that is beyond a limit stops at its next sign of life: so far it goes beyond.
//!
//! Absent on purpose: a limit that the kernel keeps. An allocation that it refuses ends the process and says
//! nothing to whoever asked for the job; such limits belong to whatever starts the process.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::memory;

/// Whoever goes beyond its memory takes it and gives way: one at a time, so that what becomes free serves the
/// others in the process.
static GIVES_WAY: Mutex<()> = Mutex::const_new(());

/// How much may be taken of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So much at most; 0 sets no limit.
    pub most: u64,
    /// The setting that says so.
    pub setting: &'static str,
}

/// What an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of its own time.
    pub time_s: Limit,
    /// MiB by which its process may grow.
    pub memory_mib: Limit,
}

/// A limit that an attempt went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// That of time.
    #[error(
        "an attempt may take {} s ({}) and this one took longer, the time in which it waited for a processor not counted",
        .0.most, .0.setting
    )]
    Time(Limit),
    /// That of memory.
    #[error(
        "an attempt may make its process grow by {} MiB ({}) and while this one ran it grew by {grown_mib} MiB",
        .limit.most, .limit.setting
    )]
    Memory {
        /// The limit.
        limit: Limit,
        /// MiB by which the process had grown.
        grown_mib: u64,
    },
}

/// Looks at what one attempt takes.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    /// Bytes that the process had when the attempt began; `None` when nobody wants to know or can.
    before: Option<u64>,
    way: &'static Mutex<()>,
    gives: Option<MutexGuard<'static, ()>>,
}

impl Limits {
    /// Measures an attempt that begins now.
    #[must_use]
    pub fn meter(self) -> Meter {
        let limited = self.memory_mib.most > 0;
        let before = limited.then(memory::of_this_process).flatten();
        if limited && before.is_none() {
            let setting = self.memory_mib.setting;
            tracing::warn!(setting, "how much memory this process has cannot be read, so nothing limits it");
        }
        Meter { limits: self, before, way: &GIVES_WAY, gives: None }
    }
}

impl Meter {
    /// The limit that the attempt is beyond, having taken so much of its own time. While one that is beyond its
    /// memory has not ended, others in its process are not.
    pub fn over(&mut self, spent: Duration) -> Option<Over> {
        let now = self.before.and_then(|_| memory::of_this_process());
        self.beyond(spent, now)
    }

    fn beyond(&mut self, spent: Duration, now: Option<u64>) -> Option<Over> {
        let Limits { time_s, memory_mib } = self.limits;
        if time_s.most > 0 && spent > Duration::from_secs(time_s.most) {
            return Some(Over::Time(time_s));
        }
        let grown_mib = now?.saturating_sub(self.before?) >> 20;
        if grown_mib <= memory_mib.most {
            return None;
        }
        self.gives = Some(self.way.try_lock().ok()?);
        Some(Over::Memory { limit: memory_mib, grown_mib })
    }
}

impl Over {
    /// Whether another attempt would meet the same: it takes as long, but what else its process did may have taken
    /// the memory, and another process may have more.
    #[must_use]
    pub fn comes_again(&self) -> bool {
        matches!(self, Self::Time(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// So many seconds, and MiB beyond the 100 that the process had.
    fn meter(time_s: u64, memory_mib: u64, way: &'static Mutex<()>) -> Meter {
        let limits = Limits {
            time_s: Limit { most: time_s, setting: "TIME_S" },
            memory_mib: Limit { most: memory_mib, setting: "MEMORY_MIB" },
        };
        Meter { limits, before: (memory_mib > 0).then_some(100 * MIB), way, gives: None }
    }

    #[test]
    fn a_limit_is_what_may_still_be_taken() {
        static WAY: Mutex<()> = Mutex::const_new(());
        let (time, mut meter) = (Duration::from_secs, meter(60, 10, &WAY));
        assert_eq!(meter.beyond(time(60), Some(110 * MIB)), None);
        assert_eq!(meter.beyond(time(1), Some(50 * MIB)), None, "it shrank");
        let late = meter.beyond(time(61), Some(0)).unwrap();
        assert!(matches!(late, Over::Time(Limit { most: 60, setting: "TIME_S" })) && late.comes_again());
        let large = meter.beyond(time(1), Some(111 * MIB)).unwrap();
        assert!(matches!(large, Over::Memory { grown_mib: 11, .. }) && !large.comes_again());
        let said =
            "an attempt may make its process grow by 10 MiB (MEMORY_MIB) and while this one ran it grew by 11 MiB";
        assert_eq!(large.to_string(), said);
    }

    #[test]
    fn without_limits_everything_may_be_taken() {
        static WAY: Mutex<()> = Mutex::const_new(());
        assert_eq!(meter(0, 0, &WAY).beyond(Duration::MAX, Some(u64::MAX)), None);
        // Where memory cannot be read, nothing is known of it.
        assert_eq!(meter(0, 10, &WAY).beyond(Duration::MAX, None), None);
    }

    #[test]
    fn one_gives_way_at_a_time() {
        static WAY: Mutex<()> = Mutex::const_new(());
        let (mut one, mut other) = (meter(0, 10, &WAY), meter(0, 10, &WAY));
        let look = |meter: &mut Meter| meter.beyond(Duration::ZERO, Some(200 * MIB)).is_some();
        assert_eq!([look(&mut one), look(&mut other)], [true, false]);
        drop(one);
        assert!(look(&mut other), "the first has ended and it was not enough");
    }
}
