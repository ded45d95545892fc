"""Supervised training leaves the denoiser of a pretrained stack as it was."""

import keras
import numpy as np
import pytest
from tiers import in_tiers

import keras_sda as ks


def make(**arguments):
    given = {"input_dim": 64, "hidden_units": [24, 12], "num_classes": 10, "seed": 0, **arguments}
    model = ks.StackedDenoisingAutoencoder(**given)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module", params=in_tiers([True, False], [True]), ids=["tied", "untied"])
def kept(request, digits):
    """A stack after pretraining and `fit`, and what it reconstructed in between."""
    x, y = digits
    model = make(tied=request.param)
    model.pretrain(x, epochs=3, verbose=0)
    before = model.reconstruct(x[:50]), model.reconstruction_error(x[:50])
    model.fit(x, y, epochs=3, verbose=0)
    return model, before


def check_same(model, x, before):
    np.testing.assert_array_equal(model.reconstruct(x[:50]), before[0])
    np.testing.assert_array_equal(model.reconstruction_error(x[:50]), before[1])


def test_reconstructions_stay_through_fit_and_files(kept, digits, tmp_path):
    x, y = digits
    model, before = kept
    check_same(model, x, before)
    moved = model.autoencoder.reconstruction_error(x[:50])
    assert moved.mean() > 1.05 * before[1].mean(), "fit moved the shared layers"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    check_same(loaded, x, before)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.fit(x, y, epochs=1, verbose=0)
    check_same(loaded, x, before)
    model.save_weights(tmp_path / "model.weights.h5")
    other = make(tied=model.levels[0].tied)
    other.optimizer.build(other.trainable_variables)  # whose state is in the file, too
    other.load_weights(tmp_path / "model.weights.h5")
    check_same(other, x, before)


def test_it_is_no_part_of_the_network(kept):
    model, _ = kept
    ours = {id(weight) for layer in model.denoiser.levels for weight in layer.weights}
    assert not ours & {id(weight) for weight in model.weights}
    assert model.count_params() == make(tied=model.levels[0].tied).count_params()
    assert keras.models.clone_model(model).denoiser_state == "shared"


def test_training_is_the_same_without_it(digits):
    x, y = digits
    weights = []
    for keep in (True, False):
        model = make(keep_denoiser=keep)
        model.pretrain(x, epochs=1, verbose=0)
        model.fit(x, y, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("pretrained", [True, False])
def test_what_cannot_be_trusted_is_refused(pretrained, digits, tmp_path):
    x, y = digits
    model = make(keep_denoiser=not pretrained)
    if pretrained:
        model.pretrain(x, epochs=1, verbose=0)
    assert model.reconstructs
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        assert not each.reconstructs
        for method in (each.reconstruct, each.reconstruction_error):
            with pytest.raises(ValueError, match=r"call pretrain\(x\) before fit\(x, y\)"):
                method(x)
    model.pretrain(x, epochs=1, verbose=0)
    assert np.isfinite(model.reconstruction_error(x)).all()


def test_pretraining_again_makes_the_shared_layers_the_denoiser(digits):
    x, y = digits
    model = make()
    for _ in range(2):
        model.pretrain(x, epochs=1, verbose=0)
        assert model.denoiser is model.autoencoder
        before = model.reconstruct(x[:50]), model.reconstruction_error(x[:50])
        model.fit(x, y, epochs=1, verbose=0)
        assert model.denoiser is not model.autoencoder
        check_same(model, x, before)


@pytest.mark.tensorflow_only(reason="exports are checked in one runtime")
def test_an_export_scores_as_after_pretraining(kept, digits, tmp_path):
    x = digits[0][:50]
    model, before = kept
    threshold = float(np.quantile(before[1], 0.9))
    differences = model.export(tmp_path / "model", rows=x, threshold=threshold)
    assert set(differences) == {"serve", "encode", "reconstruct", "score", "anomaly"}
    import tensorflow as tf

    exported = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(exported.score(x), before[1], rtol=1e-4)
    assert int(np.sum(exported.anomaly(x))) == 5


@pytest.mark.tensorflow_only(reason="exports are checked in one runtime")
def test_an_exported_score_sees_what_its_scaling_clips(kept, digits, tmp_path):
    x = digits[0][:20].copy()
    model, _ = kept
    clips = ks.datasets.Scaling(low=0.0, high=1.0)
    x[0, 0] = 99.0
    model.export(tmp_path / "model", rows=x, scaling=clips)
    import tensorflow as tf

    exported = tf.saved_model.load(str(tmp_path / "model"))
    score = exported.score(x).numpy()
    expected = model.reconstruction_error(np.clip(x, 0, 1))
    np.testing.assert_allclose(score[1:], expected[1:], rtol=1e-4)
    assert score[0] == pytest.approx(expected[0] + 98.0**2, rel=1e-4)
