"""Squares of numbers on two workers."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool

from samples import median_s, of, timed

MANY = 1_000_000
SINGLE = 20_000
# What `Pool.map` takes by default: four chunks for each of two workers.
CHUNK = MANY // 8


def square(x):
    return x * x


def rate(items, rounds, mapped):
    """Items a second."""

    def sample():
        time, squares = timed(lambda: mapped(range(items)))
        if len(squares) != items or squares[-1] != square(items - 1):
            raise ValueError("the squares are wrong")
        return time

    return items / median_s(rounds, sample)


def map_u64_1m_pool(part):
    with Pool(2) as pool:
        return rate(MANY, of(5, part), lambda items: pool.map(square, items)) / 1e6


def map_u64_1m_executor(part):
    with ProcessPoolExecutor(2) as executor:
        return rate(MANY, of(5, part), lambda items: list(executor.map(square, items, chunksize=CHUNK))) / 1e6


def map_u64_chunk1_pool(part):
    with Pool(2) as pool:
        return rate(SINGLE, of(5, part), lambda items: pool.map(square, items, chunksize=1)) / 1e3


def map_u64_chunk1_executor(part):
    with ProcessPoolExecutor(2) as executor:
        return rate(SINGLE, of(3, part), lambda items: list(executor.map(square, items))) / 1e3
