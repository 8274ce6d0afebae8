//! The worker's loop: read an order, obey it, report.

use std::hint::spin_loop;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder as _;

use super::answers::{Answers, write};
use super::blocks::{Blocks, Shared};
use super::context::{Context, MemoryLimit, Worker};
use super::enter::give_up;
use super::execute::{self, Answer, execute};
use super::identity::become_known_as;
use super::preload;
use crate::os::{self, Board, Desk, Found, Image, Maker, Resident};
use crate::task::{self, State, Task, leave_if_forked};
use crate::wire::{
    Codec, Configure, Duty, Initializer, LARGEST_MAX, Order, PROTOCOL, Records, Report, Run, TaskRef, codec,
    split,
};

/// A pool that stands still while it hands an order over is waited for at such intervals.
const RETRY_NS: i64 = 1_000_000;
/// So many looks, a fraction of a microsecond, until others may run.
const LOOKS: u32 = 16;

/// What connects this process with the one that it works for.
pub(super) struct Pipes {
    pub(super) control: OwnedFd,
    pub(super) maker: Maker,
    pub(super) orders: OwnedFd,
    pub(super) reports: OwnedFd,
}

/// The pipe that orders come by.
pub(super) struct Orders {
    pipe: OwnedFd,
    codec: Codec,
    buffer: BytesMut,
    polling: Polling,
}

/// Polls before it blocks, but only while orders come in quick succession.
struct Polling {
    limit: Duration,
    quick: bool,
}

/// What the loop works with.
struct Server {
    orders: Orders,
    answers: Answers,
    /// What its end hangs on, until there is a thread that holds it.
    lifeline: Option<(OwnedFd, Arc<Maker>)>,
    tasks: Vec<Result<Task, String>>,
    /// The task of the last call.
    latest: Option<u32>,
    max: usize,
    blocks: Arc<Blocks>,
}

/// Serves until the pool has no more orders, then exits.
///
/// A process that may outlive its parent has no lifeline.
pub(super) fn serve(pipes: Pipes, handles: OwnedFd, shared: Shared, outlives: bool) -> ! {
    let Pipes { control, maker, orders, reports } = pipes;
    let maker = Arc::new(maker);
    let (board, blocks) = shared.attach();
    let answers = Answers::new(reports, handles);
    let lifeline = (!outlives).then(|| (control, Arc::clone(&maker)));
    let (orders, tasks) = (Orders::new(orders), Vec::new());
    let mut server =
        Server { orders, answers, lifeline, tasks, latest: None, max: 0, blocks: Arc::new(blocks) };
    let (configure, arguments) = configuration(&mut server.orders, &server.answers.reports, &maker);
    become_known_as(configure.identity.clone(), Some(maker));
    server.configured(&configure, board, arguments)
}

/// Says hello, and waits to be told how to be.
pub(super) fn configuration(
    orders: &mut Orders,
    reports: &OwnedFd,
    maker: &Maker,
) -> (Box<Configure>, Bytes) {
    let hello = Report::Hello { protocol: PROTOCOL, image: Image::of_this_process().identity() };
    // If the parent is gone, whatever it has ordered before is there all the same.
    let _nobody_listens = write(reports, &hello, Vec::new());
    // There is no lifeline yet, and another child of the parent may hold the pipe.
    let awaited: Vec<_> =
        [Some(&orders.pipe), maker.pidfd()].into_iter().flatten().map(OwnedFd::as_fd).collect();
    let _either = os::wait_for_any(&awaited, None);
    if !os::wait_readable(&orders.pipe, Some(0)).unwrap_or(false) {
        os::leave_at_once(os::LIFELINE_LOST)
    }
    match orders.next(None) {
        Ok(Some((Order::Configure(configure), arguments))) => (configure, arguments),
        Ok(Some(_)) => give_up("start", &"the first order was another than expected"),
        // The pool was dropped meanwhile.
        Ok(None) | Err(_) => os::leave_at_once(os::LIFELINE_LOST),
    }
}

impl Server {
    /// Serves on this thread, or on one with the stack that was asked for.
    fn configured(mut self, configure: &Configure, board: Arc<Board>, arguments: Bytes) -> ! {
        self.max = configure.max_frame;
        self.orders.polling.limit = Duration::from_nanos(configure.busy_poll_ns);
        if configure.busy_poll_ns > 0 {
            let set = os::set_nonblocking(&self.orders.pipe);
            set.unwrap_or_else(|error| give_up("poll its pipe", &error));
        }
        if let Err(error) = os::nice(configure.nice) {
            give_up("change its niceness", &error);
        }
        let Some(stack_size) = configure.stack_size else { self.run(configure, board, &arguments) };
        let configure = configure.clone();
        let serving = thread::Builder::new().name("worker".into()).stack_size(stack_size);
        match serving.spawn(move || self.run(&configure, board, &arguments)) {
            Ok(thread) => match thread.join() {
                Ok(never) => never,
                Err(_) => give_up("serve", &"its thread has ended"),
            },
            Err(error) => give_up("start a thread with the stack asked for", &error),
        }
    }

