//! The only thread that computes answers: tensors never leave it and never cross an await.
//!
//! A bounded inbox (full is [`EngineError::Busy`]), replies through oneshot channels, and greedy
//! batching: whatever waits when a computation ends goes into the next one, so a lone request
//! never waits for company. Callers who left are not computed for. The thread ends, and is joined,
//! when the last handle is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::artefact::{self, ArtefactError};
use super::base::{Base, BaseCard};
use super::dense::Arithmetic;
use super::forward::forward;
use super::health::{self, Heads, Portrait};
use super::lean::Head;
use super::network::{self, LEVELS};
use super::remaining;
use super::window::Window;
use crate::ids::ModelId;

/// Heads kept loaded; one is about 0.3 MB.
const HEADS_KEPT: usize = 256;

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
    /// A window or an answer held a number that is not finite.
    #[error("the model's input or output is not finite")]
    NotFinite,
}

/// A fine-tuned head as it is stored.
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
    heads: Heads,
    statistics: Vec<f32>,
    windows: Vec<Window>,
    reply: oneshot::Sender<Result<health::Said, EngineError>>,
}

struct Request {
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
    card: Arc<BaseCard>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Engine {
    /// Starts the thread and waits until the base model is loaded on it.
    pub fn start(config: &Config) -> Result<Self, ArtefactError> {
        let (inbox, requests) = mpsc::channel(config.model_inbox.max(1));
        let (loaded, ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("model".into())
            .spawn(move || match Base::shipped() {
                Ok(base) => {
                    let _ = loaded.send(Ok(base.card.clone()));
                    Worker { base, heads: HashMap::new(), age: 0 }.run(requests);
                }
                Err(error) => {
                    let _ = loaded.send(Err(error));
                }
            })
            .expect("the system can start a thread");
        let card = ready.recv().map_err(|_| ArtefactError::Format)??;
        Ok(Self { inbox: Some(inbox), card: Arc::new(card), thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// The card of the base model that it serves.
    #[must_use]
    pub fn card(&self) -> &BaseCard {
        &self.card
    }

    /// Answers windows with the base model's head, or a fine-tuned one, in their order.
    pub async fn answer(
        &self,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
    ) -> Result<Vec<Quantiles>, EngineError> {
        self.ask(windows, head, false).await
    }

    /// Answers windows as [`Self::answer`] does, in a computation of their own: whoever else asks at
    /// that time, the same windows get the same bits. In company the last bit may differ.
    pub async fn answer_alone(
        &self,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
    ) -> Result<Vec<Quantiles>, EngineError> {
        self.ask(windows, head, true).await
    }

    async fn ask(
        &self,
        windows: Vec<Window>,
        head: Option<Arc<HeadArtefact>>,
        alone: bool,
    ) -> Result<Vec<Quantiles>, EngineError> {
        if windows.iter().any(|window| !window.is_finite()) {
            return Err(EngineError::NotFinite);
        }
        let (reply, answer) = oneshot::channel();
        self.send(Task::Answer(Request { windows, head, alone, reply }))?;
        answer.await.map_err(|_| EngineError::Stopped)?
    }

    /// Probabilities of an asset's classes, now and ahead, from what is seen of it: `statistics` of each
    /// signal, and a window of each for the backbone to read, once for all heads.
    pub async fn name(
        &self,
        heads: Heads,
        statistics: Vec<f32>,
        windows: Vec<Window>,
    ) -> Result<health::Said, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Name(Naming { heads, statistics, windows, reply }))?;
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

/// What requests must share to be computed together: head and shape.
type Key = (Option<ModelId>, (usize, usize));

struct Loaded {
    head: Head,
    used: u64,
}

struct Worker {
    base: Base,
    heads: HashMap<ModelId, Loaded>,
    age: u64,
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
            for Naming { heads, statistics, windows, reply } in namings.drain(..) {
                if !reply.is_closed() {
                    let _ = reply.send(self.name(&heads, statistics, &windows));
                }
            }
            for Foretelling { head, seen, reply } in foretellings.drain(..) {
                if !reply.is_closed() {
                    let said = remaining::foretell(&head, &[&seen]);
                    let _ = reply.send(said.and_then(|mut said| said.pop().ok_or(EngineError::NotFinite)));
                }
            }
        }
    }

    fn name(&self, heads: &Heads, statistics: Vec<f32>, windows: &[Window]) -> Result<health::Said, EngineError> {
        heads.say(&Portrait { statistics, states: health::states(&self.base, windows)?.concat() })
    }

    /// Computes everything that waits, requests of one head and shape together.
    fn serve(&mut self, waiting: &mut Vec<Request>) {
        let mut groups: Vec<(Key, Vec<Request>)> = Vec::new();
        for request in waiting.drain(..).filter(|request| !request.reply.is_closed()) {
            let Some(first) = request.windows.first() else {
                let _ = request.reply.send(Ok(Vec::new()));
                continue;
            };
            let key = (request.head.as_ref().map(|head| head.id), first.shape());
            let open = |(other, group): &&mut (Key, Vec<Request>)| *other == key && !group[0].alone && !request.alone;
            match groups.iter_mut().find(open) {
                Some((_, group)) => group.push(request),
                None => groups.push((key, vec![request])),
            }
        }
        for (_, group) in groups {
            let outcome = self.compute(&group);
            self.reply(group, outcome);
        }
    }

    fn compute(&mut self, group: &[Request]) -> Result<Vec<Quantiles>, EngineError> {
        if let Some(artefact) = group.iter().find_map(|request| request.head.as_ref()) {
            self.load(artefact)?;
        }
        let key = group[0].head.as_ref().map(|head| head.id);
        let head = key.and_then(|id| self.heads.get(&id)).map_or(&self.base.lean_head, |loaded| &loaded.head);
        let windows: Vec<&Window> = group.iter().flat_map(|request| &request.windows).collect();
        forward(&self.base, head, &windows)
    }

    fn reply(&self, group: Vec<Request>, outcome: Result<Vec<Quantiles>, EngineError>) {
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
                for request in group {
                    let windows: Vec<&Window> = request.windows.iter().collect();
                    let head = request.head.as_ref().and_then(|artefact| self.heads.get(&artefact.id));
                    let own = forward(&self.base, head.map_or(&self.base.lean_head, |loaded| &loaded.head), &windows);
                    let _ = request.reply.send(own);
                }
            }
            Err(error) => {
                for request in group {
                    let _ = request.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Makes sure that a head is loaded, forgetting the one unused for longest when there are many.
    fn load(&mut self, artefact: &HeadArtefact) -> Result<(), ArtefactError> {
        self.age += 1;
        if let Some(loaded) = self.heads.get_mut(&artefact.id) {
            loaded.used = self.age;
            return Ok(());
        }
        let mut head = network::Head::new(self.base.card.size);
        artefact::load_checked(&artefact.weights, &artefact.sha256, &mut [("head", head.store_mut())])?;
        let head = Head::new(&head, &self.base.backbone, Arithmetic::SERVING);
        if self.heads.len() >= HEADS_KEPT {
            let oldest = self.heads.iter().min_by_key(|(_, loaded)| loaded.used).map(|(id, _)| *id);
            if let Some(id) = oldest {
                self.heads.remove(&id);
            }
        }
        self.heads.insert(artefact.id, Loaded { head, used: self.age });
        Ok(())
    }
}
