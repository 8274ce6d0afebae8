//! The program's side of a forkserver: started at the first need, and anew when it has died.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::pipe::Sender;

use super::origin::spawn;
use super::running::{Refusal, Running};
use super::start::{Born, Newborn, Pipes, Unborn, environment, printable, token};
use crate::backend::{Profile, Streams};
use crate::error::{Error, Result};
use crate::os::{self, Child, Launch};
use crate::task::Setup as Function;
use crate::wire::{Configure, Frame, OnError, Order, Preload};
use crate::worker::{Role, Setup, enter_forked, ourselves};

/// A forkserver as a pool has it.
#[derive(Debug)]
pub(crate) struct Forkserver {
    /// What it loads, and where.
    profile: Arc<Profile>,
    source: Source,
    running: tokio::sync::Mutex<Option<Arc<Running>>>,
}

/// How the forkserver itself comes about.
#[derive(Debug)]
enum Source {
    /// The program is started anew, as often as that is needed.
    Spawned,
    /// This process was forked when the pool was made. There is no second one, since threads were started then.
    Forked(Mutex<Option<Seed>>),
}

/// A forkserver that has said nothing yet.
#[derive(Debug)]
struct Seed {
    child: Child,
    control: OwnedFd,
    orders: OwnedFd,
    reports: OwnedFd,
}

impl Forkserver {
    pub(super) fn new(profile: &Arc<Profile>) -> Self {
        let running = tokio::sync::Mutex::new(None);
        Self { profile: Arc::clone(profile), source: Source::Spawned, running }
    }

    /// Forks this process, as it is now.
    ///
    /// # Errors
    ///
    /// It has other threads, or the operating system refuses.
    pub(super) fn forked(profile: &Arc<Profile>) -> Result<Self> {
        let source = Source::Forked(Mutex::new(Some(Seed::fork()?)));
        Ok(Self { source, ..Self::new(profile) })
    }

    /// A new process, forked by the forkserver. If that has died meanwhile, the program is started anew instead.
    ///
    /// # Errors
    ///
    /// The preload failed, the forkserver has a second thread, or the process can be had in neither way.
    pub(super) async fn bear(
        &self,
        profile: &Arc<Profile>,
        title: OsString,
        streams: Streams,
    ) -> Result<Born> {
        let lost = match self.running().await {
            Ok(running) => {
                let ours = streams.try_clone().map_err(|cause| Error::start("pass on its streams", cause))?;
                let Unborn { ends, reports, launch } = Unborn::prepare(profile, title.clone(), ours)?;
                let has_these = Arc::ptr_eq(profile, &self.profile);
                let env = if has_these { &[][..] } else { &profile.env };
                let current_dir = profile.current_dir.as_deref().filter(|_| !has_these);
                match running.fork(&launch, env, current_dir).await {
                    Ok(child) => return Ok(Born { child, ends, reports, preloads: false }),
                    Err(Refusal::Refused(error)) => return Err(error),
                    // Whatever it has begun sees the end of its socket. What is made instead has other pipes.
                    Err(Refusal::Gone) => Error::start("fork it", io::ErrorKind::ConnectionReset.into()),
                }
            }
            Err(error @ (Error::Preload { .. } | Error::NotAlone { .. })) => return Err(error),
            Err(error) => error,
        };
        match self.source {
            Source::Spawned => spawn(profile, title, streams).await,
            // What it has is not what a process that is started anew would have.
            Source::Forked(_) => Err(lost),
        }
    }

    /// The forkserver that runs, or a new one.
    async fn running(&self) -> Result<Arc<Running>> {
        let mut running = self.running.lock().await;
        if let Some(running) = running.as_ref().filter(|running| !running.is_gone()) {
            return Ok(Arc::clone(running));
        }
        let started = Arc::new(self.seed().await?.grow(&self.profile).await?);
        *running = Some(Arc::clone(&started));
        Ok(started)
    }

    /// Ends it, and waits until it is gone.
    pub(super) async fn end(&self) {
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            running.end().await;
        }
    }

    async fn seed(&self) -> Result<Seed> {
        match &self.source {
            Source::Spawned => {
                let profile = Arc::clone(&self.profile);
                let started = tokio::task::spawn_blocking(move || Seed::spawn(&profile)).await;
                started.map_err(|cause| Error::start("start its forkserver", io::Error::other(cause)))?
            }
            Source::Forked(seed) => {
                let seed = seed.lock().unwrap_or_else(PoisonError::into_inner).take();
                let gone =
                    || io::Error::new(io::ErrorKind::NotFound, "what was forked for the pool has ended");
                seed.ok_or_else(|| Error::start("fork it", gone()))
            }
        }
    }
}

impl Seed {
    fn spawn(profile: &Profile) -> Result<Self> {
        let token = token()?;
        let pipes =
            Pipes::new(Setup { token, role: Role::Forkserver, outlives: false, has_stores: false }, &[])?;
        let launch = Launch {
            title: printable(&os::roomy_title(&format!("{}: forkserver", profile.configure.name))),
            env: environment(profile, token),
            current_dir: profile.current_dir.clone(),
            control: pipes.their_control,
            stdout: None,
            stderr: None,
        };
        let Pipes { control, orders, reports, .. } = pipes;
        Ok(Self { child: launch.start()?, control, orders, reports })
    }

    fn fork() -> Result<Self> {
        let pipes = Pipes::new(
            Setup { token: token()?, role: Role::Forkserver, outlives: false, has_stores: false },
            &[],
        )?;
        let Pipes { control, their_control, orders, reports, .. } = pipes;
        if let Some(child) = os::fork()? {
            return Ok(Self { child, control, orders, reports });
        }
        drop((control, orders, reports));
        enter_forked(their_control)
    }

    /// Waits until it has loaded what it is to load.
    async fn grow(self, profile: &Profile) -> Result<Running> {
        let Self { child, control, orders, reports } = self;
        let (pid, killer) = (child.pid(), child.killer());
        let mut newborn = Newborn::new(child, reports, None, profile)?;
        newborn.hello().await?;
        let name = format!("{}: forkserver", profile.configure.name);
        let configure = Configure {
            identity: ourselves().child(name, true, ""),
            preload: profile.preload.as_ref().map(travelling),
            ..Configure::default()
        };
        let frame = Frame::new(&Order::Configure(Box::new(configure)), bytes::Bytes::new());
        // A forkserver that reads no more has ended, and that says more.
        let _ended = write_all(orders, &frame.head).await;
        newborn.ready().await?;
        let running = Running::new(control, pid, killer, newborn.into_end());
        running.map_err(|cause| Error::start("watch its forkserver", cause))
    }
}

async fn write_all(pipe: OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    let sender = Sender::from_owned_fd(pipe)?;
    while !bytes.is_empty() {
        sender.writable().await?;
        match sender.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A preload as it travels.
pub(super) fn travelling((setup, on_error): &(Function, OnError)) -> Preload {
    Preload { function: setup.function.reference(), arguments: setup.arguments.to_vec(), on_error: *on_error }
}
