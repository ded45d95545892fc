"""The outlier detector: scores by hand, and rows far from all others."""

import numpy as np
import pandas as pd
import pytest
from estimators import QUICK, codes_by_hand, kernel
from scipy import sparse
from sklearn.metrics import roc_auc_score

from keras_sda.sklearn import SDAOutlierDetector

QUICK = QUICK | {"pretrain_epochs": 0, "epochs": 3}


def test_training_all_levels_together_lowers_the_error(rows):
    x, _ = rows
    deep = QUICK | {"hidden_units": (6, 4), "pretrain_epochs": 10, "learning_rate": 0.01}
    greedy = SDAOutlierDetector(**deep | {"epochs": 0}).fit(x)
    together = SDAOutlierDetector(**deep | {"epochs": 30}).fit(x)
    assert together.score_samples(x).mean() > greedy.score_samples(x).mean()
    assert len(together.history_["loss"]) == 30


def test_sparse_rows_are_never_dense_all_at_once(monkeypatch):
    dense = np.random.default_rng(0).uniform(size=(5000, 40))
    rows = sparse.csr_array(np.where(dense < 0.05, dense, 0))
    heights = []
    to_array = sparse.csr_array.toarray

    def note(matrix, *args, **kwargs):
        heights.append(matrix.shape[0])
        return to_array(matrix, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_array, "toarray", note)
    options = QUICK | {"epochs": 1, "scale": "unit"}
    detector = SDAOutlierDetector(**options).fit(rows)
    detector.predict(rows)
    assert 0 < max(heights) <= 4096
    assert min(heights) >= 1


@pytest.mark.parametrize("error", ["absolute_error", "squared_error"])
def test_score_is_the_negative_reconstruction_error(rows, error):
    x, _ = rows
    options = QUICK | {"scale": "standard", "row_error": error}
    detector = SDAOutlierDetector(**options, contamination=0.2).fit(x)
    scaled = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    layer = detector.model_.levels[0]
    visible = codes_by_hand(detector, x) @ kernel(detector).T + np.asarray(layer.visible_bias)
    by_hand = np.abs(scaled - visible) ** (1 if error == "absolute_error" else 2)
    np.testing.assert_allclose(detector.feature_errors(x), by_hand, rtol=1e-3, atol=1e-5)
    errors = -detector.score_samples(x)
    np.testing.assert_allclose(errors, by_hand.sum(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(detector.decision_scores_, errors)
    if error == "squared_error":
        np.testing.assert_allclose(errors, detector.model_.reconstruction_error(scaled), rtol=1e-5)

    assert detector.threshold_ == -detector.offset_
    assert (detector.predict(x) == -1).sum() == detector.labels_.sum() == 30
    is_outlier = errors > detector.threshold_
    assert ((detector.predict(x) == -1) == is_outlier).all()
    assert ((detector.decision_function(x) < 0) == is_outlier).all()


def test_explanation_names_the_value_far_off_and_what_was_expected(rows):
    x, _ = rows
    x = pd.DataFrame(x, columns=list("abcde"))
    detector = SDAOutlierDetector(random_state=0).fit(x)
    far = x[:2].copy()
    far.loc[1, "c"] = 1e6
    assert detector.score_samples(far)[1] < detector.score_samples(x).min()
    assert detector.predict(far)[1] == -1
    assert detector.p_values(far)[1] == 1 / 151
    assert detector.p_values(x).mean() == pytest.approx(0.5, abs=0.1)
    frame = detector.explain(far, features=2)
    assert frame.row.tolist() == [0, 0, 1, 1]
    first = frame[frame.row == 1].iloc[0]
    assert (first.feature, first.value) == ("c", 1e6)
    assert abs(first.expected - x.c.median()) < 10 * x.c.std()
    assert first["share"] > 0.5
    assert (frame["share"] <= 1 + 1e-6).all()
    mended = far.copy()
    mended.loc[1, "c"] = first.expected
    falls_by = detector.score_samples(mended)[1] - detector.score_samples(far)[1]
    assert first.error == pytest.approx(falls_by, rel=1e-3)


def test_export_gives_the_score_and_prediction_of_raw_rows(rows, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    x, _ = rows
    detector = SDAOutlierDetector(**QUICK).fit(x)
    new = np.vstack([x, x + np.eye(150, 5) * 50]).astype("float32")
    detector.export(tmp_path / "d.onnx", format="onnx", rows=new)
    session = onnxruntime.InferenceSession(tmp_path / "d.onnx")
    score, anomaly = session.run(["score", "anomaly"], {"inputs": new})
    np.testing.assert_allclose(score, -detector.score_samples(new), rtol=1e-4)
    clear = np.abs(detector.decision_function(new)) > 1e-3
    assert 0 < anomaly.sum() < len(new)
    np.testing.assert_array_equal(anomaly[clear], (detector.predict(new) == -1)[clear])


def test_one_gross_training_value_changes_next_to_nothing():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 8))
    clean, new = (
        rng.normal(size=(n, 3)) @ mixing + rng.normal(size=(n, 8)) * 0.2 for n in (300,) * 2
    )
    strange = np.stack([rng.permutation(column) for column in new.T], axis=1)
    dirty = clean.copy()
    dirty[0, 0] = 1e6
    labels = np.repeat([0, 1], 300)
    areas = [
        roc_auc_score(
            labels,
            -SDAOutlierDetector(random_state=0).fit(x).score_samples(np.vstack([new, strange])),
        )
        for x in (clean, dirty)
    ]
    assert areas[0] > 0.85
    assert areas[1] > areas[0] - 0.02


def test_few_rows_are_judged_by_networks_that_have_not_seen_them():
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(50, 20)), rng.normal(size=(5000, 20))
    cross = SDAOutlierDetector(contamination=0.05, random_state=0).fit(x)
    training = SDAOutlierDetector(contamination=0.05, random_state=0, calibration="training").fit(x)
    assert (cross.decision_scores_ == training.decision_scores_).all()
    alarms = [(detector.predict(new) == -1).mean() for detector in (cross, training)]
    assert alarms[0] < alarms[1]
    assert alarms[0] < 0.1


