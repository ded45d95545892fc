"""What a model keeps while it trains and tests, besides what Keras keeps."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from keras_sda.training.plan import EvaluationPlan, FitPlan, Progress


class KeptForLoss:
    """Tensors of the latest `call`, by name, for `compute_loss`, which comes next in the same step.

    Keras hands `compute_loss` what `call` returns, and that alone. But a loss may need more: the
    logits or the preactivation behind probabilities that are rounded to 0 and 1, or the codes
    behind a reconstruction. So `call` keeps them by `self.keep_for_loss(codes=codes)`, and
    `compute_loss` finds them as `self.kept.codes`. They belong to one step, or to one tracing of
    it, and are good for nothing afterwards. They lie in an object of their own, as Keras tracks
    whatever is an attribute of a model.
    """

    def __getattr__(self, name: str) -> Any:  # reached only if nothing is kept by this name
        raise AttributeError(f"The latest call has kept no `{name}` for the loss.")


@dataclass
class Work:
    """What `fit` and `evaluate` are working on, and the functions that they have made.

    An object of its own: in attributes of the model, Keras would track arrays and functions as
    parts of it, and save them.
    """

    functions: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    plan: FitPlan | None = None
    evaluation: EvaluationPlan | None = None
    held_out: dict[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    example: Any = None
    may_replay: bool = False
    # Whether rows come in batches that nothing has checked before.
    by_batches: bool = False

    @contextlib.contextmanager
    def showing(self, example: Any) -> Iterator[None]:
        """Has the model built by an example of the rows, inside the `with` block."""
        before, self.example = self.example, example
        try:
            yield
        finally:
            self.example = before

    @contextlib.contextmanager
    def reading(self, by_batches: bool) -> Iterator[None]:
        """Says, inside the `with` block, whether rows come in batches that nothing has checked."""
        before, self.by_batches = self.by_batches, by_batches
        try:
            yield
        finally:
            self.by_batches = before
