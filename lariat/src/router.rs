//! Jobs of one queue to several handlers, by the name of the job.
//!
//! What may not be in this file: anything that knows a worker or a store.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use lariat_lock::BoxFuture;

use crate::job::{IntoOutcome, Job, JobError, Outcome};
use crate::worker::Handler;

/// How many names an error lists.
const MOST_NAMED: usize = 50;

/// Sends each job to the handler of its name (in BullMQ: a `switch` over `job.name` in the processor). A `Router` is a
/// [`Handler`].
///
/// A job with a name that nobody knows fails for good, with words that list the known names; with
/// [`otherwise`](Self::otherwise) it goes to that handler instead. Names are compared exactly.
///
/// Handlers are any [`Handler`], or an `async fn(Job, S)` that takes the router's state as well: what all of them need, a
/// pool of connections say. The state is cloned for each job, so it is to be cheap to clone (an `Arc`, as a rule).
/// [`with_state`](Self::with_state) goes before the handlers that take it. A single handler with state needs no names:
/// `Router::new().with_state(state).otherwise(handler)`.
///
/// ```
/// use std::sync::Arc;
/// use lariat::{Job, JobError, Router};
///
/// struct Mailer { from: String }
///
/// async fn welcome(job: Job, mailer: Arc<Mailer>) -> Result<String, JobError> {
///     let to: String = job.data()?;
///     Ok(format!("{} greets {to}", mailer.from))
/// }
///
/// async fn ping(_: Job) -> Result<(), JobError> {
///     Ok(())
/// }
///
/// let router = Router::new()
///     .with_state(Arc::new(Mailer { from: "ada@example.org".into() }))
///     .on("welcome", welcome)
///     .on("ping", ping);
/// # let _ = router;
/// ```
#[must_use = "a router is a handler: start a worker with it"]
pub struct Router<S = ()> {
    state: S,
    routes: BTreeMap<String, Arc<dyn Handler>>,
    otherwise: Option<Arc<dyn Handler>>,
}

impl Router {
    /// A router that knows no names yet.
    pub fn new() -> Router {
        Router { state: (), routes: BTreeMap::new(), otherwise: None }
    }
}

impl Default for Router {
    fn default() -> Router {
        Router::new()
    }
}

impl<S> Router<S> {
    /// The state for the handlers that are given from here on; those given before keep what they have.
    pub fn with_state<T>(self, state: T) -> Router<T> {
        Router { state, routes: self.routes, otherwise: self.otherwise }
    }

    /// Jobs of this name go to this handler; of two for the same name the later one stands.
    pub fn on<M, R: Route<S, M>>(mut self, name: impl Into<String>, handler: R) -> Router<S> {
        let handler = handler.into_handler(&self.state);
        self.routes.insert(name.into(), handler);
        self
    }

    /// Jobs of all other names go to this handler.
    pub fn otherwise<M, R: Route<S, M>>(mut self, handler: R) -> Router<S> {
        self.otherwise = Some(handler.into_handler(&self.state));
        self
    }

    fn unknown(&self, name: &str) -> JobError {
        let known: Vec<_> = self.routes.keys().take(MOST_NAMED).map(|known| format!("{known:?}")).collect();
        let more = match self.routes.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let known = if known.is_empty() { "no names".to_owned() } else { known.join(", ") };
        let words = format!("no handler for jobs named {name:?}; this worker knows {known}{more}");
        JobError::fail(words)
    }
}

impl<S: Send + Sync + 'static> Handler for Router<S> {
    fn call(&self, job: Job) -> BoxFuture<'static, Result<Outcome, JobError>> {
        if let Some(handler) = self.routes.get(job.name()).or(self.otherwise.as_ref()) {
            return handler.call(job);
        }
        let unknown = self.unknown(job.name());
        Box::pin(async { Err(unknown) })
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("names", &self.routes.keys())
            .field("otherwise", &self.otherwise.is_some())
            .finish_non_exhaustive()
    }
}

/// What a [`Router`] with the state `S` sends jobs to: any [`Handler`], or an `async fn(Job, S) -> Result<T, E>`. `M` tells
/// the two apart, and is found by the compiler.
pub trait Route<S, M> {
    /// The handler, with the state at hand.
    fn into_handler(self, state: &S) -> Arc<dyn Handler>;
}

/// Marks a [`Route`] that takes the job only.
#[derive(Debug)]
pub struct TakesJob;

/// Marks a [`Route`] that takes the job and the state.
#[derive(Debug)]
pub struct TakesState;

impl<S, H: Handler> Route<S, TakesJob> for H {
    fn into_handler(self, _: &S) -> Arc<dyn Handler> {
        Arc::new(self)
    }
}

impl<S, F, Fut, T, E> Route<S, TakesState> for F
where
    S: Clone + Send + Sync + 'static,
    F: Fn(Job, S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: IntoOutcome,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    fn into_handler(self, state: &S) -> Arc<dyn Handler> {
        let state = state.clone();
        Arc::new(move |job: Job| self(job, state.clone()))
    }
}