def test_a_constant_column_that_moves_is_flagged():
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(size=(100, 3)), np.full(100, 7.0)]
    detector = SDAOutlierDetector(**QUICK).fit(x)
    moved = x[:1] + 0.5 * np.eye(4)[3]
    assert detector.predict(moved).tolist() == [-1]
    assert detector.feature_errors(moved).argmax() == 3
    assert (detector.feature_errors(x)[:, 3] < 1).all()


@pytest.mark.parametrize(
    "x",
    [
        np.arange(5.0)[:, None] * [1, 2],
        np.r_[np.linspace(0, 1, 40), 9.0][:, None],
        np.repeat(np.arange(3.0), 30)[:, None] * [1, -1],
        np.ones((20, 3)),
        np.r_[np.zeros(99), 1.0][:, None] * [1, 1],
    ],
    ids=["five rows", "one feature", "duplicates", "constant", "rare value"],
)
@pytest.mark.parametrize("contamination", [0.1, "auto"])
def test_odd_tables(x, contamination):
    detector = SDAOutlierDetector(**QUICK, contamination=contamination).fit(x)
    assert np.isfinite(detector.score_samples(x)).all()
    far = x[:1] + 1e3
    scores = detector.score_samples(x)
    assert detector.score_samples(far)[0] <= scores.min()  # equal, if a training row is as far out
    assert detector.score_samples(far)[0] < np.median(scores)


def test_auto_contamination_is_the_fence_of_a_box_plot(rows):
    x, _ = rows
    x = np.vstack([x, x[:3] + 1e3])
    detector = SDAOutlierDetector(**QUICK, contamination="auto").fit(x)
    low, high = np.quantile(np.log(detector.decision_scores_), [0.25, 0.75])
    assert detector.threshold_ == pytest.approx(np.exp(high + 1.5 * (high - low)))
    assert detector.labels_[-3:].all()
    assert detector.labels_.sum() < 15


def test_trimming_leaves_out_rows_rebuilt_worst(rows):
    x, _ = rows
    x = np.vstack([x, x[:10] + 40 * np.eye(5)[4]])
    errors = [
        SDAOutlierDetector(random_state=0, trim=trim).fit(x).decision_scores_ for trim in (0, 0.1)
    ]

    def ratio(values):
        return values[-10:].mean() / values[:-10].mean()

    assert ratio(errors[1]) > ratio(errors[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"contamination": 0.6}, r"\(0, 0.5\], or be 'auto'"),
        ({"trim": 0.7}, r"`trim` of SDAOutlierDetector must lie in \[0, 0.5\]"),
        ({"row_error": "rank"}, "row_error"),
        ({"calibration": "none"}, "calibration"),
        ({"epochs": -1}, "epochs"),
        ({"scale": "log"}, "scale"),
    ],
)
def test_refusals(rows, argument, message):
    with pytest.raises(ValueError, match=message):
        SDAOutlierDetector(**argument).fit(rows[0])


@pytest.mark.tensorflow_only  # elsewhere, rows that are not in memory are shuffled otherwise
def test_sparse_rows_score_as_dense_ones(rows):
    x, _ = rows
    x = np.where(x > np.median(x, axis=0), x, 0.0)
    dense, thin = (SDAOutlierDetector(**QUICK).fit(given) for given in (x, sparse.csr_array(x)))
    np.testing.assert_allclose(thin.scaling_(x), dense.scaling_(x), atol=1e-6)
    np.testing.assert_allclose(thin.score_samples(x), dense.score_samples(x), rtol=1e-3)
    assert len(thin.explain(sparse.csr_array(x), features=1)) == 150


def test_detector_by_cross_entropy(rows):
    x, _ = rows
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    options = QUICK | {"reconstruction_loss": "binary_crossentropy", "scale": None}
    options["row_error"] = "reconstruction_loss"
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
