//! Work on an operating-system thread of its own, at low priority, that tells how far it is and can be
//! told to stop.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// Signs of life are looked at at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Work on its thread. Dropped, it tells the work to stop: nobody waits for it then.
pub struct Running<P, T> {
    stop: Stop,
    progress: watch::Receiver<Option<P>>,
    result: oneshot::Receiver<T>,
    thread: Option<JoinHandle<()>>,
    /// When the next sign of life is looked at.
    next: Instant,
}

/// What work tells.
#[derive(Debug)]
pub enum Told<P, T> {
    /// How far it is.
    Alive(P),
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
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Serving comes first. Without the right to be nice it works all the same.
        let _ = rustix::process::setpriority_process(None, 19);
        let mut report = |progress: P| {
            tell.send_replace(Some(progress));
            if told_to_stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // A worker that left no longer wants the answer.
        let _ = answer.send(work(&mut report));
    })?;
    Ok(Running { stop, progress, result, thread: Some(thread), next: Instant::now() })
}

impl<P: Clone, T> Running<P, T> {
    /// Waits for what the work tells next: a sign of life, not too soon after the one before, or its answer.
    pub async fn next(&mut self) -> Told<P, T> {
        tokio::select! {
            answer = &mut self.result => Told::Answer(self.joined(answer.ok())),
            Some(progress) = sign_of_life(&mut self.progress, self.next) => {
                self.next = Instant::now() + TELL_EVERY;
                Told::Alive(progress)
            }
        }
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
