//! What becomes of a process: what its function came to, how it ended, and whoever waits for that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::{Error, Exit, Result};
use crate::task::{Label, Payload};
use crate::wire::{Parcel, Records};

/// Shared by whoever causes it and all who wait for it.
pub(crate) struct Fate {
    name: String,
    label: Label,
    state: Mutex<State>,
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    outcome: Outcome,
    exit: Option<Exit>,
    /// Its owner is through with it.
    closed: bool,
}

/// What its function came to.
#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Pending,
    /// One record, which is decoded by whoever wants it.
    Came(Parcel),
    Failed(Error),
    Taken,
}

impl Fate {
    pub(crate) fn new(name: String, label: Label) -> Self {
        Self { name, label, state: Mutex::default(), ended: watch::Sender::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What errors call its function by.
    pub(crate) fn task(&self) -> String {
        self.label.task()
    }

    /// Its function has returned, or has failed and tells how; false if it had told before.
    pub(crate) fn came(&self, record: Parcel) -> bool {
        let mut state = self.lock();
        let is_first = matches!(state.outcome, Outcome::Pending);
        if is_first {
            state.outcome = Outcome::Came(record);
        }
        is_first
    }

    /// Nothing will come of it.
    pub(crate) fn failed(&self, error: Error) {
        self.lock().outcome = Outcome::Failed(error);
    }

    /// It has ended. If nothing has come of it, that is why.
    pub(crate) fn end(&self, exit: Exit, why: impl FnOnce() -> Error) {
        let mut state = self.lock();
        state.exit = Some(exit);
        if matches!(state.outcome, Outcome::Pending) {
            state.outcome = Outcome::Failed(why());
        }
        drop(state);
        self.ended.send_replace(true);
    }

    /// How it has ended, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        let _the_sender_is_ours = ended.wait_for(|ended| *ended).await;
    }

    /// Its owner is through with it.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.outcome = Outcome::Taken;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Looks whether its owner is through with it.
    pub(crate) fn not_closed(&self) -> Result<()> {
        if self.is_closed() { Err(Error::ProcessClosed { name: self.name.clone() }) } else { Ok(()) }
    }

    /// The value of its function, once it has ended.
    pub(crate) fn take<R: Payload>(&self) -> Result<R> {
        self.not_closed()?;
        let outcome = std::mem::replace(&mut self.lock().outcome, Outcome::Taken);
        match outcome {
            Outcome::Came(Parcel { records, mut luggage, mut freight }) => {
                match Records::new(&records).next() {
                    Some(record) => {
                        let mut handles = Vec::new();
                        luggage.take(0, &mut handles);
                        self.label.value_with(record, &mut handles, &freight.take(0))
                    }
                    None => Err(self.label.broken("there is no result".into())),
                }
            }
            Outcome::Failed(error) => Err(error),
            Outcome::Taken | Outcome::Pending => Err(Error::Taken { task: self.task() }),
        }
    }
}
