//! A child that this process has forked to run one thing, as its parent hears of it: on the thread that waits, so that no other thread has to be
//! started and this process can be forked again.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use bytes::BytesMut;
use tokio_util::codec::Decoder as _;

use super::blocks::Blocks;
use super::parcel::receive;
use crate::backend::{End, Profile, Streams};
use crate::error::{Error, Exit, Result};
use crate::os::{self, Child, Killer, OomKills, SIGKILL};
use crate::wire::{Codec, Failure, Fd, Output, Parcel, Records, Report, codec, split};
use crate::worker::{self, Answers, Shape};

/// A child that was forked and not waited for yet. Dropping it kills and reaps it.
#[derive(Debug)]
pub(crate) struct Forked {
    child: Child,
    /// Nothing once nobody wants to hear of it.
    reports: Option<OwnedFd>,
    /// Where the handles of its result come from.
    handles: OwnedFd,
    codec: Codec,
    buffer: BytesMut,
    heard: Heard,
}

/// What it has said so far.
#[derive(Debug)]
enum Heard {
    Nothing,
    /// The one record of its result.
    Result(Parcel),
    /// Why it did not even come to its function.
    #[cfg_attr(
        not(feature = "sandbox"),
        expect(dead_code, reason = "nothing but a sandbox keeps it from that")
    )]
    Failed(Error),
    /// It broke the rules, and nothing more of it is read.
    Broken(String),
}

/// How it ended, and what came of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    /// The one record of its result, or why it did not even come to its function.
    pub(crate) result: Option<Result<Parcel>>,
}

impl Forked {
    /// Forks this process to run the job, which appends what came of it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAlone`] if there is a second thread, [`Error::Start`] if the operating system refuses.
    pub(crate) fn start(
        profile: &Profile,
        streams: Streams,
        job: impl FnOnce(&mut Vec<Fd>, &mut Output) -> Result<(), Failure>,
    ) -> Result<Self> {
        // From now on a death may be laid to a kill.
        OomKills::of_this_process();
        let (reports, theirs) = os::pipe().map_err(|cause| Error::start("make its pipe", cause))?;
        let pair = os::control_pair().map_err(|cause| Error::start("make its sockets", cause))?;
        let (handles, their_handles) = pair;
        os::set_nonblocking(&reports).map_err(|cause| Error::start("make its pipe", cause))?;
        let parent = std::process::id();
        let settling = os::ignores_signals().then(os::pipe).transpose();
        let settling = settling.map_err(|cause| Error::start("make its pipe", cause))?;
        // What waits there would be written by both.
        let _nowhere_to_write = (io::stdout().flush(), io::stderr().flush());
        if let Some(child) = os::fork()? {
            let (codec, buffer) = (codec(profile.configure.max_frame), BytesMut::new());
            let reports = Some(reports);
            if let Some((settled, settles)) = settling {
                drop(settles);
                // Until it has reset them, it ignores signals as we do, and what it was sent before would be lost.
                let _or_gone = os::wait_for_any(&[settled.as_fd()], None);
            }
            return Ok(Self { child, reports, handles, codec, buffer, heard: Heard::Nothing });
        }
        drop((reports, handles));
        let answers = Answers::new(theirs, their_handles);
        let Streams { stdin, stdout, stderr } = streams;
        let shape = Shape { stdout, stderr, env: &profile.env, current_dir: profile.current_dir.as_deref() };
        let settles = settling.map(|(_, settles)| settles);
        let forked = worker::Forked { parent, configure: &profile.configure, shape, stdin, answers, settles };
        forked.live(job)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The right to kill it.
    pub(crate) fn killer(&self) -> Killer {
        self.child.killer()
    }

    /// Nobody wants to hear what comes of it: it must not wait for room in its pipe.
    pub(crate) fn neglect(&mut self) {
        self.reports = None;
    }

    /// Waits until it has ended, and reaps it; nothing if it has not by then.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Option<Ended> {
        loop {
            let open = self.listen();
            let mut watched = vec![self.child.as_fd()];
            watched.extend(self.reports.as_ref().filter(|_| open).map(|reports| reports.as_fd()));
            let limit = until.map(|until| until.saturating_duration_since(Instant::now()));
            let ready = os::wait_for_any(&watched, limit).unwrap_or_default();
            match ready.first() {
                Some(true) => return Some(self.reap()),
                _ if until.is_some_and(|until| Instant::now() >= until) => return None,
                _ => {}
            }
        }
    }

    fn reap(&mut self) -> Ended {
        let exit = self.child.reap();
        let _nothing_more = self.listen();
        let oom_likely = exit == Exit::Signal(SIGKILL) && OomKills::of_this_process().take_one();
        let (result, fault) = match std::mem::replace(&mut self.heard, Heard::Nothing) {
            Heard::Nothing => (None, None),
            Heard::Result(record) => (Some(Ok(record)), None),
            Heard::Failed(error) => (Some(Err(error)), None),
            Heard::Broken(why) => (None, Some(why)),
        };
        Ended { end: End { fault, oom_likely, ..End::new(exit) }, result }
    }

    /// Takes in what has come; false if nothing more can.
    fn listen(&mut self) -> bool {
        let Some(reports) = self.reports.take() else { return false };
        loop {
            match os::read_into(&reports, &mut self.buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.reports = Some(reports);
                    return true;
                }
                Ok(0) | Err(_) => break,
            }
            if let Err(why) = self.take() {
                self.heard = Heard::Broken(why);
                self.child.killer().kill();
                break;
            }
        }
        false
    }

    /// Takes what is whole out of the buffer.
    fn take(&mut self) -> Result<(), String> {
        let frame = self.codec.decode(&mut self.buffer).map_err(|error| error.to_string())?;
        let Some(frame) = frame else { return Ok(()) };
        if !matches!(self.heard, Heard::Nothing) {
            return Err("it answered twice".into());
        }
        self.heard = match split(&frame.freeze())? {
            (Report::Reply(reply), records)
                if reply.elements == 1 && Records::new(&records).are_exactly(1) =>
            {
                Heard::Result(receive(&self.handles, &Blocks::none(), &reply, records)?)
            }
            #[cfg(feature = "sandbox")]
            (Report::SandboxFailed { part, cause }, _) => Heard::Failed(Error::Sandbox { part, cause }),
            (report, _) => return Err(format!("it sent {report:?} out of turn")),
        };
        Ok(())
    }
}
