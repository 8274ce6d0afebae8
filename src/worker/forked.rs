//! A child that this program has forked to run one thing: it has everything that it needs in its memory.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::answers::Answers;
use super::context::{Context, Worker};
use super::enter::give_up;
use super::execute::Answer;
use super::identity::become_known_as;
use super::preload;
use super::shape::Shape;
use crate::os::{self, Board, Maker};
use crate::task;
use crate::task::leave_if_forked;
use crate::wire::{
    Configure, Duty, Failure, Fd, Output, Parts, Records, Reply, Report, failed_record, put_record,
};

/// What the child is to be.
#[derive(Debug)]
pub(crate) struct Forked<'a> {
    /// The process that has forked it.
    pub(crate) parent: u32,
    pub(crate) configure: &'a Configure,
    pub(crate) shape: Shape<'a>,
    pub(crate) stdin: Option<OwnedFd>,
    /// Closed once it takes signals as they come.
    pub(crate) settles: Option<OwnedFd>,
    pub(crate) answers: Answers,
}

impl Forked<'_> {
    /// Runs the job, which appends what came of it, and ends this process.
    ///
    /// What the program has registered for its end is the parent's affair, and does not run.
    pub(crate) fn live(mut self, job: impl FnOnce(&mut Vec<Fd>, &mut Output) -> Result<(), Failure>) -> ! {
        self.settle();
        let (mut out, mut handles) = (Output::new(None, self.configure.max_frame), Vec::new());
        let mut came = put_record(&mut out, |out| job(&mut handles, out));
        leave_if_forked();
        if came.is_ok() && out.len() > self.configure.max_frame {
            came = Err(Failure::TooLarge { size: out.len() });
            out.undo(0);
        }
        if let Err(failure) = &came {
            failed_record(out.bytes_mut(), failure);
            handles.clear();
        }
        let failed = self.answer(out.into_bytes(), handles);
        let _nowhere_to_write = (std::io::stdout().flush(), std::io::stderr().flush());
        os::leave_at_once(i32::from(failed))
    }

    /// Tells what came of it; true if that is a failure.
    fn answer(&self, records: Vec<u8>, handles: Vec<Fd>) -> bool {
        let reply = Reply {
            call: 1,
            slot: 0,
            elements: 1,
            last: true,
            outgrown: false,
            elapsed_ns: 0,
            handles: u8::try_from(handles.len()).expect("a value has at most MOST_HANDLES"),
            stowed: None,
        };
        let mut answer = Answer { reply, records, handles, parts: Parts::new() };
        self.answers.send_ahead(&mut answer);
        let Answer { reply, records, .. } = answer;
        let failed = Records::new(&records).any(|record| record.failed);
        let _nobody_listens = self.answers.report(&Report::Reply(reply), records);
        failed
    }

    /// Makes this process what it is to be. Whatever cannot be is told where its stderr goes.
    fn settle(&mut self) {
        os::reset_signals();
        self.settles = None;
        std::mem::take(&mut self.shape).take();
        let stdin = self.stdin.take().map_or_else(os::close_stdin, os::become_stdin);
        stdin.unwrap_or_else(|error| give_up("take its stdin", &error));
        os::nice(self.configure.nice).unwrap_or_else(|error| give_up("change its niceness", &error));
        os::notice_forks().unwrap_or_else(|error| give_up("notice forks", &error));
        let daemon = self.configure.identity.daemon;
        let maker = match Maker::has_forked_us(self.parent) {
            Some(maker) => Arc::new(maker),
            None if daemon => os::leave_at_once(os::LIFELINE_LOST),
            None => Arc::new(Maker::ended()),
        };
        if daemon {
            let started = os::start_lifeline(None, Arc::clone(&maker));
            started.unwrap_or_else(|error| give_up("start the lifeline thread", &error));
        }
        become_known_as(self.configure.identity.clone(), Some(maker));
        task::capture_panics();
        task::print_panics();
        #[cfg(feature = "sandbox")]
        self.confine();
        self.enter();
    }

    /// What it may no longer do.
    #[cfg(feature = "sandbox")]
    fn confine(&self) {
        if let Some(sandbox) = &self.configure.sandbox
            && let Err(breach) = super::confine::confine(sandbox)
        {
            let failed = Report::SandboxFailed { part: breach.part.to_string(), cause: breach.cause };
            let _nobody_listens = self.answers.report(&failed, Vec::new());
            os::leave_at_once(1)
        }
    }

    fn enter(&self) {
        let (board, _) = Board::create().unwrap_or_else(|error| give_up("make a board", &error));
        let Configure { index, ref name, depth, .. } = *self.configure;
        let worker = Worker { index, id: std::process::id(), pool: name.clone(), depth };
        let context = Context::new(worker, Duty::Process, Arc::new(board), None, preload::loaded(), None);
        context.enter_thread();
        context.enter_process();
    }
}
