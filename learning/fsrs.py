"""FSRS-6: how a memory strengthens, fades and is lost. The equations alone, in days.

A memory is a stability `s` (days until recall falls to 0.9) and a difficulty `d` (1-10); a grade
is 1 again, 2 hard, 3 good, 4 easy; `w` are the 21 weights.
https://github.com/open-spaced-repetition/awesome-fsrs/wiki/The-Algorithm
"""

import math
from collections.abc import Iterable

Weights = tuple[float, ...]

AGAIN, HARD, EASY = 1, 2, 4

# As published, and the range of each.
DEFAULT_WEIGHTS: Weights = (
    *(0.212, 1.2931, 2.3065, 8.2956),  # stability after a first again, hard, good, easy
    *(6.4133, 0.8334, 3.0194, 0.001),  # difficulty: at first, its spread, its change, its pull
    *(1.8722, 0.1666, 0.796),  # stability after recall
    *(1.4835, 0.0614, 0.2629, 1.6483),  # stability after forgetting
    *(0.6014, 1.8729),  # hard penalty, easy bonus
    *(0.5425, 0.0912, 0.0658),  # stability after a second review on the same day
    0.1542,  # how fast the forgetting curve falls
)
WEIGHT_RANGES = (
    *((0.001, 100.0),) * 4,
    *((1.0, 10.0), (0.001, 4.0), (0.001, 4.0), (0.001, 0.75)),
    *((0.0, 4.5), (0.0, 0.8), (0.001, 3.5)),
    *((0.001, 5.0), (0.001, 0.25), (0.001, 0.9), (0.0, 4.0)),
    *((0.0, 1.0), (1.0, 6.0)),
    *((0.0, 2.0), (0.0, 2.0), (0.0, 0.8)),
    (0.1, 0.8),
)
STABILITY_RANGE = (0.001, 36_500.0)  # fsrs-rs has the same ceiling, py-fsrs has none
DIFFICULTY_RANGE = (1.0, 10.0)


def clip_weights(weights: Iterable[float]) -> Weights:
    """Fitted weights in their ranges: a fit in single precision may end a hair outside."""
    return tuple(clip(float(w), b) for b, w in zip(WEIGHT_RANGES, weights, strict=True))


def first_memory(grade: int, w: Weights) -> tuple[float, float]:
    """Stability and difficulty after the first answer."""
    return w[grade - 1], clip(_first_difficulty(grade, w), DIFFICULTY_RANGE)


def next_memory(
    s: float, d: float, *, grade: int, elapsed_days: int, w: Weights
) -> tuple[float, float]:
    """Stability and difficulty after an answer, whole days after the one before it."""
    if elapsed_days == 0:
        stability = _same_day_stability(s, grade, w)
    elif grade == AGAIN:
        stability = _forgotten_stability(s, d, recall(s, elapsed_days, w), w)
    else:
        stability = _recalled_stability(s, d, recall(s, elapsed_days, w), grade, w)
    return clip(stability, STABILITY_RANGE), _next_difficulty(d, grade, w)


def recall(s: float, elapsed_days: int, w: Weights) -> float:
    """How likely a memory is still there, 0-1."""
    return float((1 + _curve(w) * elapsed_days / s) ** -w[20])


def days_until(retention: float, s: float, w: Weights) -> float:
    """Days until recall falls to `retention`."""
    return float(s / _curve(w) * (retention ** (-1 / w[20]) - 1))


def _curve(w: Weights) -> float:
    """The factor that makes recall 0.9 after `s` days."""
    return float(0.9 ** (-1 / w[20])) - 1


def _first_difficulty(grade: int, w: Weights) -> float:
    return w[4] - math.exp(w[5] * (grade - 1)) + 1


def _next_difficulty(d: float, grade: int, w: Weights) -> float:
    moved = d - w[6] * (grade - 3) * (10 - d) / 9
    return clip(w[7] * _first_difficulty(EASY, w) + (1 - w[7]) * moved, DIFFICULTY_RANGE)


def _same_day_stability(s: float, grade: int, w: Weights) -> float:
    growth: float = math.exp(w[17] * (grade - 3 + w[18])) * s ** -w[19]
    return s * (growth if grade == AGAIN else max(growth, 1.0))


def _recalled_stability(s: float, d: float, r: float, grade: int, w: Weights) -> float:
    bonus = {HARD: w[15], EASY: w[16]}.get(grade, 1.0)
    growth: float = math.exp(w[8]) * (11 - d) * s ** -w[9] * (math.exp((1 - r) * w[10]) - 1)
    return s * (1 + growth * bonus)


def _forgotten_stability(s: float, d: float, r: float, w: Weights) -> float:
    long_term: float = w[11] * d ** -w[12] * ((s + 1) ** w[13] - 1) * math.exp((1 - r) * w[14])
    return min(long_term, s / math.exp(w[17] * w[18]))


def clip(value: float, bounds: tuple[float, float]) -> float:
    """The value, or the bound that it exceeds."""
    return min(max(value, bounds[0]), bounds[1])
