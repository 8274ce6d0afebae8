//! The work: four kinds of tasks that take about as long as each other on one core, each bound by something else.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Tasks of a whole run.
pub(crate) const TASKS: u32 = 96;

/// What a task spends its time with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Cpu,
    Io,
    Memory,
    Allocations,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Cpu, Self::Io, Self::Memory, Self::Allocations];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU-bound",
            Self::Io => "I/O-bound",
            Self::Memory => "memory-bound",
            Self::Allocations => "allocation-heavy",
        }
    }

    pub(crate) fn story(self) -> &'static str {
        match self {
            Self::Cpu => "counts primes",
            Self::Io => "waits for a TCP server",
            Self::Memory => "walks through 128 MiB at random",
            Self::Allocations => "builds and drops trees",
        }
    }

    /// The speed-up that can be had at best. Whoever waits needs no core meanwhile.
    pub(crate) fn ideal(self, workers: u32, cores: u32) -> u32 {
        if self == Self::Io { workers } else { workers.min(cores) }
    }
}

/// One task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Job {
    kind: Kind,
    number: u32,
    server: SocketAddr,
}

pub(crate) fn jobs(kind: Kind, tasks: u32, server: SocketAddr) -> impl Iterator<Item = Job> + Send + 'static {
    (0..tasks).map(move |number| Job { kind, number, server })
}

/// Loads what the tasks of a kind need. A pool does it before the first task, a forkserver once for all of its workers.
pub(crate) fn prepare(kind: Kind) {
    if kind == Kind::Memory {
        LazyLock::force(&TABLE);
    }
}

/// Does one task. What it returns depends on all that it has done, so that nothing of it can be left out.
pub(crate) fn perform(job: Job) -> u64 {
    let number = u64::from(job.number);
    match job.kind {
        Kind::Cpu => primes(number),
        Kind::Io => ask(number, job.server).expect("the server answers"),
        Kind::Memory => walk(number),
        Kind::Allocations => trees(number),
    }
}

/// One number out of the results of all tasks, in their order.
pub(crate) fn checksum(results: &[u64]) -> u64 {
    results.iter().fold(0, |sum, result| mix(sum ^ result))
}

/// Spreads a number over all bits.
pub(crate) fn mix(number: u64) -> u64 {
    let spread = (number ^ 0x9e37_79b9).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 29)
}

/// How many primes there are among the numbers of a range, by trial division.
fn primes(number: u64) -> u64 {
    const RANGE: u64 = 95_000;
    const FIRST: u64 = 10_000_001;
    let mut found = 0;
    let mut candidate = FIRST + number * RANGE;
    let end = candidate + RANGE;
    while candidate < end {
        let mut divisor = 3;
        while divisor * divisor <= candidate && !candidate.is_multiple_of(divisor) {
            divisor += 2;
        }
        found += u64::from(divisor * divisor > candidate);
        candidate += 2;
    }
    found
}

/// Asks the server a few times, and needs each answer for the next question.
fn ask(number: u64, server: SocketAddr) -> io::Result<u64> {
    const QUESTIONS: u64 = 4;
    let mut stream = TcpStream::connect(server)?;
    let mut known = number;
    for _ in 0..QUESTIONS {
        stream.write_all(&known.to_be_bytes())?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        known = u64::from_be_bytes(answer);
    }
    Ok(known)
}

/// As much as the caches of a core take in at once.
type Line = [u64; 8];

/// 128 MiB, more than the caches hold. It is filled at the first need: all threads of a process have it then. A process that was
/// started anew has its own, and those that were forked from one that had filled it share its pages.
static TABLE: LazyLock<Vec<Line>> = LazyLock::new(|| (0..1 << 21).map(|place| [mix(place); 8]).collect());

/// Goes from place to place in the table; the next one is known only when the last has been read.
fn walk(number: u64) -> u64 {
    const STEPS: u64 = 140_000;
    let table = TABLE.as_slice();
    let places = table.len() as u64;
    let mut here = mix(number);
    for step in 0..STEPS {
        // The step makes sure that the walk never comes to go in circles, which would fit into a cache.
        let place = usize::try_from((here ^ step) % places).expect("the table has as many places");
        here = table[place][0] ^ mix(here);
    }
    here
}

/// A tree with a name at each node, as a parser would build it.
struct Node {
    name: String,
    children: Vec<Node>,
}

impl Node {
    fn grow(seed: u64, depth: u32) -> Self {
        const CHILDREN: u64 = 4;
        let mut children = Vec::new();
        if depth > 0 {
            for number in 0..CHILDREN {
                children.push(Self::grow(mix(seed ^ number), depth - 1));
            }
        }
        Self { name: seed.to_string(), children }
    }

    fn letters(&self) -> u64 {
        let mut letters = self.name.len() as u64;
        for child in &self.children {
            letters += child.letters();
        }
        letters
    }
}

fn trees(number: u64) -> u64 {
    const TREES: u64 = 28;
    const DEPTH: u32 = 7;
    (0..TREES).map(|tree| Node::grow(mix(number * TREES + tree), DEPTH).letters()).sum()
}