    /// From now on this process ends with its parent.
    fn tie(&mut self) {
        if let Some((control, maker)) = self.lifeline.take()
            && let Err(error) = os::start_lifeline(Some(control), maker)
        {
            give_up("start the lifeline thread", &error);
        }
    }

    fn run(mut self, configure: &Configure, board: Arc<Board>, arguments: &[u8]) -> ! {
        // If nothing of the program's own runs before it is ready, the pool hears that first.
        if !configure.is_plain() {
            self.tie();
        }
        task::capture_panics();
        let worker = Worker {
            index: configure.index,
            id: std::process::id(),
            pool: configure.name.clone(),
            depth: configure.depth,
        };
        if let Some(preload) = &configure.preload
            && let Err(cause) = preload::load(preload)
        {
            self.failed(&Report::PreloadFailed(cause))
        }
        let state = configure.initializer.as_ref().map(|initializer| self.initialize(initializer, arguments));
        let limit = configure.max_memory.map(|bytes| {
            let resident = Resident::new();
            let resident = resident.unwrap_or_else(|error| give_up("measure its memory", &error));
            MemoryLimit { resident, bytes, blocks: Arc::clone(&self.blocks) }
        });
        #[cfg(feature = "sandbox")]
        self.confine(configure);
        let context = Context::new(worker, configure.duty, board, state, preload::loaded(), limit);
        context.enter_thread();
        context.enter_process();
        if configure.duty == Duty::Process {
            self.run_once(&context)
        }
        let reported = self.answers.report(&Report::Ready, Vec::new());
        self.tie();
        match reported.and_then(|()| self.obey(&context)) {
            Ok(()) => std::process::exit(0),
            // The parent is gone; nobody is left to be told, or to end what tasks have started.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                os::leave_with_group(os::LIFELINE_LOST)
            }
            // A task has spoiled the pipe.
            Err(_) => std::process::exit(os::LIFELINE_LOST),
        }
    }

    fn initialize(&mut self, initializer: &Initializer, arguments: &[u8]) -> State {
        let found = task::resolve_initializer(initializer);
        let called = found.and_then(|function| function.call(arguments));
        leave_if_forked();
        called.unwrap_or_else(|cause| self.failed(&Report::InitializerFailed(cause)))
    }

    /// Ends a worker that is not as it should be.
    fn failed(&mut self, report: &Report) -> ! {
        let _parent_gone = self.answers.report(report, Vec::new());
        std::process::exit(1)
    }

    /// The last step before the first task: what the initializer does needs no permission.
    #[cfg(feature = "sandbox")]
    fn confine(&mut self, configure: &Configure) {
        if let Some(sandbox) = &configure.sandbox
            && let Err(breach) = super::confine::confine(sandbox)
        {
            self.failed(&Report::SandboxFailed { part: breach.part.to_string(), cause: breach.cause })
        }
    }

    /// A `Process`: one call and the end, whether or not anybody still wants to hear of it.
    fn run_once(mut self, context: &Context) -> ! {
        task::print_panics();
        let _nobody_listens = self.answers.report(&Report::Ready, Vec::new());
        self.tie();
        let (run, payload) = match self.orders.next(None) {
            Ok(Some((Order::Run(run), payload))) => (run, payload),
            Ok(Some(_)) => give_up("start", &"the second order was another than expected"),
            // The parent has ended in the middle of a call that was too long for the pipe.
            Ok(None) | Err(_) => os::leave_at_once(os::LIFELINE_LOST),
        };
        let mut failed = false;
        let ran = self.run_task(context, &run, &payload, |records| {
            failed |= Records::new(records).any(|record| record.failed);
        });
        let _nobody_listens = ran.and_then(|()| self.answers.flush(&context.board));
        // What the program has registered for its end runs, and what it has printed is written.
        std::process::exit(i32::from(failed))
    }

    fn obey(&mut self, context: &Context) -> io::Result<()> {
        while let Some((order, payload)) = self.next_order(&context.board)? {
            match order {
                Order::Run(run) => {
                    let is_alike = run.head.elements == 1 && self.latest == Some(run.task.index());
                    self.answers.before(&context.board, is_alike)?;
                    self.run_task(context, &run, &payload, |_| ())?;
                    self.latest = Some(run.task.index());
                }
                Order::Stop => return self.answers.flush(&context.board),
                Order::Configure(_) => give_up("go on", &"it was configured twice"),
            }
        }
        // A pool that lives says so before it closes the pipe.
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Answers everything before it waits.
    fn next_order(&mut self, board: &Board) -> io::Result<Option<(Order, Bytes)>> {
        if let Some(order) = self.orders.waiting()? {
            return Ok(Some(order));
        }
        self.answers.flush(board)?;
        self.orders.next(Some(board))
    }

    /// Runs a call, and shows the records of its results before they are sent.
    fn run_task(
        &mut self,
        context: &Context,
        run: &Run,
        payload: &[u8],
        mut show: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let (task, luggage) = (self.task(&run.task), self.answers.luggage(&run.handles)?);
        let (freight, store) = (self.blocks.named(&run.stowed)?, self.blocks.results.clone());
        let (head, watched, max) = (run.head, run.watched, self.max);
        let order = execute::Order { head, task, payload, luggage, freight, watched, max, store };
        execute(context, order, &mut |mut answer| {
            self.answers.send_ahead(&mut answer);
            let Answer { reply, records, .. } = answer;
            show(&records);
            let is_whole = reply.elements == run.head.elements;
            self.answers.reply(&context.board, reply, records, is_whole)
        })
    }

    /// The task of a reference; one that comes in full is noted even if its call was taken back.
    fn task(&mut self, reference: &TaskRef) -> Result<Task, String> {
        match *reference {
            TaskRef::New { index, offset, fingerprint } => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                if index != self.tasks.len() {
                    return Err("the task has a number out of turn".into());
                }
                self.tasks.push(task::resolve(offset, fingerprint));
                self.tasks[index].clone()
            }
            TaskRef::Known(index) => {
                let known = usize::try_from(index).ok().and_then(|index| self.tasks.get(index));
                known.cloned().unwrap_or_else(|| Err("the task has a number that is not known".into()))
            }
        }
    }
}

