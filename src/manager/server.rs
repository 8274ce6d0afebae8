//! The server: its objects, the doors to them, the sessions of its clients.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, watch};

use super::exposed::{Part, Registry};
use super::guests::Guests;
use super::message::{Answer, Door, Entrance, Refusal};
use super::served;
use super::session::{ServerLine, Session};
use crate::channel::{Address, Connection, Listener, Nothing, one_way};
use crate::error::{Error, Result};
use crate::os;
use crate::task::{Object, State, capture_panics};
use crate::worker::serves_with;

/// The object that is there from the start: what was published, by name.
pub(super) const DIRECTORY: u64 = 0;

/// How long a thread that has dropped an object waits for the next.
const DROPPER_IDLE: Duration = Duration::from_millis(20);

/// How long the end waits for calls that are under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the server waits where it could not accept.
const AGAIN: Duration = Duration::from_millis(10);

/// What whoever connects is told: which server it is, and a door to it.
pub(super) type Welcome = (u128, Door);

pub(super) struct Server {
    id: u128,
    objects: Mutex<HashMap<u64, Entry>>,
    next: AtomicU64,
    registry: Registry,
    /// What the initializer has returned, for functions and methods that run here.
    state: Mutex<Option<State>>,
    sessions: Mutex<HashMap<u64, Arc<ServerLine>>>,
    /// A session has ended.
    left: Condvar,
    most_sessions: usize,
    guests: Guests,
    /// The thread that serves drives it; those of sessions wait in it.
    runtime: Handle,
    stopped: Notify,
    ended: watch::Sender<bool>,
}

pub(super) struct Entry {
    pub(super) object: Object,
    /// What of it can be called by name.
    part: Option<Arc<Part>>,
}

/// A server that does not serve yet.
pub(super) struct Ready {
    server: Arc<Server>,
    runtime: Runtime,
    entrance: Entrance,
    door: Option<Door>,
    listener: Option<(Listener, bool)>,
}

/// The types of this crate that every manager serves.
pub(super) fn ours() -> &'static Registry {
    static OURS: LazyLock<Registry> = LazyLock::new(served::registry);
    &OURS
}

impl Ready {
    /// A server that listens, if there is a listener, and is called through its door.
    ///
    /// # Errors
    ///
    /// [`Error::Start`], [`Error::Connection`]: there is no descriptor or thread left.
    pub(super) fn new(
        registry: Registry,
        state: Option<State>,
        most_sessions: usize,
        listener: Option<(Listener, bool)>,
        guests: Guests,
    ) -> Result<Self> {
        capture_panics();
        let failed = |cause| Error::start("start the manager's runtime", cause);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(DROPPER_IDLE)
            .thread_name("multiprocess-manager")
            .build()
            .map_err(failed)?;
        let id = u128::from_ne_bytes(os::random().map_err(failed)?);
        let (entrance, door) = one_way()?;
        let server = Arc::new(Server {
            id,
            objects: Mutex::default(),
            next: AtomicU64::new(DIRECTORY + 1),
            registry,
            state: Mutex::new(state),
            sessions: Mutex::default(),
            left: Condvar::new(),
            most_sessions,
            guests,
            runtime: runtime.handle().clone(),
            stopped: Notify::new(),
            ended: watch::Sender::new(false),
        });
        let (object, part) = served::directory();
        server.objects().insert(DIRECTORY, Entry { object, part: Some(part) });
        Ok(Self { server, runtime, entrance, door: Some(door), listener })
    }

    /// What its owner needs, once.
    pub(super) fn welcome(&mut self) -> (Welcome, Option<Address>) {
        let address = self.listener.as_ref().map(|(listener, _)| listener.address().clone());
        ((self.server.id, self.door.take().expect("there is one owner")), address)
    }

    /// Serves until the last copy of its door is closed, or somebody ends it.
    pub(super) fn serve(self) -> Result<()> {
        let Self { server, runtime, entrance, door, listener } = self;
        drop(door);
        match listener {
            Some((listener, true)) => drop(runtime.spawn(Arc::clone(&server).admit_all(listener))),
            Some((listener, false)) => {
                let (visitors, door) = one_way()?;
                runtime.spawn(Arc::clone(&server).attend(visitors, None));
                runtime.spawn(welcome_all(listener, server.id, door));
            }
            None => {}
        }
        runtime.block_on(async {
            tokio::select! {
                () = server.stopped.notified() => {}
                () = server.receive(&entrance) => {}
            }
        });
        drop(entrance);
        server.end();
        runtime.shutdown_background();
        Ok(())
    }
}

/// Gives a door to each process that connects.
async fn welcome_all(listener: Listener, server: u128, door: Door) {
    loop {
        let Some(guest) = next::<Welcome, Nothing>(&listener).await else { continue };
        let Ok(door) = door.try_clone() else { continue };
        // Whoever has left already needs none.
        let _left = guest.try_send(&(server, door));
    }
}

