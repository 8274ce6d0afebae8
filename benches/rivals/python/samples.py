"""Samples, judged by their median. What comes first is never counted: it warms up."""

import math
import statistics
from time import perf_counter_ns


def of(full, part):
    """This part of `full`, at least 1."""
    return math.ceil(full / part)


def timed(work):
    """How long `work` took in nanoseconds, and what came of it."""
    began = perf_counter_ns()
    outcome = work()
    return perf_counter_ns() - began, outcome


def p50_us(count, call):
    """The median time of so many calls, in microseconds."""
    for number in range(count // 10):
        call(number)
    times = []
    for number in range(count):
        began = perf_counter_ns()
        call(number)
        times.append(perf_counter_ns() - began)
    return statistics.median_high(times) / 1e3


def median_s(count, sample):
    """The median of so many samples, which are nanoseconds, in seconds."""
    sample()
    return statistics.median_high(sample() for _ in range(count)) / 1e9
