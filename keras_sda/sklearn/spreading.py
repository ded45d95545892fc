"""Label spreading: labels travel along a graph of near neighbours, of rows or of their codes."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg
from sklearn.base import ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from keras_sda._validation import check_positive_int, check_share
from keras_sda.datasets.labels import has_label
from keras_sda.sklearn.docstrings import documented
from keras_sda.sklearn.frames import TakesFrames
from keras_sda.sklearn.labels import checked_labels, classes_of
from keras_sda.sklearn.parameters import Check, check_parameters, checked_later

_OWNER = "CodeSpreading"
# Relative to the labels; far below the differences that decide, and some 150 steps away at most.
_TOLERANCE = 1e-10


@documented()
@dataclass(kw_only=True, eq=False, repr=False)
class CodeSpreading(ClassifierMixin, TakesFrames):
    """A classifier for few labels that trains no weights: labels spread to similar rows.

    Each row is linked to its nearest neighbours, in the graph that all rows form together, with or
    without a label. Every labelled row gives its class to its neighbours, those pass a part on to
    theirs, and so on; in the end a row belongs to the class of which it received most. The label -1
    marks a row without one, as do NaN, `None` and `pd.NA`; see `unlabelled`. A label given is
    evidence, too, not a certainty: `transduction_` may correct a row at odds with its neighbours.

    Distances are those of the rows as they are, so that a feature in large units outweighs others:
    scale them first, or let an encoder do it. `encoder=SDATransformer()` measures distances between
    codes of a network that is trained on all rows, `encoder=StandardScaler()` scales.

    An edge weighs `exp(-d^2 / (2 s^2))`, where `d` is the distance and `s` a third of the median
    distance to the last of the `n_neighbors` neighbours; where one row is a neighbour of the other
    but not in return, half of that. The graph is sparse, so that 60,000 rows need about a
    gigabyte at most; a search for the neighbours of that many rows of 784 features takes minutes.

    Rows that no label reaches, as no path of neighbours leads there or its edges weigh next to
    nothing, are treated as new rows: they get the weighted vote of the nearest rows that labels did
    reach, however far away. So every row has a class.

    Args:
        encoder: What turns rows into the codes between which distances are measured: `None` for the
            rows as they are (the default: nothing needs to be trained, and on validation rows of
            the digits it beat codes of `SDATransformer`); a scikit-learn transformer, of which a
            copy is fitted on all rows; or any object with `transform`, but no `fit`, which is used
            as it is. To keep a transformer that is fitted already, wrap it in
            `sklearn.frozen.FrozenEstimator`.
        n_neighbors: Neighbours of a row in the graph, and those of a new row that vote; at most all
            others. 7, as in scikit-learn's `LabelSpreading`; 5 to 10 did about as well on
            validation rows of digits and MNIST, 15 worse.
        alpha: Share, in (0, 1), of what a row receives from its neighbours rather than from its own
            label. 0.99, as in the paper, so that few labels travel far; 0.9 was worse on validation
            rows of both. Very close to 1, all rows become alike and the classes are lost.
        class_mass: The shares of all rows that the classes are drawn towards, lest a class whose
            labels happen to lie in the thick of the graph takes too many rows. Each class is
            multiplied by its share over the sum of its probabilities, once, before those of each
            row are brought to 1 again; so the sums come nearer to the shares, but not all the way.
            `"labels"`: the shares of the labels (the default, as it was best on validation rows of
            digits and MNIST, whose labels were drawn in proportion). A list of shares in the order
            of `classes_`, where they are known and the labels do not follow them. `None`: choose it
            where the labels say nothing about the shares, such as the same number for rare and
            frequent classes.
        unlabelled: The label that marks unlabelled rows, as in `SDAClassifier`: `"auto"` is -1,
            unless there is only one other class. A label, such as -1 or `"?"`, always marks them;
            with `None` all labels are classes. A missing label is never a class.
        {columns}

    Attributes:
        classes_: The classes, sorted; the order of the columns of `predict_proba`.
        transduction_: The class of each row given to `fit`, shape `(rows,)`.
        label_distributions_: Its probabilities, shape `(rows, classes)`.
        encoder_: The fitted encoder, or `None`.
        neighbors_: The `sklearn.neighbors.NearestNeighbors` of the rows' codes.
        width_: The width `s` of the Gaussian.
        {columns_found}
        n_features_in_: Number of features.
        feature_names_in_: Their names, if `fit` was given a table with names.

    Raises:
        ValueError: If data or parameters are not valid, or fewer than two classes have labels.

    Example:

    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.full_like(y, -1)
    >>> few[:50] = y[:50]  # 50 of 1,797 rows keep their label
    >>> spreading = CodeSpreading().fit(X, few)
    >>> spreading.predict(X[:2]), spreading.predict_proba(X).shape
    (array([0, 1]), (1797, 10))
    >>> bool((spreading.transduction_ == y).mean() > 0.9)
    True

    Reference:
        Zhou et al., "Learning with local and global consistency", NIPS 2003, for the spreading; Zhu
        et al., "Semi-supervised learning using Gaussian fields and harmonic functions", ICML
        2003, for the class masses.
    """

    own_checks: ClassVar[dict[str, Check]] = {
        "encoder": checked_later,
        "n_neighbors": check_positive_int,
        "alpha": check_share,
        "class_mass": checked_later,
    }

    encoder: Any = None
    n_neighbors: int = 7
    alpha: float = 0.99
    class_mass: Any = "labels"
    unlabelled: Any = "auto"
    columns: Any = "auto"

    def fit(self, X, y):
        """Spreads the labels over all rows.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
            y: Labels of shape `(rows,)`, numbers or strings.

        Returns:
            The estimator.
        """
        self._check_parameters()
        y, labelled = checked_labels(y, _OWNER)
        X = self._validated(X)
        check_consistent_length(X, y)
        labelled &= has_label(y, self.unlabelled)
        labels = _plain(y[labelled])
        check_classification_targets(labels)
        self.classes_ = classes_of(labels, _OWNER)
        given = np.zeros((len(y), len(self.classes_)))
        given[np.flatnonzero(labelled), np.searchsorted(self.classes_, labels)] = 1.0
        shares = self._shares(given)

        self.encoder_ = self._fitted_encoder(X)
        codes = self._codes(X)
        count = min(self.n_neighbors, len(y) - 1)
        self.neighbors_ = NearestNeighbors(n_neighbors=count).fit(codes)
        distances, neighbours = self.neighbors_.kneighbors()
        self.width_ = _width(distances)
        graph = _graph(distances, neighbours, self.width_)
        received, reached = _spread(graph, given, self.alpha)
        self.label_distributions_ = np.zeros_like(received)
        self.label_distributions_[reached] = _distributions(received[reached], shares)
        self._vote_for_the_others(codes, reached)
        self.transduction_ = self.classes_[self.label_distributions_.argmax(axis=1)]
        return self

    def predict_proba(self, X):
        """Returns the probabilities of the classes, shape `(rows, classes)`, float64.

        They are the mean of those of the row's nearest neighbours among the rows given to `fit`,
        weighted as the edges of the graph. For those rows themselves see `label_distributions_`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        distances, neighbours = self.neighbors_.kneighbors(self._codes(X))
        return _vote(distances, neighbours, self.width_, self.label_distributions_)

    def predict(self, X):
        """Returns the most probable class of each row, shape `(rows,)`.

        Args:
            X: Array, sparse matrix or frame of shape `(rows, features)`.
        """
        numbers = self.predict_proba(X).argmax(axis=1)
        return self.classes_[numbers]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _check_parameters(self):
        check_parameters(self)
        if self.encoder is not None and not hasattr(self.encoder, "transform"):
            raise ValueError(
                f"Argument `encoder` of {_OWNER} must be None or have a method `transform`, as "
                f"SDATransformer has. Received: encoder={self.encoder!r}"
            )

    def _shares(self, given):
        """Returns the classes' shares of all rows, or `None` if they are left as they are."""
        if self.class_mass is None:
            return None
        if isinstance(self.class_mass, str) and self.class_mass == "labels":
            return given.sum(axis=0) / given.sum()
        wanted = f"be 'labels', None or {given.shape[1]} numbers above 0, one for each class"
        try:
            shares = np.asarray(self.class_mass, dtype="float64")
            is_valid = shares.shape == given.shape[1:] and np.isfinite(shares).all()
            is_valid = is_valid and (shares > 0).all()
        except (TypeError, ValueError):
            is_valid = False
        if not is_valid:
            raise ValueError(
                f"Argument `class_mass` of {_OWNER} must {wanted}. "
                f"Received: class_mass={self.class_mass!r}"
            )
        return shares / shares.sum()

    def _fitted_encoder(self, X):
        if not hasattr(self.encoder, "fit"):  # None, or ready for use
            return self.encoder
        return clone(self.encoder).fit(X, None)  # FrozenEstimator asks for a y

    def _codes(self, X):
        if self.encoder_ is None:
            return X
        codes = check_array(self.encoder_.transform(X), accept_sparse="csr", input_name="codes")
        check_consistent_length(X, codes)
        return codes

    def _vote_for_the_others(self, codes, reached):
        """Gives rows that no label reached the vote of the nearest rows that some did."""
        if reached.all():
            return
        count = min(self.n_neighbors, int(reached.sum()))
        nearest = NearestNeighbors(n_neighbors=count).fit(codes[reached])
        distances, neighbours = nearest.kneighbors(codes[~reached])
        known = self.label_distributions_[reached]
        self.label_distributions_[~reached] = _vote(distances, neighbours, self.width_, known)


