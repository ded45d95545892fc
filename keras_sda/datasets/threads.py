"""How many threads small computations take."""

from typing import Any

import numpy as np

_SMALL = 3_000_000  # numbers in an array


def few_threads(x: np.ndarray) -> Any:
    """Returns a context in which BLAS and OpenMP have one thread if rows are few.

    Their threads wait by spinning: on a machine with other work, logistic regression on a thousand
    rows takes a hundred times as long with two of them as with one.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if x.size < _SMALL else None)
