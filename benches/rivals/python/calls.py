"""A tiny call on one warm worker, one after the other."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool

from samples import of, p50_us

CALLS = 5_000


def tiny(x):
    return x + 1


def right(result, x):
    if result != x + 1:
        raise ValueError(f"{result} is wrong")


def roundtrip_pool(part):
    with Pool(1) as pool:
        return p50_us(of(CALLS, part), lambda x: right(pool.apply(tiny, (x,)), x))


def roundtrip_executor(part):
    with ProcessPoolExecutor(1) as executor:
        return p50_us(of(CALLS, part), lambda x: right(executor.submit(tiny, x).result(), x))