def _plain(labels):
    """Returns numbers that stood beside `None` or strings, and are objects therefore, as numbers.

    scikit-learn takes objects for labels only if they are strings.
    """
    if labels.dtype != object or any(isinstance(label, str) for label in labels):
        return labels
    return np.array(labels.tolist())


def _width(distances):
    """Returns a third of the median distance to the last neighbour.

    Neighbours further away than most rows' then have next to no weight, whereas the median keeps
    a few stray rows from widening all.
    """
    width = np.median(distances[:, -1]) / 3
    if width > 0:
        return float(width)
    # More than half of the rows have as many copies.
    distances = distances[distances > 0]
    return float(distances.mean() / 3) if len(distances) else 1.0


def _graph(distances, neighbours, width):
    """Returns the symmetric weights of the edges, a sparse array of shape `(rows, rows)`."""
    rows, count = distances.shape
    weights = np.exp(-0.5 * (distances.astype("float64") / width) ** 2)
    starts = np.repeat(np.arange(rows), count)
    graph = sparse.csr_array(
        (weights.ravel(), (starts, neighbours.ravel())), shape=(rows, rows), dtype="float64"
    )
    # The mean of both directions, rather than the larger: on validation rows it was better.
    graph = ((graph + graph.T) / 2).tocsr()
    graph.eliminate_zeros()
    return graph


