"""The outlier detector: scores by hand, and rows far from all others."""

import numpy as np
import pytest
from estimators import QUICK, codes_by_hand, kernel
from scipy import sparse

from keras_sda.sklearn import SDAOutlierDetector


def test_training_all_levels_together_lowers_the_error(rows):
    x, _ = rows
    deep = QUICK | {"hidden_units": (6, 4), "pretrain_epochs": 10, "learning_rate": 0.01}
    greedy = SDAOutlierDetector(**deep).fit(x)
    together = SDAOutlierDetector(**deep, epochs=30).fit(x)
    assert together.score_samples(x).mean() > greedy.score_samples(x).mean()
    assert len(together.history_["loss"]) == 30


def test_sparse_rows_are_never_dense_all_at_once(monkeypatch):
    rows = sparse.random_array((5000, 40), density=0.05, format="csr", rng=0)
    heights = []
    to_array = sparse.csr_array.toarray

    def note(matrix, *args, **kwargs):
        heights.append(matrix.shape[0])
        return to_array(matrix, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_array, "toarray", note)
    options = QUICK | {"pretrain_epochs": 1, "scale": "unit"}
    detector = SDAOutlierDetector(**options).fit(rows)
    detector.predict(rows)
    assert 0 < max(heights) <= 4096
    assert min(heights) >= 1


def test_score_is_the_negative_reconstruction_error(rows):
    x, _ = rows
    detector = SDAOutlierDetector(**QUICK, contamination=0.2).fit(x)
    scaled = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    errors = detector.model_.reconstruction_error(scaled)
    np.testing.assert_allclose(detector.score_samples(x), -errors, rtol=1e-5)
    layer = detector.model_.levels[0]
    visible = codes_by_hand(detector, x) @ kernel(detector).T + np.asarray(layer.visible_bias)
    by_hand = (scaled - visible) ** 2
    np.testing.assert_allclose(detector.feature_errors(x), by_hand, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(-detector.score_samples(x), by_hand.sum(axis=1), rtol=1e-4)

    assert detector.threshold_ == -detector.offset_
    assert (detector.predict(x) == -1).sum() == 30
    is_outlier = errors > detector.threshold_
    assert ((detector.predict(x) == -1) == is_outlier).all()
    assert ((detector.decision_function(x) < 0) == is_outlier).all()
    # One value far off lets the score fall, and is pointed at.
    far = x[:1] + np.array([0, 0, 50, 0, 0])
    assert detector.score_samples(far)[0] < detector.score_samples(x).min()
    assert detector.predict(far).tolist() == [-1]
    assert detector.feature_errors(far).argmax() == 2


def test_detector_by_cross_entropy(rows):
    x, _ = rows
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    options = QUICK | {"reconstruction_loss": "binary_crossentropy", "scale": None}
    detector = SDAOutlierDetector(**options).fit(x)
    sums = detector.feature_errors(x).sum(axis=1)
    np.testing.assert_allclose(sums, -detector.score_samples(x), rtol=1e-4)
    with pytest.raises(ValueError, match="SDAOutlierDetector.score_samples.* in \\[0, 1\\]"):
        detector.score_samples(x + 1)


def test_detector_does_not_clip_outliers(rows):
    x, _ = rows
    detector = SDAOutlierDetector(**QUICK, scale="unit").fit(x)
    scores = detector.score_samples(np.vstack([x.max(axis=0), 10 * x.max(axis=0)]))
    assert scores[1] < 10 * scores[0]
