"""64 MiB to a worker and back, and the same in memory that both share."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
from multiprocessing.shared_memory import SharedMemory

from samples import median_s, of, p50_us, timed

MIB = 64
ROUNDS = 5
CALLS = 1_000


def same(data):
    return data


def rate(part, echo):
    """MiB a second, both ways counted."""
    data = b"\x5a" * (MIB << 20)

    def sample():
        time, back = timed(lambda: echo(data))
        if back != data:
            raise ValueError("other bytes came back")
        return time

    return 2 * MIB / median_s(of(ROUNDS, part), sample)


def echo_64m_pool(part):
    with Pool(1) as pool:
        return rate(part, lambda data: pool.apply(same, (data,)))


def echo_64m_executor(part):
    with ProcessPoolExecutor(1) as executor:
        return rate(part, lambda data: executor.submit(same, data).result())


def change(name):
    """Adds one to the last byte of shared memory."""
    memory = SharedMemory(name=name)
    try:
        memory.buf[-1] = (memory.buf[-1] + 1) & 0xFF
        return memory.buf[-1]
    finally:
        memory.close()


def in_place_64m_shared_memory(part):
    """GiB a second, counted as if all bytes went both ways."""
    memory = SharedMemory(create=True, size=MIB << 20)
    try:
        with Pool(1) as pool:

            def call(_):
                if pool.apply(change, (memory.name,)) != memory.buf[-1]:
                    raise ValueError("the memory is not shared")

            return 2 * MIB / 1024 / (p50_us(of(CALLS, part), call) / 1e6)
    finally:
        memory.close()
        memory.unlink()
