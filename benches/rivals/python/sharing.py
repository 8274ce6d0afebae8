"""Queues, a lock that nobody else wants, and a number to which two processes add under its lock."""

from multiprocessing import Barrier, Lock, Process, Queue, SimpleQueue, Value

from samples import median_s, of, timed

ITEMS = 100_000
PAIRS = 1_000_000
ADDITIONS = 100_000
ROUNDS = 3


def produce(queue, start):
    start.wait()
    for item in range(ITEMS):
        queue.put(item)


def consumed(queue):
    for _ in range(ITEMS):
        queue.get()


def rate(part, new_queue):
    """Thousand items a second."""

    def sample():
        queue, start = new_queue(), Barrier(2)
        other = Process(target=produce, args=(queue, start))
        other.start()
        start.wait()
        time, _ = timed(lambda: consumed(queue))
        other.join()
        return time

    return ITEMS / 1e3 / median_s(of(ROUNDS, part), sample)


def queue_1p1c_queue(part):
    return rate(part, Queue)


def queue_1p1c_simple(part):
    return rate(part, SimpleQueue)


def acquire_and_release(lock):
    for _ in range(PAIRS):
        lock.acquire()
        lock.release()


def enter_and_exit(lock):
    for _ in range(PAIRS):
        with lock:
            pass


def pair_ns(part, pairs):
    lock = Lock()
    return median_s(of(10, part), lambda: timed(lambda: pairs(lock))[0]) * 1e9 / PAIRS


def lock_uncontended_acquire(part):
    return pair_ns(part, acquire_and_release)


def lock_uncontended_with(part):
    return pair_ns(part, enter_and_exit)


def add(value, start):
    start.wait()
    for _ in range(ADDITIONS):
        with value.get_lock():
            value.value += 1


def value_inc_2p_value(part):
    """Million additions a second."""

    def sample():
        value, start = Value("Q", 0), Barrier(3)
        adders = [Process(target=add, args=(value, start)) for _ in range(2)]
        for adder in adders:
            adder.start()
        start.wait()
        time, _ = timed(lambda: [adder.join() for adder in adders])
        if value.value != 2 * ADDITIONS:
            raise ValueError("an addition was lost")
        return time

    return 2 * ADDITIONS / 1e6 / median_s(of(ROUNDS, part), sample)
