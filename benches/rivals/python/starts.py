"""From nothing to results from new workers, and what memory these have."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context

from samples import median_s, of, timed

MANY = 16


def tiny(x):
    return x + 1


together = None


def meet_at(barrier):
    global together
    together = barrier


def arrive(_):
    """Returns when each worker has such a call."""
    together.wait()


def first_result(method):
    pool = get_context(method).Pool(1)
    pool.apply(tiny, (1,))
    return pool


def first_results(method):
    context = get_context(method)
    pool = context.Pool(MANY, meet_at, (context.Barrier(MANY),))
    pool.map(arrive, range(MANY), chunksize=1)
    return pool


def ended(pool):
    pool.terminate()
    pool.join()


def first_result_of_executor():
    executor = ProcessPoolExecutor(1)
    executor.submit(tiny, 1).result()
    return executor


def first_results_of_executor():
    barrier = get_context().Barrier(MANY)
    executor = ProcessPoolExecutor(MANY, initializer=meet_at, initargs=(barrier,))
    list(executor.map(arrive, range(MANY)))
    return executor


def start_ms(rounds, start, end):
    """The end is not counted."""

    def sample():
        time, started = timed(start)
        end(started)
        return time

    return median_s(rounds, sample) * 1e3


def start_1_fork(part):
    return start_ms(of(20, part), lambda: first_result("fork"), ended)


def start_1_forkserver(part):
    return start_ms(of(20, part), lambda: first_result("forkserver"), ended)


def start_1_spawn(part):
    return start_ms(of(10, part), lambda: first_result("spawn"), ended)


def start_1_executor(part):
    return start_ms(of(20, part), first_result_of_executor, ProcessPoolExecutor.shutdown)


def start_16_fork(part):
    return start_ms(of(3, part), lambda: first_results("fork"), ended)


def start_16_forkserver(part):
    return start_ms(of(3, part), lambda: first_results("forkserver"), ended)


def start_16_spawn(part):
    return start_ms(of(2, part), lambda: first_results("spawn"), ended)


def start_16_executor(part):
    return start_ms(of(3, part), first_results_of_executor, ProcessPoolExecutor.shutdown)


def private_kib():
    """The pages of a worker that no other process has, the mean of both."""
    workers = active_children()
    if len(workers) != 2:
        raise ValueError(f"there are {len(workers)} workers")
    return sum(private_kib_of(worker.pid) for worker in workers) / len(workers)


def private_kib_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


def idle_kib(method):
    with get_context(method).Pool(2) as pool:
        pool.map(tiny, range(500), chunksize=1)
        return private_kib()


def idle_worker_private_kib_fork(_part):
    return idle_kib("fork")


def idle_worker_private_kib_forkserver(_part):
    return idle_kib("forkserver")


def idle_worker_private_kib_spawn(_part):
    return idle_kib("spawn")


def idle_worker_private_kib_executor(_part):
    with ProcessPoolExecutor(2) as executor:
        list(executor.map(tiny, range(500)))
        return private_kib()
