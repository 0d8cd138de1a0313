//! Work on an operating-system thread of its own, at low priority, that tells how far it is and can be
//! told to stop.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::silence::{Silence, Waits};

/// Signs of life are looked at at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Silence is looked at so often: many times in the shortest lease.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Work on its thread. Dropped, it tells the work to stop: nobody waits for it then.
pub struct Running<P, T> {
    stop: Stop,
    progress: watch::Receiver<Option<P>>,
    result: oneshot::Receiver<T>,
    thread: Option<JoinHandle<()>>,
    /// When the next sign of life is looked at.
    next: Instant,
    begun: Instant,
    /// What the thread has waited for a processor in all.
    waited: Box<dyn Fn() -> Duration + Send + Sync>,
    /// The most that it was seen to have waited: of a thread that has ended it cannot be told any more.
    most_waited: Duration,
    silence: Silence,
    look_every: Duration,
}

/// What work tells.
#[derive(Debug)]
pub enum Told<P, T> {
    /// How far it is.
    Alive(P),
    /// It has waited for a processor since its last sign of life: only so long, by its own time, has it been
    /// silent.
    Starved(Duration),
    /// Nothing, for a second.
    Nothing,
    /// That it has ended; `None` when it panicked.
    Answer(Option<T>),
}

struct Stop(Arc<AtomicBool>);

/// Starts work on a thread. `work` gets what it must call at least every few seconds, and stops at once when
/// that says [`ControlFlow::Break`].
pub fn start<P, T>(
    name: &str,
    work: impl FnOnce(&mut dyn FnMut(P) -> ControlFlow<()>) -> T + Send + 'static,
) -> Result<Running<P, T>, std::io::Error>
where
    P: Clone + Send + Sync + 'static,
    T: Send + 'static,
{
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let (tell, progress) = watch::channel(None);
    let (answer, result) = oneshot::channel();
    let told_to_stop = Arc::clone(&stop.0);
    let waits = Waits::default();
    let of_thread = waits.clone();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Serving comes first. Without the right to be nice it works all the same.
        let _ = rustix::process::setpriority_process(None, 19);
        of_thread.of_this_thread();
        let mut report = |progress: P| {
            tell.send_replace(Some(progress));
            if told_to_stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // A worker that left no longer wants the answer.
        let _ = answer.send(work(&mut report));
    })?;
    let now = Instant::now();
    Ok(Running {
        stop,
        progress,
        result,
        thread: Some(thread),
        next: now,
        begun: now,
        waited: Box::new(move || waits.so_far()),
        most_waited: Duration::ZERO,
        silence: Silence::from(now, Duration::ZERO),
        look_every: LOOK_EVERY,
    })
}

impl<P: Clone, T> Running<P, T> {
    /// Waits for what the work tells next, a second at most: a sign of life, not too soon after the one before,
    /// that it waits for a processor, its answer, or nothing.
    pub async fn next(&mut self) -> Told<P, T> {
        tokio::select! {
            answer = &mut self.result => Told::Answer(self.joined(answer.ok())),
            Some(progress) = sign_of_life(&mut self.progress, self.next) => {
                let now = Instant::now();
                self.next = now + TELL_EVERY;
                self.silence = Silence::from(now, (self.waited)());
                Told::Alive(progress)
            }
            () = sleep(self.look_every) => {
                self.silence.look(Instant::now(), (self.waited)()).map_or(Told::Nothing, Told::Starved)
            }
        }
    }

    /// How long the work has taken of its own time: since it began, less what it waited for a processor.
    pub fn spent(&mut self) -> Duration {
        self.most_waited = self.most_waited.max((self.waited)());
        self.begun.elapsed().saturating_sub(self.most_waited)
    }

    /// The same, begun so long ago as a test wants.
    #[cfg(test)]
    pub(crate) fn begun(mut self, ago: Duration) -> Self {
        self.begun = Instant::now() - ago;
        self
    }

    /// The same with waiting, and looks at it, as a test wants them.
    #[cfg(test)]
    pub(crate) fn waiting(mut self, waited: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.silence = Silence::from(Instant::now(), waited());
        (self.waited, self.look_every) = (Box::new(waited), Duration::from_millis(1));
        self
    }

    /// Tells the work to stop; its answer is still to be waited for.
    pub fn stop(&self) {
        self.stop.now();
    }

    /// It has answered or is unwinding, so this takes no time worth mentioning.
    fn joined(&mut self, answer: Option<T>) -> Option<T> {
        let whole = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        answer.filter(|_| whole)
    }
}

impl Stop {
    fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.now();
    }
}

/// The newest sign of life, not before `next`. `None` when there will be no more.
async fn sign_of_life<P: Clone>(progress: &mut watch::Receiver<Option<P>>, next: Instant) -> Option<P> {
    sleep_until(next).await;
    progress.changed().await.ok()?;
    progress.borrow_and_update().clone()
}
