//! Finds what a command has started outside its process group (`timeout`, `setsid` and shells with job control do
//! that). One look through all processes serves every command that asks for it meanwhile.

use std::collections::{HashMap, HashSet};

use tokio::sync::{mpsc, oneshot};

use super::process::{self, Process};

/// Requests that one look answers.
const MOST: usize = 1024;

type Request = (String, oneshot::Sender<Vec<Process>>);

/// Clones ask the same looker.
#[derive(Debug, Clone)]
pub(crate) struct Strays(mpsc::UnboundedSender<Request>);

impl Strays {
    /// Starts the task that looks. It ends with the last clone.
    pub(crate) fn start() -> Strays {
        let (ask, mut asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut requests: Vec<Request> = Vec::new();
            while asked.recv_many(&mut requests, MOST).await > 0 {
                let tokens: HashSet<String> = requests.iter().map(|(token, _)| token.clone()).collect();
                let found = tokio::task::spawn_blocking(move || process::with_tokens(&tokens)).await;
                let mut by_token: HashMap<String, Vec<Process>> = HashMap::new();
                for (token, process) in found.unwrap_or_default() {
                    by_token.entry(token).or_default().push(process);
                }
                for (token, answer) in requests.drain(..) {
                    // Whoever asked may have been dropped.
                    let _ = answer.send(by_token.remove(&token).unwrap_or_default());
                }
            }
        });
        Strays(ask)
    }

    /// The processes that have this token in their environment.
    pub(crate) async fn with(&self, token: &str) -> Vec<Process> {
        let (answer, found) = oneshot::channel();
        if self.0.send((token.to_owned(), answer)).is_err() {
            return Vec::new();
        }
        found.await.unwrap_or_default()
    }
}
