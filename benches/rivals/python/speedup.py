"""Work that takes nothing but CPU, on two workers, against one thread of Python."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
from time import perf_counter_ns

from samples import of, timed

TASKS = 400
TASK_NS = 2_500_000


def burn(steps):
    state = 1
    for step in range(steps):
        state = ((state ^ step) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    return state


def fitting():
    """How many steps fit into the time of a task."""
    portion, steps, began = 100, 0, perf_counter_ns()
    while perf_counter_ns() - began < TASK_NS:
        burn(portion)
        steps += portion
    return steps


def speedup(part, parallel):
    """Alone before and behind, so that a machine that becomes slower meanwhile favors nobody."""
    tasks, steps = of(TASKS, part), max(fitting() for _ in range(5))
    parallel([steps] * 2)

    def half_alone():
        return timed(lambda: [burn(steps) for _ in range(tasks // 2)])[0]

    before = half_alone()
    together, _ = timed(lambda: parallel([steps] * tasks))
    return (before + half_alone()) / together


def cpu_speedup_2_pool(part):
    with Pool(2) as pool:
        return speedup(part, lambda tasks: pool.map(burn, tasks))


def cpu_speedup_2_executor(part):
    with ProcessPoolExecutor(2) as executor:
        return speedup(part, lambda tasks: list(executor.map(burn, tasks)))
