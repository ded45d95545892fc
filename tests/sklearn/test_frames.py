"""Estimators on frames: text, gaps and dates, columns by name."""

import pickle

import numpy as np
import pandas as pd
import pytest
from estimators import QUICK
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from keras_sda.datasets import Columns
from keras_sda.sklearn import (
    CodeSpreading,
    LadderClassifier,
    SDAClassifier,
    SDAOutlierDetector,
    SDARegressor,
    SDATransformer,
)

ESTIMATORS = [
    SDAClassifier(**QUICK, epochs=2),
    SDARegressor(**QUICK, epochs=2),
    SDATransformer(**QUICK),
    SDAOutlierDetector(hidden_units=(4,), epochs=2, random_state=0, calibration="training"),
    pytest.param(
        LadderClassifier(hidden_units=(4,), epochs=2, random_state=0), marks=pytest.mark.full
    ),
    CodeSpreading(),
]


def outputs(estimator, frame):
    name = next(
        name
        for name in ("predict_proba", "score_samples", "transform", "predict")
        if hasattr(estimator, name)
    )
    return getattr(estimator, name)(frame)


def labels_for(estimator, frame, y):
    return frame["age"].fillna(50) if isinstance(estimator, SDARegressor) else y


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_columns_are_taken_by_name(estimator, people):
    frame, y = people
    fitted = clone(estimator).fit(frame, labels_for(estimator, frame, y))
    assert fitted.n_features_in_ == 6
    assert fitted.feature_names_in_.tolist() == list(frame)
    kinds = {column.name: column.kind for column in fitted.columns_.columns}
    assert kinds["name"] == "ignored", "text that differs in every row"
    assert kinds["level"] == "categorical"
    expected = outputs(fitted, frame)
    other = frame[["town", "since", "level", "age", "member"]].assign(more=1.0)
    np.testing.assert_array_equal(outputs(fitted, other), expected)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(outputs(again, frame), expected)
    with pytest.raises(ValueError, match="lacks 2 of the 5 columns .*: town, since. Add or"):
        outputs(fitted, frame[["age", "member", "level"]])
    with pytest.raises(ValueError, match="array has no names of columns"):
        outputs(fitted, np.zeros((2, 5)))
    unseen = frame.assign(town="Ulm", age=np.nan)
    assert np.isfinite(outputs(fitted, unseen)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_own_columns_and_none(estimator, people):
    frame, y = people
    y = labels_for(estimator, frame, y)
    columns = Columns.fit(frame, target="town", scale="quantile")
    own = clone(estimator).set_params(columns=columns).fit(frame, y)
    assert own.columns_ == columns
    assert own.n_features_in_ == 5
    assert outputs(own, frame.drop(columns="town")).shape[0] == 120
    with pytest.raises(ValueError, match="could not convert|invalid literal|dtype"):
        clone(estimator).set_params(columns=None).fit(frame[["town", "member"]], y)
    with pytest.raises(ValueError, match="Argument `columns` of .* must be 'auto', None or a"):
        clone(estimator).set_params(columns="all").fit(frame, y)


def test_scaled_inputs_are_those_of_the_columns(people):
    frame, y = people
    options = QUICK | {"epochs": 1, "head": "finetune"}
    options |= {"noise": "gaussian", "reconstruction_loss": "squared_error"}  # not by column
    classifier = SDAClassifier(**options).fit(frame, y)
    inputs = Columns.fit(frame)(frame)
    np.testing.assert_array_equal(
        classifier.predict_proba(frame),
        SDAClassifier(**options, scale=None).fit(inputs, y).predict_proba(inputs),
    )
    unit = SDAClassifier(**options, scale="unit").fit(frame, y)
    assert unit.columns_ == Columns.fit(frame, scale="unit")


def test_numbers_without_gaps_are_taken_as_they_are(rows):
    x, y = rows
    frame = pd.DataFrame(x, columns=list("abcde")).assign(e=x[:, 4] > 0)
    plain = SDAClassifier(**QUICK, epochs=1).fit(frame, y)
    assert plain.columns_ is None
    array = SDAClassifier(**QUICK, epochs=1).fit(frame.to_numpy(float), y)
    np.testing.assert_array_equal(
        plain.predict_proba(frame), array.predict_proba(frame.to_numpy(float))
    )
    gap = frame.assign(a=frame["a"].where(frame["a"] > frame["a"].min()))
    assert SDAClassifier(**QUICK, epochs=1).fit(gap, y).columns_ is not None


def test_a_second_fit_forgets_the_frame(people, rows):
    frame, _ = people
    transformer = SDATransformer(**QUICK).fit(frame)
    transformer.fit(rows[0])
    assert transformer.columns_ is None
    assert not hasattr(transformer, "feature_names_in_")
    assert transformer.n_features_in_ == 5


def test_codes_keep_index_and_come_back_as_a_frame(people):
    frame, _ = people
    frame = frame.set_index(np.arange(500, 620))
    transformer = SDATransformer(**QUICK).set_output(transform="pandas")
    codes = transformer.fit_transform(frame)
    assert codes.index.tolist() == frame.index.tolist()
    assert codes.columns.tolist() == transformer.get_feature_names_out().tolist()
    back = transformer.inverse_transform(codes)
    assert back.columns.tolist() == ["age", "town", "member", "since", "level"]
    assert set(back["town"].dropna()) <= {"Oslo", "Rome", "Lima", "(other)"}


def test_partial_fit_keeps_the_columns_of_the_first_call(people):
    frame, y = people
    classifier = SDAClassifier(**QUICK).partial_fit(frame[:80], y[:80], classes=["no", "yes"])
    columns = classifier.columns_
    classifier.partial_fit(frame[80:][list(reversed(frame.columns))], y[80:])
    assert classifier.columns_ is columns


def test_frames_in_pipelines_and_cross_validation(people):
    frame, y = people
    pipeline = make_pipeline(SDATransformer(**QUICK), SDAClassifier(**QUICK, epochs=2))
    assert cross_val_score(pipeline, frame, y, cv=2).shape == (2,)


def test_outliers_are_explained_by_column(people):
    frame, _ = people
    options = {"hidden_units": (8,), "epochs": 20, "random_state": 0, "calibration": "training"}
    detector = SDAOutlierDetector(**options).fit(frame)
    strange = frame[:3].assign(age=[30.0, 9999.0, 40.0], town=["Oslo", "Oslo", "Ulm"])
    errors = detector.feature_errors(strange)
    assert errors.shape == (3, 5)
    np.testing.assert_allclose(errors.sum(axis=1), -detector.score_samples(strange), rtol=1e-6)
    lines = detector.explain(strange, features=1)
    assert lines["feature"][1] == "age"
    assert lines["value"][1] == 9999.0
    assert 18 < lines["expected"][1] < 800
    assert detector.score_samples(strange)[1] < 2 * detector.score_samples(strange)[0]


def test_robust_scaling_leaves_flags_and_categories_alone(people):
    frame, _ = people
    detector = SDAOutlierDetector(hidden_units=(4,), epochs=1, random_state=0).fit(frame)
    scaled = detector.scaling_(detector.columns_(frame))
    groups = {group.name: group for group in detector.columns_.groups}
    age = scaled[frame["age"].notna(), groups["age"].start]
    assert abs(age.mean()) < 1e-5
    assert age.std() == pytest.approx(1, abs=1e-5)
    for name in ("town", "member", "level"):
        part = scaled[:, groups[name].start : groups[name].stop]
        assert set(np.unique(part)) == {0.0, 1.0}
    assert set(np.unique(scaled[:, groups["age"].stop - 1])) == {0.0, 1.0}


def test_polars_frames(people):
    polars = pytest.importorskip("polars")
    frame, _ = people
    plain = {
        name: frame[name].astype(object).where(frame[name].notna(), None).tolist()
        for name in ("age", "town", "member")
    }
    transformer = SDATransformer(**QUICK).fit(polars.DataFrame(plain))
    expected = SDATransformer(**QUICK).fit_transform(frame[["age", "town", "member"]])
    np.testing.assert_allclose(transformer.transform(polars.DataFrame(plain)), expected, atol=1e-6)


def test_frames_are_corrupted_and_measured_by_column(people, rows):
    frame, y = people
    stack = SDAClassifier(**QUICK, epochs=1, head="finetune").fit(frame, y).model_
    spans = [(group.start, group.stop) for group in Columns.fit(frame).groups]
    assert stack.noise_layers[0].groups == spans
    assert type(stack.reconstruction_losses[0]).__name__ == "ColumnwiseLoss"
    plain = SDATransformer(**QUICK).fit(rows[0]).model_
    assert type(plain.noise_layers[0]).__name__ == "MaskingNoise"
    assert plain.reconstruction_losses[0] == "squared_error"