def _spread(graph, given, alpha):
    """Solves `(I - alpha S) F = Y` for the normalised graph S and the given labels Y.

    Args:
        graph: Symmetric weights.
        given: Array of shape `(rows, classes)`, 1 where a row has the class as its label.
        alpha: Share of what comes from the neighbours.

    Returns:
        F, shape `(rows, classes)`, at least 0; and which rows have more of it than rounding.
    """
    degrees = graph.sum(axis=1)
    has_edges = degrees > 0
    factors = np.zeros(len(degrees))
    factors[has_edges] = 1 / np.sqrt(degrees[has_edges])
    scale = sparse.diags_array(factors)
    system = (sparse.eye_array(len(degrees)) - alpha * (scale @ graph @ scale)).tocsr()
    columns = []
    for column in given.T:
        solution, steps_without_end = cg(system, column, rtol=_TOLERANCE)
        if steps_without_end:
            warnings.warn(
                f"{_OWNER} stopped before its solution was exact: choose an alpha further from 1.",
                ConvergenceWarning,
                stacklevel=3,
            )
        columns.append(solution)
    # F is Y and what the neighbours add: less than Y is rounding, or a solution that is not exact.
    received = np.maximum(np.stack(columns, axis=1), given)
    # The smallest eigenvalue of the system is at least 1 - alpha, which bounds the error. However
    # large that bound, a row has its own label.
    error = _TOLERANCE * np.sqrt(given.sum(axis=0)) / (1 - alpha)
    return received, (received > error).any(axis=1) | given.any(axis=1)


def _distributions(received, shares):
    """Returns probabilities, after drawing the classes' masses towards the shares, if given.

    Each row counts the same in the masses, however little it received.
    """
    probabilities = received / received.sum(axis=1, keepdims=True)
    if shares is None:
        return probabilities
    probabilities *= shares / probabilities.sum(axis=0)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _vote(distances, neighbours, width, distributions):
    """Returns the mean of the neighbours' distributions, weighted by the Gaussian."""
    squares = (distances.astype("float64") / width) ** 2
    # Relative to the nearest, so that far rows do not get zero weights alone.
    weights = np.exp(-0.5 * (squares - squares[:, :1]))
    weights /= weights.sum(axis=1, keepdims=True)
    votes = np.zeros((len(distances), distributions.shape[1]))
    for weight, neighbour in zip(weights.T, neighbours.T, strict=True):
        votes += weight[:, None] * distributions[neighbour]
    return votes
