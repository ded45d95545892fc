"""Base of the transformer: training without labels."""

from dataclasses import dataclass
from typing import Any

from keras_sda.sklearn.parameters import check_parameters
from keras_sda.sklearn.stacked import StackedEstimator

UNSUPERVISED = """\
epochs: Epochs of training all levels together on reconstruction, after pretraining; 0 by
            default, as pretraining alone trains a single level completely.
        learning_rate: Learning rate of that training, for an optimizer given by name; Adam's
            default.
        {memory}"""


@dataclass(kw_only=True, eq=False, repr=False)
class UnsupervisedEstimator(StackedEstimator):
    """Pretrains level by level and, if asked to, trains all levels together."""

    epochs: int = 0
    learning_rate: float = 1e-3
    memory: Any = None

    def _fit(self, X):
        """Trains on all rows and returns them scaled."""
        self._check_parameters()
        X = self._validated(X)
        self.model_, rows = self._start(X)
        self.history_: dict[str, list[float]] = {}
        self._train_together(rows)
        return rows

    def _check_parameters(self):
        check_parameters(self)

    def _train_together(self, rows):
        if self.epochs:
            if not self.model_.compiled:
                self.model_.compile(self._fresh_optimizer(self.learning_rate))
            self._train(rows, epochs=self.epochs)
