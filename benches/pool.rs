//! The pool's calls under criterion, for changes that are to be compared with each other. For what the pool costs at
//! all there is the summary.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use multiprocess::{ProcessPool, Result};
use tokio::runtime::Runtime;

const ELEMENTS: u64 = 10_000;
const BURST: u64 = 1_000;

/// A pool on a multi-thread runtime, warm.
struct Warm {
    runtime: Runtime,
    pool: ProcessPool,
}

impl Warm {
    fn new(workers: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime can be made");
        let pool = runtime.block_on(async { ProcessPool::new(workers) }).expect("it has workers");
        runtime.block_on(pool.ready()).expect("the workers start");
        Self { runtime, pool }
    }

    fn run<T>(&self, work: impl AsyncFn(&ProcessPool) -> Result<T>) -> T {
        self.runtime.block_on(work(&self.pool)).expect("no task fails")
    }
}

fn square(x: u64) -> u64 {
    x * x
}

fn roundtrip(criterion: &mut Criterion) {
    let warm = Warm::new(1);
    criterion.bench_function("roundtrip", |bencher| {
        bencher.iter(|| warm.run(async |pool| pool.apply(square, (7,)).await));
    });
}

fn map(criterion: &mut Criterion) {
    let warm = Warm::new(2);
    let mut group = criterion.benchmark_group("map");
    group.throughput(Throughput::Elements(ELEMENTS));
    group.bench_function("default chunks", |bencher| {
        bencher.iter(|| warm.run(async |pool| pool.map(square, 0..ELEMENTS).await));
    });
    group.bench_function("chunks of 16", |bencher| {
        bencher.iter(|| warm.run(async |pool| pool.map(square, 0..ELEMENTS).chunksize(16).await));
    });
}

fn imap(criterion: &mut Criterion) {
    let warm = Warm::new(2);
    let mut group = criterion.benchmark_group("imap");
    group.throughput(Throughput::Elements(ELEMENTS));
    group.bench_function("in order", |bencher| {
        bencher.iter(|| warm.run(async |pool| pool.imap(square, 0..ELEMENTS).try_collect::<Vec<_>>().await));
    });
    group.bench_function("unordered", |bencher| {
        bencher.iter(|| {
            warm.run(async |pool| pool.imap_unordered(square, 0..ELEMENTS).try_collect::<Vec<_>>().await)
        });
    });
}

fn echo(criterion: &mut Criterion) {
    let warm = Warm::new(1);
    let mut group = criterion.benchmark_group("echo");
    for size in [1_usize << 10, 1 << 16, 1 << 20, 1 << 24] {
        let bytes = vec![0x5a_u8; size];
        group.throughput(Throughput::Bytes(2 * u64::try_from(size).expect("a size fits")));
        group.bench_with_input(BenchmarkId::from_parameter(size), &bytes, |bencher, bytes| {
            bencher
                .iter(|| warm.run(async |pool| pool.apply(|bytes: Vec<u8>| bytes, (bytes.clone(),)).await));
        });
    }
}

fn burst(criterion: &mut Criterion) {
    let warm = Warm::new(2);
    let mut group = criterion.benchmark_group("apply_async");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("burst", |bencher| {
        bencher.iter(|| {
            warm.run(async |pool| try_join_all((0..BURST).map(|x| pool.apply_async(square, (x,)))).await)
        });
    });
}

criterion_group! {
    name = calls;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = roundtrip, map, imap, echo, burst
}
criterion_main!(calls);
