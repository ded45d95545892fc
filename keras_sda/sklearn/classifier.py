"""The classifier: pretrained on all rows, fine-tuned on those with a label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from keras_sda.datasets.labels import has_label
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.labels import checked_weights, classes_of
from keras_sda.sklearn.network_classifier import NetworkClassifier
from keras_sda.sklearn.supervised import SUPERVISED, SupervisedEstimator


@documented(supervised=SUPERVISED)
@dataclass(kw_only=True, eq=False, repr=False)
class SDAClassifier(NetworkClassifier, SupervisedEstimator):
    """A classifier whose layers are pretrained as denoising autoencoders, without labels.

    `fit` pretrains on every row and then trains the whole network on those with a label. A row has
    none if its label is missing (NaN, None, `pd.NA`, empty text) or -1, as in scikit-learn's
    `semi_supervised`; see `unlabelled`. To measure accuracy, pass labelled rows only.

    `sample_weight` weights the rows in supervised training relative to each other. Weight 0 is the
    same as no label: such a row still takes part in pretraining, which weights all rows equally.

    `partial_fit` chooses the scaling and the classes and pretrains in its first call, on the rows
    of that call, and trains for one supervised epoch in each call. A first call without any label
    only pretrains.

    Args:
        {shared}
        {supervised}
        unlabelled: The label that marks unlabelled rows, besides missing ones. `"auto"`: -1, unless
            there is only one other class, as in {-1, 1}, or, in `partial_fit`, `classes` contains
            -1: then it is a class itself. A label, such as -1 or `"?"`, always marks them; with
            `None` all labels are classes, as for {-1, 0, 1}.
        class_weight: Weights of the classes in supervised training, as in scikit-learn:
            `"balanced"`, by the inverse of their frequencies, for data in which one class is rare;
            a dictionary of weights by class, 1 for others; or `None`, equal ones.

    Attributes:
        classes_: The classes, sorted; the order of the columns of `predict_proba`.
        model_: The `StackedDenoisingAutoencoder`, or of the linear head the `LinearOnCodes`, which
            takes rows scaled by `scaling_`.
        scaling_: The `keras_sda.datasets.Scaling` of the features.
        {columns_found}
        histories_: For each pretrained level a dictionary of losses by epoch.
        history_: The same for supervised training.
        head_: What predicts: `"finetune"` or `"linear"`.
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid, or fewer than two classes have labels.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> few = np.full_like(y, -1)
    >>> few[::10] = y[::10]  # 15 of 150 rows keep their label
    >>> classifier = SDAClassifier(hidden_units=(16,), random_state=0).fit(X, few)
    >>> classifier.predict(X[:2]), classifier.predict_proba(X).shape
    (array([0, 0]), (150, 3))

    Reference:
        Vincent et al., "Stacked denoising autoencoders", JMLR 11, 2010.
    """

    unlabelled: Any = "auto"
    class_weight: Any = None

    _loss = "sparse_categorical_crossentropy"

    def fit(self, X, y, sample_weight=None):
        """Pretrains on all rows, then trains on those with a label.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Labels of shape `(rows,)`, numbers or strings; see above for rows without one.
            sample_weight: Weights of shape `(rows,)` for supervised training.

        Returns:
            The estimator.
        """
        self._check_parameters()
        X, y, weight, labelled = self._checked_to_fit(X, y, sample_weight)
        labelled &= weight > 0
        if not labelled.any():
            raise ValueError(
                "SDAClassifier.fit() needs rows with both a label and a weight above 0. "
                "Received none."
            )
        self._check_split(y, labelled)
        self._begin(X)
        self._learn(X, y, weight, labelled)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Pretrains in the first call; trains for one supervised epoch in each call.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Labels of shape `(rows,)`.
            classes: All classes; needed in the first call.
            sample_weight: Weights of shape `(rows,)` for supervised training.

        Returns:
            The estimator.
        """
        self._check_parameters()
        self._check_trains_by_epochs()
        is_first = not hasattr(self, "model_")
        X, y, present = self._checked(X, y, reset=is_first)
        weight = checked_weights(sample_weight, X, "SDAClassifier")
        if is_first:
            if classes is None:
                raise ValueError(
                    "SDAClassifier.partial_fit() needs `classes`, a list of all classes, in its "
                    "first call. Received none."
                )
            self.classes_ = classes_of(column_or_1d(classes), "SDAClassifier")
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                "SDAClassifier.partial_fit() takes the same `classes` in each call, here "
                f"{self.classes_.tolist()}. Received: {np.unique(classes).tolist()}"
            )
        if self.class_weight == "balanced":
            raise ValueError(
                "SDAClassifier.partial_fit() cannot balance classes of which it sees some rows at "
                "a time: give class_weight as a dictionary, or use fit()."
            )
        labelled = present & has_label(y, self.unlabelled, self.classes_)
        unknown = set(y[labelled].tolist()) - set(self.classes_.tolist())
        if unknown:
            raise ValueError(
                f"SDAClassifier.partial_fit() knows the classes {self.classes_.tolist()}. "
                f"Received also: {', '.join(map(repr, sorted(unknown, key=str)))}"
            )
        by_class = self.class_weight or {}
        weight = weight * np.array([by_class.get(label, 1.0) for label in y.tolist()])
        labelled &= weight > 0
        if is_first:
            self._begin(X)
        if labelled.any():
            self._finetune(X, y, weight, labelled, epochs=1)
        return self

    def _head(self):
        return {"num_classes": len(self.classes_)}

    def _strata(self, labels):
        return labels
