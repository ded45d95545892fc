"""The ladder classifier: learns from labelled and unlabelled rows at once."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_sda import backend
from keras_sda._validation import check_positive_int
from keras_sda.datasets.labels import UNLABELLED
from keras_sda.models.ladder import LadderNetwork
from keras_sda.sklearn.base import plain_list
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.labels import classes_of, relative_weights
from keras_sda.sklearn.network_classifier import NetworkClassifier
from keras_sda.sklearn.parameters import Check, check_parameters, or_word
from keras_sda.sklearn.rows import scaled_rows

_OWNER = "LadderClassifier"
# What `epochs="auto"` stands for: steps to take, and the fewest epochs however many steps they are.
_AUTO_STEPS = 3000
_FEWEST_EPOCHS = 10


@documented()
@dataclass(kw_only=True, eq=False, repr=False)
class LadderClassifier(NetworkClassifier):
    """A classifier that learns from a few labelled rows and many without a label, all at once.

    There is no pretraining: in every step a `LadderNetwork` learns the labels of some rows, and to
    remove noise from rows of any kind, on each of its levels. A row has no label if it is missing
    (NaN, None, `pd.NA`, empty text) or -1, as in scikit-learn's `semi_supervised`; see
    `unlabelled`. To measure accuracy, pass labelled rows only.

    `sample_weight` weights the labels relative to each other. Weight 0 is the same as no label:
    noise is still removed from such a row, and there all rows count the same.

    There is no `partial_fit`, as a step needs labelled rows beside those of any kind, and the
    statistics of the levels are those of all rows.

    Args:
        hidden_units: Units of each hidden level, the lowest first.
        noise: Noise on the input in training: its name (`keras_sda.layers.noise_names()` lists them
            all), a Keras layer, or `None`. On the levels above it is Gaussian, and so it is on the
            input by default, as published.
        noise_level: Level of the noise, one value or one for the input and each level above it, the
            output included; on the input in units of the scaled features.
        denoising_weights: Weights of the levels' denoising costs in the loss, from the input up, as
            in `LadderNetwork`. `"auto"`: as published for 100 labels, that of the input changed
            with the variance of the scaled features, so that it suits any `scale`.
        activation: Activation of the hidden levels; ReLU, as published.
        scale: How to scale the features before training, as in `keras_sda.datasets.load`:
            `"unit"` ([0, 1] in each column; the default, for which the noise level was chosen, and
            which leaves a pixel that hardly ever varies as weak as it is), `"standard"` (mean 0,
            standard deviation 1), for columns with values far from all others, and with more
            noise; `"symmetric"` ([-1, 1]) or `None`. It is fitted on the training rows, those
            without a label included; new rows are scaled in the same way. Of a frame with text,
            gaps or dates, the numbers are scaled so; see `columns`.
        {columns}
        epochs: Passes over all rows. `"auto"`: as many as take 3,000 steps of `batch_size` rows, at
            least 10, since it is steps that training needs, of which an epoch of a small table has
            few. With 50 labels of the digits, 1,500 steps lost 0.7 points of accuracy, 1,000 steps
            1.3 (rows with hidden labels, means of ten draws), and twice the rate did not make up
            for it.
        batch_size: Rows of a step, at least 2; as many labelled ones come with them, the same again
            and again if they are few. With fewer rows than that, a step takes all of them.
        learning_rate: Learning rate at the start, for an optimizer given by name.
        schedule: How the learning rate of an optimizer given by name falls, so that the last steps
            settle the weights: `"cooldown"`, to 0 over the last third, as published; `"cosine"`, to
            0 along half a cosine wave; or `"constant"`, not at all.
        {optimizer}
        unlabelled: The label that marks unlabelled rows, besides missing ones. `"auto"`: -1, unless
            there is only one other class, as in {-1, 1}: then it is a class itself. A label, such
            as -1 or `"?"`, always marks them; with `None` all labels are classes.
        {last}
        class_weight: Weights of the classes in the loss on labels, as in scikit-learn:
            `"balanced"`, by the inverse of their frequencies, for data in which one class is rare;
            a dictionary of weights by class, 1 for others; or `None`, equal ones.

    Attributes:
        classes_: The classes, sorted; the order of the columns of `predict_proba`.
        model_: The `LadderNetwork`, which takes rows scaled by `scaling_`.
        scaling_: The `keras_sda.datasets.Scaling` of the features.
        {columns_found}
        history_: The loss and each level's denoising cost, by epoch.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid, or fewer than two classes have labels.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> X, y = (part[:900] for part in load_digits(return_X_y=True))
    >>> few = np.full_like(y, -1)
    >>> few[:50] = y[:50]  # 50 of 900 rows keep their label
    >>> classifier = LadderClassifier(
    ...     hidden_units=(64,), learning_rate=0.01, epochs=50, random_state=0
    ... )
    >>> classifier.fit(X, few).predict(X[:2]), classifier.predict_proba(X).shape
    (array([0, 1]), (900, 10))
    >>> bool(classifier.score(X[50:], y[50:]) > 0.8)
    True

    Reference:
        Rasmus et al., "Semi-supervised learning with ladder networks", NIPS 2015.
    """

    own_checks: ClassVar[dict[str, Check]] = {"epochs": or_word("auto", check_positive_int)}

    hidden_units: Any = (256, 256)
    noise: Any = "gaussian"
    noise_level: Any = 0.3
    denoising_weights: Any = "auto"
    activation: Any = "relu"
    scale: str | None = "unit"
    epochs: Any = "auto"
    batch_size: int = 100
    learning_rate: float = 2e-3
    schedule: str = "cooldown"
    optimizer: Any = "adam"
    unlabelled: Any = "auto"
    class_weight: Any = None
    columns: Any = "auto"
    random_state: Any = None
    verbose: Any = 0

    def fit(self, X, y, sample_weight=None):
        """Trains on all rows, and on the labels of those that have one.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Labels of shape `(rows,)`, numbers or strings; see above for rows without one.
            sample_weight: Weights of the labels, of shape `(rows,)`.

        Returns:
            The estimator.
        """
        self._check_parameters()
        X, y, weight, labelled = self._checked_to_fit(X, y, sample_weight)
        labelled &= weight > 0
        classes_of(y[labelled], f"{_OWNER}.fit(), which leaves out labels of weight 0,")
        self.scaling_ = self._choose_scaling(X)
        self._seed = self._draw_seed()
        epochs, steps = self._duration(len(y))
        self.model_ = self._build(X.shape[1])
        self.model_.compile(self._fresh_optimizer(self.learning_rate, self.schedule, steps))
        targets = np.full(len(y), UNLABELLED)
        targets[labelled] = self._targets(y[labelled])
        weights = relative_weights(weight[labelled])
        if weights is not None:
            weight = np.ones(len(y))  # not the caller's own array
            weight[labelled] = weights
        self.history_: dict[str, list[float]] = {}
        self._train(
            scaled_rows(X, self.scaling_),
            targets,
            sample_weight=None if weights is None else weight,
            epochs=epochs,
        )
        return self

    def _check_parameters(self):
        check_parameters(self)
        if self.batch_size < 2:
            raise ValueError(
                f"Argument `batch_size` of {_OWNER} must be at least 2, as rows are normalised by "
                "those of their batch. Received: batch_size=1"
            )

    def _duration(self, rows):
        """Returns how many epochs to train on so many rows, and how many steps that makes."""
        steps_per_epoch = -(-rows // self.batch_size)
        epochs = self.epochs
        if epochs == "auto":
            epochs = max(-(-_AUTO_STEPS // steps_per_epoch), _FEWEST_EPOCHS)
        return epochs, epochs * steps_per_epoch

    def _build(self, features):
        with backend.anonymous_variables():  # A grid search makes many models.
            return LadderNetwork(
                input_dim=features,
                hidden_units=plain_list(self.hidden_units),
                num_classes=len(self.classes_),
                noise=self._fresh_noise(),
                noise_level=plain_list(self.noise_level),
                denoising_weights=plain_list(self.denoising_weights),
                activation=self.activation,
                seed=self._seed,
            )