impl Orders {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        let polling = Polling { limit: Duration::ZERO, quick: false };
        Self { pipe, codec: codec(LARGEST_MAX), buffer: BytesMut::new(), polling }
    }

    /// The next order and its payload; nothing once the pool has closed the pipe.
    fn next(&mut self, board: Option<&Board>) -> io::Result<Option<(Order, Bytes)>> {
        loop {
            let order = self.waiting()?;
            if order.is_some() || self.fill(board)? == 0 {
                return Ok(order);
            }
        }
    }

    /// The next order if it is here already.
    fn waiting(&mut self) -> io::Result<Option<(Order, Bytes)>> {
        let Some(frame) = self.codec.decode(&mut self.buffer)? else { return Ok(None) };
        let order = split(&frame.freeze());
        order.map(Some).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    }

    fn fill(&mut self, board: Option<&Board>) -> io::Result<usize> {
        let Some(board) = board.filter(|_| !self.polling.limit.is_zero()) else { return self.read() };
        let began = Instant::now();
        let polled = if self.polling.quick { self.poll(board.orders(), began)? } else { None };
        let read = match polled {
            Some(read) => read,
            None => self.read_waiting()?,
        };
        self.polling.quick = began.elapsed() < self.polling.limit;
        Ok(read)
    }

    fn read(&mut self) -> io::Result<usize> {
        os::read_into(&self.pipe, &mut self.buffer)
    }

    fn read_waiting(&mut self) -> io::Result<usize> {
        loop {
            // It would most likely be in vain to read at once.
            os::wait_readable(&self.pipe, None)?;
            match self.read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Polls desk and pipe; nothing if it has been in vain for long enough.
    fn poll(&mut self, desk: &Desk, began: Instant) -> io::Result<Option<usize>> {
        loop {
            let found = if desk.sit_down() { Found::Rung } else { await_order(desk) };
            if let Some(read) = self.found(found)? {
                self.leave(desk)?;
                return Ok(Some(read));
            }
            if began.elapsed() >= self.polling.limit {
                return self.leave(desk);
            }
        }
    }

    /// Looks a last time, for as long as somebody is putting something down.
    fn leave(&mut self, desk: &Desk) -> io::Result<Option<usize>> {
        loop {
            match desk.leave() {
                Found::Unfinished => os::wait_readable(&self.pipe, Some(RETRY_NS)).map(drop)?,
                found => return self.found(found),
            }
        }
    }

    /// Takes in what was found.
    fn found(&mut self, found: Found) -> io::Result<Option<usize>> {
        match found {
            Found::Nothing | Found::Unfinished => Ok(None),
            Found::Frame(frame) => {
                self.buffer.extend_from_slice(&frame);
                Ok(Some(frame.len()))
            }
            Found::Rung => match self.read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                read => read.map(Some),
            },
        }
    }
}

fn await_order(desk: &Desk) -> Found {
    for _ in 0..LOOKS {
        match desk.look() {
            Found::Nothing => spin_loop(),
            found => return found,
        }
    }
    // The caller may be on this very core.
    thread::yield_now();
    Found::Nothing
}
