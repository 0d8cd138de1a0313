//! The only thread that computes answers: tensors never leave it and never cross an await.
//!
//! A bounded inbox (full is [`EngineError::Busy`]), replies through oneshot channels, and greedy
//! batching: whatever waits when a computation ends goes into the next one, so a lone request
//! never waits for company; what has another base model, head (and with it a backbone of its own) or shape is
//! computed apart. Callers who left are not computed for. The thread ends, and is joined, when the last handle is dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::artefact::ArtefactError;
use super::base::Base;
use super::choice::BaseChoice;
use super::forward::forward;
use super::health::{self, Heads, Portrait};
use super::network::LEVELS;
use super::remaining;
use super::shelf::{HeadKey, Shelf};
use super::window::Window;
use crate::ids::ModelId;

/// Settings of the model engine.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Requests that may wait for the model; one more is answered 503.
    #[arg(long, env = "COUNTERPART_MODEL_INBOX", default_value_t = 256)]
    pub model_inbox: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The inbox is full: try again.
    #[error("the model engine is busy")]
    Busy,
    /// The engine has ended.
    #[error("the model engine has stopped")]
    Stopped,
    /// The head could not be loaded.
    #[error("the fine-tuned weights could not be loaded")]
    Head(#[from] ArtefactError),
    /// The base model could not be loaded.
    #[error("the base model could not be loaded")]
    Base(#[source] ArtefactError),
    /// A window or an answer held a number that is not finite.
    #[error("the model's input or output is not finite")]
    NotFinite,
}

/// A fine-tuned head as it is stored, with what else its version learned of a backbone.
#[derive(Debug)]
pub struct HeadArtefact {
    /// Which model version it is.
    pub id: ModelId,
    /// safetensors.
    pub weights: Vec<u8>,
    /// Of `weights`.
    pub sha256: Vec<u8>,
}

/// Quantiles of one window, in its normalised units: `future` rows of [`LEVELS`] values, sorted.
pub type Quantiles = Vec<[f64; LEVELS.len()]>;

/// What may wait in the inbox.
enum Task {
    Answer(Request),
    Name(Naming),
    Foretell(Foretelling),
}

/// A question for the time that remains of an asset.
struct Foretelling {
    head: Arc<remaining::Head>,
    seen: Vec<f32>,
    reply: oneshot::Sender<Result<Vec<f64>, EngineError>>,
}

/// A question for the class of an asset, and for what will become of it.
struct Naming {
    base: BaseChoice,
    heads: Heads,
    statistics: Vec<f32>,
    windows: Vec<Window>,
    reply: oneshot::Sender<Result<health::Said, EngineError>>,
}

struct Request {
    base: BaseChoice,
    windows: Vec<Window>,
    head: Option<Arc<HeadArtefact>>,
    /// Whether it must not share a computation with others.
    alone: bool,
    reply: oneshot::Sender<Result<Vec<Quantiles>, EngineError>>,
}

/// A handle on the engine; clones share it.
#[derive(Clone, Debug)]
pub struct Engine {
    inbox: Option<mpsc::Sender<Task>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Engine {
    /// Starts the thread and waits until the default base model is loaded on it.
    pub fn start(config: &Config) -> Result<Self, ArtefactError> {
        let (inbox, requests) = mpsc::channel(config.model_inbox.max(1));
        let (loaded, ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || match Base::shipped() {
                Ok(base) => {
                    let _ = loaded.send(Ok(()));
                    Worker { shelf: Shelf::new(base) }.run(requests);
                }
                Err(error) => {
                    let _ = loaded.send(Err(error));
                }
            })
            .expect("the system can start a thread");
        ready.recv().map_err(|_| ArtefactError::Format)??;
        Ok(Self { inbox: Some(inbox), thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Answers windows with a base model's head, or a fine-tuned one on the backbone that it learned on, in their
    /// order.
    pub async fn answer(
        &self,
        base: &BaseChoice,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
    ) -> Result<Vec<Quantiles>, EngineError> {
        self.ask(base, windows, head, false).await
    }

    /// Answers windows as [`Self::answer`] does, in a computation of their own: whoever else asks at
    /// that time, the same windows get the same bits. In company the last bit may differ.
    pub async fn answer_alone(
        &self,
        base: &BaseChoice,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
    ) -> Result<Vec<Quantiles>, EngineError> {
        self.ask(base, windows, head, true).await
    }

    async fn ask(
        &self,
        base: &BaseChoice,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
        alone: bool,
    ) -> Result<Vec<Quantiles>, EngineError> {
        if windows.iter().any(|window| !window.is_finite()) {
            return Err(EngineError::NotFinite);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Task::Answer(Request { base: base.clone(), windows, head, alone, reply }))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    /// Probabilities of an asset's classes, now and ahead, from what is seen of it: `statistics` of each
    /// signal, and a window of each for the backbone of the heads' base model to read, once for all heads. It is
    /// the base model's own backbone, also where the forecasts of the same version stand on another: that is
    /// what these heads learned on.
    pub async fn name(
        &self,
        base: &BaseChoice,
        heads: Heads,
        statistics: Vec<f32>,
        windows: Vec<Window>,
    ) -> Result<health::Said, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Name(Naming { base: base.clone(), heads, statistics, windows, reply }))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    /// Probabilities of a head's bins for what is remembered of an asset's run, in deviations.
    pub async fn foretell(&self, head: Arc<remaining::Head>, seen: Vec<f32>) -> Result<Vec<f64>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Foretell(Foretelling { head, seen, reply }))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    fn send(&self, task: Task) -> Result<(), EngineError> {
        let inbox = self.inbox.as_ref().ok_or(EngineError::Stopped)?;
        inbox.try_send(task).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EngineError::Busy,
            mpsc::error::TrySendError::Closed(_) => EngineError::Stopped,
        })
    }
}

impl Drop for Engine {
    /// The last handle closes the inbox and waits for the thread: libtorch must not be computing
    /// while the process tears its statics down.
    fn drop(&mut self) {
        self.inbox = None;
        if Arc::strong_count(&self.thread) == 1 {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = thread.join();
            }
        }
    }
}

/// What requests must share to be computed together: base model, head and shape.
type Key = (HeadKey, (usize, usize));

struct Worker {
    shelf: Shelf,
}

impl Worker {
    fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let (mut waiting, mut namings, mut foretellings) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(first) = tasks.blocking_recv() {
            for task in std::iter::once(first).chain(std::iter::from_fn(|| tasks.try_recv().ok())) {
                match task {
                    Task::Answer(request) => waiting.push(request),
                    Task::Name(naming) => namings.push(naming),
                    Task::Foretell(foretelling) => foretellings.push(foretelling),
                }
            }
            self.serve(&mut waiting);
            for naming in namings.drain(..).filter(|naming| !naming.reply.is_closed()) {
                let Naming { base, heads, statistics, windows, reply } = naming;
                let _ = reply.send(self.name(&base, &heads, statistics, &windows));
            }
            for Foretelling { head, seen, reply } in foretellings.drain(..) {
                if !reply.is_closed() {
                    let said = remaining::foretell(&head, &[&seen]);
                    let _ = reply.send(said.and_then(|mut said| said.pop().ok_or(EngineError::NotFinite)));
                }
            }
        }
    }

    fn name(
        &mut self,
        base: &BaseChoice,
        heads: &Heads,
        statistics: Vec<f32>,
        windows: &[Window],
    ) -> Result<health::Said, EngineError> {
        self.shelf.fetch(base, None)?;
        let states = health::states(self.shelf.base(&base.key()), windows)?.concat();
        heads.say(&Portrait { statistics, states })
    }

    /// Computes everything that waits, requests of one base model, head and shape together.
    fn serve(&mut self, waiting: &mut Vec<Request>) {
        let mut groups: Vec<(Key, Vec<Request>)> = Vec::new();
        for request in waiting.drain(..).filter(|request| !request.reply.is_closed()) {
            let Some(first) = request.windows.first() else {
                let _ = request.reply.send(Ok(Vec::new()));
                continue;
            };
            let head = (request.base.key(), request.head.as_ref().map(|head| head.id));
            let key = (head, first.shape());
            let open = |(other, group): &&mut (Key, Vec<Request>)| *other == key && !group[0].alone && !request.alone;
            match groups.iter_mut().find(open) {
                Some((_, group)) => group.push(request),
                None => groups.push((key, vec![request])),
            }
        }
        for ((head, _), group) in groups {
            let outcome = self.compute(&head, &group);
            self.reply(&head, group, outcome);
        }
    }

    fn compute(&mut self, key: &HeadKey, group: &[Request]) -> Result<Vec<Quantiles>, EngineError> {
        self.shelf.fetch(&group[0].base, group[0].head.as_deref())?;
        let windows: Vec<&Window> = group.iter().flat_map(|request| &request.windows).collect();
        forward(self.shelf.pair(key), &windows)
    }

    fn reply(&self, key: &HeadKey, group: Vec<Request>, outcome: Result<Vec<Quantiles>, EngineError>) {
        match outcome {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for request in group {
                    let own = answers.by_ref().take(request.windows.len()).collect();
                    let _ = request.reply.send(Ok(own));
                }
            }
            // One caller's bad window must not fail the others of its batch.
            Err(EngineError::NotFinite) if group.len() > 1 => {
                let pair = self.shelf.pair(key);
                for request in group {
                    let windows: Vec<&Window> = request.windows.iter().collect();
                    let _ = request.reply.send(forward(pair, &windows));
                }
            }
            Err(error) => {
                for request in group {
                    let _ = request.reply.send(Err(error.clone()));
                }
            }
        }
    }
}
