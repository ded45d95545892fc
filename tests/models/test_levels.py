"""The stacked sparse autoencoder: what regularizers make of the levels of a stack."""

import keras
import numpy as np
import pytest
from checks import check_saving

from keras_sda.models.stacked_denoising import StackedDenoisingAutoencoder
from keras_sda.regularizers import CodeL1, KLSparsity


def make(**arguments):
    given = {"input_dim": 64, "hidden_units": [24, 12], "num_classes": 10, "seed": 0, **arguments}
    return StackedDenoisingAutoencoder(**given)


def compiled(model, optimizer="adam"):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_stacked_sparse_autoencoder(digits, tmp_path):
    x, y = digits
    train, held_out = slice(0, 1400), slice(1400, None)
    model = make(
        hidden_units=[60, 40],
        noise=None,
        activation="sigmoid",
        kernel_initializer="glorot_uniform",
        batch_normalization=False,
        code_regularizer=KLSparsity(0.1, 3.0),
        kernel_regularizer=keras.regularizers.L2(1.5e-3),
    )
    model.pretrain(x[train], epochs=20, learning_rate=0.01, verbose=0)
    for level in range(2):
        assert 0.05 < model.encode(x, level=level).mean() < 0.2
    compiled(model, keras.optimizers.SGD(1e-12))
    # Supervised training is Keras' own: the penalties belong to pretraining.
    chosen = np.log(model.predict(x[:100], verbose=0)[np.arange(100), y[:100]])
    loss = model.fit(x[:100], y[:100], batch_size=100, verbose=0).history["loss"][0]
    assert loss == pytest.approx(-chosen.mean(), rel=1e-5)
    compiled(model, keras.optimizers.Adam(0.01))
    model.fit(x[train], y[train], epochs=15, verbose=0)
    assert model.evaluate(x[held_out], y[held_out], verbose=0)[1] > 0.85
    loaded = check_saving(model, x[:20], tmp_path)
    assert loaded.code_regularizers[1].get_config() == {"target": 0.1, "weight": 3.0}


def test_regularizers_per_level_and_of_older_files():
    model = make(
        code_regularizer=[CodeL1(0.5), None], kernel_regularizer=["l2", keras.regularizers.L1(0.1)]
    )
    again = StackedDenoisingAutoencoder.from_config(model.get_config())
    assert [type(one) for one in again.code_regularizers] == [CodeL1, type(None)]
    names = [type(one).__name__ for one in again.kernel_regularizers]
    assert names == ["L2", "L1"]
    older = make().get_config()
    del older["code_regularizer"], older["kernel_regularizer"]
    again = StackedDenoisingAutoencoder.from_config(older)
    assert again.code_regularizers == again.kernel_regularizers == [None, None]
