"""How the cost of some work grows with its input: a judgement that holds on any machine.

Seconds tell how fast a machine is and how busy. What grows is told by the same work done twice, on
one input and on one four times as long, in turns and on the same machine.
"""

import gc
import math
import time
from collections.abc import Callable
from typing import Any

TIMES = 4
AT_MOST = 8
"""Linear work costs four times as much on four times the input, quadratic work sixteen times."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 8


def assert_linear(
    work: Callable[[Any], object], make_input: Callable[[int], object], size: int
) -> None:
    """Fails unless `work` costs at most eight times as much on an input of 4 * `size` as of `size`.

    The least of several runs is compared: other processes can only make a run dearer. Choose a
    size of which the work takes milliseconds, so that its input, not its beginning, is what costs.
    """
    inputs = make_input(size), make_input(TIMES * size)
    least = [math.inf, math.inf]
    for done in range(1, MOST_ROUNDS + 1):
        least = [min(cost, _cost(work, given)) for cost, given in zip(least, inputs, strict=True)]
        if done >= FEWEST_ROUNDS and least[1] <= AT_MOST * least[0]:
            return
    raise AssertionError(f"{TIMES} times the input costs {least[1] / least[0]:.1f} times as much")


def _cost(work: Callable[[Any], object], given: object) -> float:
    """The processor time of this thread for one run."""
    gc.disable()  # its passes grow with all that the process holds
    try:
        began = time.thread_time()
        work(given)
        return time.thread_time() - began
    finally:
        gc.enable()