/// The next who connects; nothing if somebody has failed to.
async fn next<A, B>(listener: &Listener) -> Option<Connection<A, B>> {
    match listener.accept().await {
        Ok(connection) => Some(connection),
        Err(Error::Connection { .. }) => {
            // There is no descriptor left, most likely, and nobody tells when there is one.
            let never = std::future::pending::<()>();
            let _over = tokio::time::timeout(AGAIN, never).await;
            None
        }
        Err(_) => None,
    }
}

impl Server {
    pub(super) fn id(&self) -> u128 {
        self.id
    }

    pub(super) fn guests(&self) -> &Guests {
        &self.guests
    }

    /// Lets in whoever knows the key.
    async fn admit_all(self: Arc<Self>, listener: Listener) {
        loop {
            if let Some(line) = next(&listener).await {
                self.admit(Session::remote(Arc::clone(&self), line));
            }
        }
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until nobody drives the runtime any more.
    pub(super) async fn ended(&self) {
        // Its sender is this server's.
        let mut ended = self.ended.subscribe();
        let _ended = ended.wait_for(|ended| *ended).await;
    }

    pub(super) fn registered(&self, name: &str) -> Result<&Arc<Part>, Refusal> {
        self.registry.find(name)
    }

    pub(super) fn object(&self, number: u64) -> Result<(Object, Option<Arc<Part>>), Refusal> {
        let objects = self.objects();
        let entry = objects.get(&number).ok_or(Refusal::UnknownObject)?;
        Ok((Arc::clone(&entry.object), entry.part.clone()))
    }

    /// Adds an object, with a door that whoever has asked for it gets.
    pub(super) fn add(self: &Arc<Self>, object: Object, part: Option<Arc<Part>>) -> Answer {
        let Ok((entrance, door)) = one_way() else { return Answer::Refused(Refusal::Busy) };
        // Nobody guesses it, so that whoever comes over a network can name in what it sends only what was lent to it.
        let Ok(number) = os::random()
            .map(|bytes: [u8; 16]| u64::from_ne_bytes(*bytes.first_chunk().expect("it is longer")))
        else {
            return Answer::Refused(Refusal::Busy);
        };
        self.guests.has_door(number, &door);
        self.objects().insert(number, Entry { object, part });
        self.runtime.spawn(Arc::clone(self).attend(entrance, Some(number)));
        Answer::Made { object: number, door }
    }

    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Lets in whoever comes through a door, until its last copy is closed; then nobody can call the object.
    async fn attend(self: Arc<Self>, entrance: Entrance, object: Option<u64>) {
        self.receive(&entrance).await;
        drop(entrance);
        let entry = object.and_then(|object| {
            self.guests.has_no_door(object);
            self.objects().remove(&object)
        });
        if let Some(entry) = entry {
            // Its drop is the program's own code, which may take its time or panic.
            self.runtime.spawn_blocking(move || drop(entry));
        }
    }

    async fn receive(self: &Arc<Self>, entrance: &Entrance) {
        loop {
            match entrance.recv().await {
                Ok(visitor) => self.admit(Session::new(Arc::clone(self), visitor)),
                // Somebody has sent what is no visitor.
                Err(Error::DecodeMessage { .. } | Error::MessageTooLarge { .. }) => {}
                Err(_) => return,
            }
        }
    }

    fn admit(self: &Arc<Self>, session: Session) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let line = Arc::clone(session.line());
        {
            let mut sessions = self.sessions();
            if sessions.len() >= self.most_sessions {
                drop(sessions);
                return refuse(&line);
            }
            sessions.insert(number, Arc::clone(&line));
        }
        let server = Arc::clone(self);
        let serve = move || {
            serves_with(server.state().clone());
            session.serve();
            drop(session);
            // It may be the last that has it.
            let _panicked = crate::task::caught(|| serves_with(None));
            server.sessions().remove(&number);
            server.left.notify_all();
        };
        if thread::Builder::new().name("multiprocess-manager".into()).spawn(serve).is_err() {
            self.sessions().remove(&number);
            refuse(&line);
        }
    }

    /// Hangs up on all clients, and drops what nobody is calling.
    fn end(&self) {
        self.ended.send_replace(true);
        let sessions = self.sessions();
        for line in sessions.values() {
            os::hang_up(&**line);
        }
        // What they drop is dropped before a process of its own ends.
        let left = self.left.wait_timeout_while(sessions, PATIENCE, |sessions| !sessions.is_empty());
        drop(left);
        let objects = std::mem::take(&mut *self.objects());
        for entry in objects.into_values() {
            let _panicked = crate::task::caught(|| drop(entry));
        }
        let state = self.state().take();
        let _panicked = crate::task::caught(|| drop(state));
    }

    pub(super) fn objects(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<ServerLine>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the request that is sure to come.
fn refuse(line: &ServerLine) {
    let _left = line.try_send(&Answer::Refused(Refusal::Busy));
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// So many descriptors as the kernel lets this process have: each object takes one, and each session.
pub(super) fn make_room() -> io::Result<()> {
    os::raise_descriptor_limit()
}
