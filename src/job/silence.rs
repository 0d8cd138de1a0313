//! How long work has been silent, by its own time.
//!
//! Learning is nice to serving, so on a busy machine it may wait for a processor longer than it works, and
//! its next sign of life comes late through no fault of its own. Silence is therefore the time that passed
//! since the last sign less the time that the thread wanted a processor and got none. Work that burns a
//! processor without a sign, or that is blocked, is silent by the wall clock as before; and a process that is
//! frozen looks at nothing, so nobody keeps its lease.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

/// Waiting that is worth telling.
const WORTH: Duration = Duration::from_millis(100);
/// What the kernel says of the thread that reads it: nanoseconds on a processor, nanoseconds in which it
/// could have run and did not, and how often it ran (Linux, `Documentation/scheduler/sched-stats.rst`).
const OF_THIS_THREAD: &str = "/proc/thread-self/schedstat";

/// Tells how long a thread has waited for a processor in all, while it could have run.
#[derive(Clone, Default)]
pub(super) struct Waits(Arc<OnceLock<Option<File>>>);

impl Waits {
    /// From now on of the thread that calls this. Where the kernel does not count, nothing was ever waited.
    pub(super) fn of_this_thread(&self) {
        self.0.get_or_init(|| File::open(OF_THIS_THREAD).ok());
    }

    pub(super) fn so_far(&self) -> Duration {
        let Some(Some(file)) = self.0.get() else { return Duration::ZERO };
        let mut text = [0; 96];
        // A thread that has ended cannot be read any more: its answer comes.
        let read = file.read_at(&mut text, 0).unwrap_or_default();
        std::str::from_utf8(&text[..read]).ok().and_then(waited).unwrap_or_default()
    }
}

/// The waiting among the numbers of a thread.
fn waited(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// The time since the last sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    since: Instant,
    /// What had been waited at the last sign.
    before: Duration,
    /// What had been waited when it was last told.
    told: Duration,
}

impl Silence {
    /// It begins: `waited` is what had been waited so far.
    pub(super) fn from(now: Instant, waited: Duration) -> Self {
        Self { since: now, before: waited, told: waited }
    }

    /// How long it has lasted by the work's own time, where more of the wall clock's was waited since this was
    /// last told.
    pub(super) fn look(&mut self, now: Instant, waited: Duration) -> Option<Duration> {
        if waited.saturating_sub(self.told) < WORTH {
            return None;
        }
        self.told = waited;
        Some((now - self.since).saturating_sub(waited.saturating_sub(self.before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(waited("108007 2483152 2\n"), Some(Duration::from_nanos(2_483_152)));
        assert_eq!([waited(""), waited("1"), waited("1 x 2")], [None; 3]);
    }

    #[test]
    fn work_that_waits_for_a_processor_is_silent_only_while_it_has_one() {
        let begin = Instant::now();
        let mut silence = Silence::from(begin, seconds(5));
        // Of 100 s it got 4.
        assert_eq!(silence.look(begin + seconds(100), seconds(101)), Some(seconds(4)));
        assert_eq!(silence.look(begin + seconds(200), seconds(200)), Some(seconds(5)));
    }

    #[test]
    fn work_that_burns_or_is_blocked_is_silent_by_the_wall_clock() {
        let begin = Instant::now();
        let mut silence = Silence::from(begin, seconds(5));
        for after in [1, 30, 60, 3600] {
            assert_eq!(silence.look(begin + seconds(after), seconds(5)), None, "nothing new to tell");
        }
        // It waited a second in an hour: that much is told, and no more.
        assert_eq!(silence.look(begin + seconds(3600), seconds(6)), Some(seconds(3599)));
        assert_eq!(silence.look(begin + seconds(3601), seconds(6)), None);
    }

    #[test]
    fn a_thread_that_has_ended_has_waited_for_nothing() {
        let waits = Waits::default();
        assert_eq!(waits.so_far(), Duration::ZERO, "before it begins");
        let of = waits.clone();
        std::thread::spawn(move || of.of_this_thread()).join().unwrap();
        assert_eq!(waits.so_far(), Duration::ZERO);
    }
}
