"""Studies of few labels: figures by hand, an interruption, the page, and what is refused."""

import json
import math

import numpy as np
import pages
import pytest
from scipy import stats
from studies import train_briefly

from keras_sda import datasets, experiments
from keras_sda.experiments import contestants as entries
from keras_sda.experiments import study_figures, study_fits, study_report, study_words, studying

FEW = (entries.KNN, entries.PLAIN, entries.PRETRAINED, "logistic regression on codes")


@pytest.fixture
def only_few(monkeypatch):
    """Four contestants, as fitting all of them takes longer."""
    keep_few(monkeypatch)


def keep_few(monkeypatch):
    def few(is_classification):
        return tuple(each for each in entries.contestants(is_classification) if each.name in FEW)

    monkeypatch.setattr(studying, "contestants", few)
    train_briefly(monkeypatch, fine_tuning=4, pretraining=4)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Two overlapping clouds of 200 rows, one of them the class of every second row."""
    path = tmp_path_factory.mktemp("data") / "clouds.npz"
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    np.savez(path, x=generator.normal(size=(200, 4)) + 1.2 * y[:, None], y=y)
    return path


@pytest.fixture(scope="module")
def finished(clouds, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        keep_few(monkeypatch)
        folder = tmp_path_factory.mktemp("studies") / "clouds"
        return experiments.study(clouds, labels=[4, 20], seeds=3, output=folder, verbose=0)


def errors_of(content, name, count):
    return [
        each["error"]
        for each in sorted(content["results"], key=lambda each: each["seed"])
        if each["contestant"] == name and each["labels"] == count
    ]


def test_every_error_is_that_of_the_chosen_setting(finished, clouds):
    """Fits nearest neighbours again, without the loop."""
    from sklearn.neighbors import KNeighborsClassifier

    content = json.loads((finished.folder / "study.json").read_text(encoding="utf-8"))
    assert content == {"format": 1, **finished.content}
    assert len(content["results"]) == 4 * 2 * 3
    data = datasets.load(clouds, split="full", scale="standard")
    settings = entries.CLASSIFIERS[0].settings
    for each in content["results"]:
        if each["contestant"] != entries.KNN:
            continue
        draw = data.keep_labels(each["labels"], each["seed"])
        labels, held_out = studying.hold_out(draw.train.y, each["seed"])
        errors = []
        for setting in settings:
            count = min(setting["n_neighbors"], int((labels >= 0).sum()))
            model = KNeighborsClassifier(count, weights="distance")
            model.fit(draw.train.x[labels >= 0], labels[labels >= 0])
            errors.append(1 - model.score(draw.train.x[held_out], draw.train.y[held_out]))
        assert each["held_out"] == pytest.approx(errors)
        assert each["setting"] == int(np.argmin(errors))
        count = min(settings[each["setting"]]["n_neighbors"], each["labels"])
        model = KNeighborsClassifier(count, weights="distance").fit(*draw.train.labelled)
        assert each["error"] == pytest.approx(1 - model.score(*data.test))


def test_gains_and_intervals_are_those_of_scipy(finished):
    content = finished.content
    (gain,) = (
        each
        for each in content["summary"]["gains"]
        if (each["labels"], each["ours"], each["rival"]) == (20, entries.PRETRAINED, entries.KNN)
    )
    ours, theirs = (errors_of(content, name, 20) for name in (entries.PRETRAINED, entries.KNN))
    differences = np.array(theirs) - np.array(ours)
    assert gain["mean"] == pytest.approx(differences.mean())
    interval = stats.t.interval(
        0.95, len(differences) - 1, differences.mean(), stats.sem(differences)
    )
    assert gain["interval"] == pytest.approx(interval)
    # What is compared with what: on codes with nothing but labelled rows, never with each other.
    assert {each["rival"] for each in content["summary"]["gains"]} == {entries.KNN, entries.PLAIN}


def test_further_labels_by_hand():
    counts, errors = [10, 40, 160], [0.4, 0.2, 0.1]
    # Half way down from 0.4 to 0.2 is half way from 10 to 40 by their logarithms: 20.
    assert study_figures.further_labels(counts, errors, 10, 0.3) == (pytest.approx(10), False)
    # Half way down the second part: 80.
    assert study_figures.further_labels(counts, errors, 10, 0.15) == (pytest.approx(70), False)
    assert study_figures.further_labels(counts, errors, 40, 0.15) == (pytest.approx(40), False)
    assert study_figures.further_labels(counts, errors, 40, 0.05) == (120.0, True)
    assert study_figures.further_labels(counts, errors, 160, 0.05) == (None, True)
    assert study_figures.further_labels(counts, errors, 40, 0.2) == (0.0, False)
    # Where the curve rises first, the first crossing counts.
    rising = [0.3, 0.35, 0.25]
    further, _ = study_figures.further_labels(counts, rising, 10, 0.3)
    assert further == 0
    further, _ = study_figures.further_labels(counts, rising, 10, 0.28)
    assert further == pytest.approx(40 * 4**0.7 - 10)


def content_with(errors, counts=(50, 100, 200)):
    """Returns the content of a study with these errors by contestant, count and seed."""
    seeds = len(next(iter(errors.values()))[0])
    content = {
        "settings": {
            "data": "some.csv",
            "target": "label",
            "unlabelled": "auto",
            "labels": list(counts),
            "seeds": seeds,
            "contestants": {name: [{}] for name in errors},
        },
        "versions": {"keras_sda": "0"},
        "data": {
            "name": "some.csv",
            "is_classification": True,
            "classes": 2,
            "features": 4,
            "scale": "standard",
            "rows": 300,
            "labelled": 200,
            "test_rows": 50,
        },
        "codes": [],
        "left_out": [{"contestant": "RBF-SVM", "labels": 50, "reason": "reasons"}],
        "results": [
            {
                **{"contestant": name, "labels": count, "seed": seed, "error": error},
                **{"held_out": [], "setting": 0, "seconds": 1.0},
            }
            for name, by_count in errors.items()
            for count, by_seed in zip(counts, by_count, strict=True)
            for seed, error in enumerate(by_seed)
        ],
    }
    content["summary"] = study_figures.summarise(content)
    return content


KNN_ERRORS = [[0.30, 0.32, 0.34], [0.20, 0.21, 0.22], [0.10, 0.11, 0.12]]
PLAIN_ERRORS = [[0.40, 0.40, 0.40], [0.20, 0.20, 0.20], [0.10, 0.10, 0.10]]
OUR_ERRORS = [[0.20, 0.21, 0.19], [0.15, 0.16, 0.14], [0.11, 0.12, 0.13]]


@pytest.fixture(scope="module")
def invented():
    return content_with(
        {entries.KNN: KNN_ERRORS, entries.PLAIN: PLAIN_ERRORS, entries.PRETRAINED: OUR_ERRORS}
    )


def test_the_simplest_that_is_as_good_is_to_be_taken(invented):
    few, more, most = study_words.verdicts(invented)
    assert few == (
        "With 50 labels: network, pretrained has the lowest error, 20.0 %, and no simpler method "
        "is as good within the interval. Take network, pretrained."
    )
    assert "Take network, pretrained." in more
    # At 200, the plain network is best, with 10.0 %; nearest neighbours have 10, 11 and 12 %.
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert most == (
        "With 200 labels: network, not pretrained has the lowest error, 10.0 %, but k-NN is as "
        f"good within the interval: 11.0 %, a difference of +1.0 ({100 * (0.01 - half):+.1f} to "
        f"{100 * (0.01 + half):+.1f}) points. Take k-NN, which is simpler."
    )


def test_of_equally_simple_methods_the_better_is_taken():
    forest, logistic = [[0.12, 0.13, 0.14]], [[0.11, 0.11, 0.14]]
    content = content_with(
        {entries.LOGISTIC: logistic, entries.FOREST: forest, entries.PLAIN: [[0.1, 0.12, 0.13]]},
        counts=[50],
    )
    (verdict,) = content["summary"]["verdicts"]
    assert (verdict["best"], verdict["take"]) == (entries.PLAIN, entries.LOGISTIC)
    assert verdict["difference"]["mean"] == pytest.approx(0.01 / 3)
    content = content_with({entries.LOGISTIC: logistic, entries.FOREST: forest}, counts=[50])
    assert list(study_words.verdicts(content)) == [
        "With 50 labels: logistic regression has the lowest error, 12.0 %, and nothing here is "
        "simpler. Take logistic regression."
    ]


def test_labels_are_counted_in_words(invented):
    few, more, most = study_words.worth_to(entries.PRETRAINED, invented)
    # The network without pretraining comes down from 40 to 20 % with 50 labels more.
    assert few == (
        "With 50 labels the unlabelled rows are worth as much as 50 further labels: network, "
        "pretrained has an error of 20.0 %, network, not pretrained of 40.0 %."
    )
    assert "worth as much as 41 further labels" in more  # 100 (sqrt 2 - 1)
    assert "worth nothing that 3 draws can show: " in most
    assert most.endswith("; the gain is -2.0 (-4.5 to +0.5).")


def test_the_best_with_unlabelled_rows_meets_the_best_without(invented):
    few, *_ = study_words.worth(invented)
    # Without them, k-NN has 32 %, and the plain network comes to 20 % with 100 labels.
    assert few == (
        "With 50 labels the unlabelled rows are worth as much as 50 further labels: network, "
        "pretrained has an error of 20.0 %, k-NN, the best method without them, of 32.0 %."
    )


def worth_of(errors):
    content = content_with({entries.PLAIN: PLAIN_ERRORS, entries.PRETRAINED: errors})
    return [sentence.split(" rows ")[1] for sentence in study_words.worth(content)]


def test_what_a_study_cannot_tell_is_said():
    assert [text.split(":")[0] for text in worth_of([[0.05] * 3] * 3)] == [
        "are worth more than 150 further labels",
        "are worth more than 100 further labels",
        "are worth more labels than were tried",
    ]
    assert "worth nothing that 3 draws can show" in worth_of([[0.1, 0.3, 0.7]] * 3)[0]
    assert worth_of([[0.5, 0.51, 0.52]] * 3)[0].startswith("are worth less than nothing: ")
    content = content_with({entries.PLAIN: [[0.4] * 2], entries.PRETRAINED: [[0.3] * 2]}, [300])
    # All of the 300 rows have a label.
    assert not list(study_words.worth(content))
    assert not list(study_words.worth_to(entries.PRETRAINED, content))


def test_two_seeds_settle_nothing():
    content = content_with(
        {entries.KNN: [[0.1, 0.1]], entries.PRETRAINED: [[0.05, 0.05]]}, counts=[50]
    )
    (sentence,) = study_words.verdicts(content)
    assert sentence.endswith("has the lowest error, 5.0 %, which 2 draws cannot settle.")
    (sentence,) = study_words.worth(content)
    assert sentence.startswith(
        "With 50 labels the unlabelled rows seem worth more labels than were tried, which 2 draws "
        "cannot settle: "
    )
    single = content_with({entries.KNN: [[0.1]], entries.PRETRAINED: [[0.05]]}, counts=[50])
    assert study_words.lines(single)[0] == ["k-NN", "10.0"]
    assert "one draw" in next(study_words.verdicts(single))


def test_the_page_says_it_all(invented, tmp_path):
    study_report.write(invented, tmp_path)
    page = pages.read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.titles[0] == "How many labels does some.csv need?"
    network = study_words.worth_to(entries.PRETRAINED, invented)
    for sentence in (*study_words.verdicts(invented), *study_words.worth(invented), *network):
        assert sentence in page.text
    assert "RBF-SVM is left out with reasons." in page.text
    assert page.code[-1] == (
        "keras-sda study --data some.csv --target label --labels 50,100,200 --seeds 3"
    )
    assert "32.0 ± 5.0" in page.cells  # 0.02 t / sqrt 3, by hand
    assert len(page.pictures) == 1
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| k-NN | 32.0 ± 5.0 | 21.0 ± 2.5 | 11.0 ± 2.5 |" in table
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.full
def test_an_interruption_loses_one_fit(only_few, clouds, finished, tmp_path, monkeypatch, capsys):
    real, fits = studying.fit, []

    def interrupted(*arguments):
        if len(fits) == 10:
            raise KeyboardInterrupt
        fits.append(arguments[0].name)
        return real(*arguments)

    monkeypatch.setattr(studying, "fit", interrupted)
    how = {"labels": [4, 20], "seeds": 3, "output": tmp_path / "study"}
    with pytest.raises(KeyboardInterrupt):
        experiments.study(clouds, **how, verbose=0)
    content = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    known = sum(len(each["held_out"]) + ("error" in each) for each in content["results"])
    assert known == 10
    monkeypatch.setattr(studying, "fit", lambda *arguments: fits.append(1) or real(*arguments))
    result = experiments.study(clouds, **how)
    # With four labels, two of each class, one of each is held out: three settings, and all labels.
    assert len(fits) == 4 * 2 * 3 * 4
    assert "; 2 of 24 errors are known already" in capsys.readouterr().out
    for key in ("error", "held_out", "setting"):
        ours, theirs = (
            {(e["seed"], e["labels"], e["contestant"]): e[key] for e in content["results"]}
            for content in (result.content, finished.content)
        )
        assert ours == theirs
    # Again, there is nothing left to fit.
    experiments.study(clouds, **how, verbose=0)
    assert len(fits) == 4 * 2 * 3 * 4


def test_what_is_measured_otherwise_is_not_mixed(only_few, clouds, finished, tmp_path):
    how = {"labels": [4, 20], "seeds": 3, "output": finished.folder, "verbose": 0}
    with pytest.raises(ValueError, match="where seeds is 3. Received seeds=4: give the setting"):
        experiments.study(clouds, **(how | {"seeds": 4}))
    with pytest.raises(ValueError, match=r"where labels is \[4, 20\]. Received labels=\[4\]"):
        experiments.study(clouds, **(how | {"labels": [4]}))
    path = finished.folder / "study.json"
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
        content["versions"]["keras"] = "3.0"
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=r"was begun with keras 3.0, and results of two vers"):
            experiments.study(clouds, **how)
        content = json.loads(text)
        content["data"]["fingerprint"] = "another"
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ValueError, match=r"rows or labels of .*clouds.npz are no longer those"):
            experiments.study(clouds, **how)
        path.write_text("{", encoding="utf-8")
        with pytest.raises(ValueError, match=r"study.json is damaged"):
            experiments.study(clouds, **how)
    finally:
        path.write_text(text, encoding="utf-8")
    (tmp_path / "something").write_text("else")
    with pytest.raises(ValueError, match="is not empty: name a new one"):
        experiments.study(clouds, **(how | {"output": tmp_path}))


def test_data_that_cannot_be_studied(tmp_path):
    with pytest.raises(ValueError, match="xor has no test rows with one: use data that have some"):
        experiments.study("xor", output=tmp_path / "a", target=None)
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(tmp_path / "none.npz", x=x)
    with pytest.raises(ValueError, match=r"has no training rows with one: name the label column"):
        experiments.study(tmp_path / "none.npz", output=tmp_path / "a")
    np.savez(tmp_path / "numbers.npz", x=x, y=np.arange(60))
    with pytest.raises(ValueError, match=r"48 classes in 48 .* with a decimal point, such as"):
        experiments.study(tmp_path / "numbers.npz", output=tmp_path / "a")
    with pytest.raises(ValueError, match=r"must lie from 10 to 1437, .* Received: labels=9"):
        experiments.study("digits", labels=[50, 9], output=tmp_path / "a")
    with pytest.raises(ValueError, match=r"`seeds` of study must be .* Received: seeds=0"):
        experiments.study("digits", seeds=0, output=tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.full
def test_numbers_are_predicted_from_rows_without_one_too(tmp_path, monkeypatch):
    """Every regressor once; a fifth of the rows has no number."""
    train_briefly(monkeypatch, fine_tuning=60, pretraining=4)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 5))
    y = np.where(np.arange(120) % 5 == 0, np.nan, 10 * x[:, 0] + generator.normal(size=120))
    np.savez(tmp_path / "numbers.npz", x=x, y=y)
    result = experiments.study(
        tmp_path / "numbers.npz", labels=[40], seeds=1, output=tmp_path / "study", verbose=0
    )
    data = result.content["data"]
    assert (data["rows"], data["labelled"], data["is_classification"]) == (96, 77, False)
    errors = result.content["summary"]["errors"]
    assert list(errors) == [each.name for each in entries.REGRESSORS]
    # The line is ridge regression's own, its noise of deviation 1; guessing the mean has 10.
    assert 0.7 < errors["ridge regression"]["40"]["mean"] < 1.5
    assert all(figures["40"]["mean"] < 9 for figures in errors.values())
    assert "numbers.npz: root mean squared error, one seed" in str(result)


def test_held_out_labels_are_a_quarter_of_every_class():
    labels = np.array([0] * 8 + [1] * 2 + [2] + [-1] * 5)
    hidden, held_out = studying.hold_out(labels, 0)
    assert sorted(labels[held_out].tolist()) == [0, 0, 1]
    assert (hidden[held_out] == -1).all()
    others = np.setdiff1d(np.arange(len(labels)), held_out)
    np.testing.assert_array_equal(hidden[others], labels[others])
    # Most classes have a single label.
    assert studying.hold_out(np.array([0, 0, 1, 2, -1]), 0)[1] is None
    numbers = np.array([1.5, 2.5, np.nan, 3.5, 4.5])
    hidden, held_out = studying.hold_out(numbers, 0)
    assert len(held_out) == 1
    assert np.isnan(hidden).sum() == 2
    assert studying.hold_out(numbers[:4], 0)[1] is None


def test_numbers_of_labels_follow_from_the_data(clouds):
    digits = studying._load("digits", None, "auto", None)
    assert studying._counts(digits, None, False) == [20, 50, 100, 200, 500, 1000, 1437]
    assert studying._counts(digits, None, True) == [50, 200]
    assert studying._counts(digits, [100, 50, 50], True) == [50, 100]
    assert studying._counts(digits, 100, False) == [100]
    small = studying._load(clouds, None, "auto", None)
    assert studying._counts(small, None, False) == [10, 20, 50, 100, 160]
    # Columns are scaled alike, pixels are not.
    assert small.train.x.std() == pytest.approx(1, abs=0.01)
    assert digits.train.x.max() == 1


def test_what_would_take_too_long_is_left_out():
    by_name = {each.name: each for each in entries.CLASSIFIERS}
    svm, spreading = by_name[entries.SVM], by_name[entries.SPREADING]
    assert svm.reason_to_leave_out(60_000, 10_000) is None
    assert svm.reason_to_leave_out(60_000, 10_001) == (
        "more than 10,000 labels, as its time grows with the square of their number"
    )
    assert spreading.reason_to_leave_out(20_000, 100) is None
    assert "more than 20,000 rows" in spreading.reason_to_leave_out(20_001, 100)


def test_every_contestant_has_the_same_budget():
    for each in (*entries.CLASSIFIERS, *entries.REGRESSORS):
        assert len(each.settings) == 3
        assert each.uses_unlabelled == (each.without is not None)
    names = [each.name for each in entries.CLASSIFIERS]
    assert len(set(names)) == len(names)
    assert {each.without for each in entries.CLASSIFIERS} <= {None, *names}


def test_figures_beside_the_error_are_those_of_scikit_learn():
    from sklearn import linear_model, metrics, svm

    rng = np.random.default_rng(0)
    for classes in (2, 3):
        y = rng.choice(classes, 300, p=[0.15, 0.85] if classes == 2 else [0.1, 0.3, 0.6])
        x = rng.normal(size=(300, 4)) + y[:, None]
        for model in (svm.SVC(), linear_model.LogisticRegression()):
            found = study_fits.figures_of(model.fit(x[:200], y[:200]), x[200:], y[200:])
            rows, truth = x[200:], y[200:]
            accuracy = metrics.balanced_accuracy_score(truth, model.predict(rows))
            assert found["balanced accuracy"] == pytest.approx(accuracy)
            given = getattr(model, "predict_proba", getattr(model, "decision_function", None))(rows)
            given = given[:, 1] if given.ndim == 2 and classes == 2 else given
            one_hot = truth if classes == 2 else np.eye(classes)[truth]
            assert found["ROC-AUC"] == pytest.approx(metrics.roc_auc_score(one_hot, given))
    ridge = linear_model.Ridge().fit(x[:200], x[:200, 0] ** 2)
    target = x[200:, 0] ** 2
    expected = metrics.r2_score(target, ridge.predict(x[200:]))
    assert study_fits.figures_of(ridge, x[200:], target) == {"R2": pytest.approx(expected)}


def test_a_class_that_no_label_has_is_ranked_by_nothing():
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(1).fit([[0.0], [1.0]], [0, 1])
    found = study_fits.figures_of(model, np.array([[0.0], [1.0], [5.0]]), np.array([0, 1, 2]))
    assert found["ROC-AUC"] == pytest.approx((1 + 0.75 + 0.5) / 3)
    assert found["balanced accuracy"] == pytest.approx(2 / 3)


def test_held_out_labels_are_whole_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    labels = np.where(rng.random(120) < 0.5, rng.integers(0, 2, 120), -1)
    hidden, held_out = studying.hold_out(labels, 1, groups)
    known = np.flatnonzero(labels >= 0)
    others = np.setdiff1d(known, held_out)
    assert not set(groups[others]) & set(groups[held_out])
    assert 0.1 < len(held_out) / len(known) < 0.4
    assert (hidden[held_out] == -1).all()
    numbers = np.where(labels < 0, np.nan, rng.normal(size=120))
    assert not set(groups[np.isfinite(studying.hold_out(numbers, 0, groups)[0])]) & set(
        groups[studying.hold_out(numbers, 0, groups)[1]]
    )
    assert studying.hold_out(labels, 0, np.zeros(120, int))[1] is None


def test_strange_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="study has no argument 'group': did you mean groups"):
        experiments.study("digits", group="a", output=tmp_path / "a")


def test_equal_figures_have_an_interval_of_zero():
    content = {"data": {"is_classification": False}}
    measured = {"mean": 60.17, "interval": [60.17 - 7e-15, 60.17 + 7e-15]}
    assert study_words.cell(measured, content) == "60.17 ± 0"
    measured["interval"] = [60.16, 60.18]
    assert study_words.cell(measured, content) == "60.17 ± 0.01"
