"""The published comparison on MNIST: minutes of training, left out unless asked for."""

import os

import pytest

from keras_sda.experiments import train_stack


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("TFDS_DATA_DIR") or os.environ.get("KERAS_SDA_DATA")),
    reason="needs MNIST: set TFDS_DATA_DIR or KERAS_SDA_DATA",
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mnist_error_is_at_most_one_and_a_half_percent(seed, tmp_path):
    metrics = train_stack(
        tmp_path,
        data="mnist",
        units=(1000, 1000, 1000),
        noise="masking",
        noise_level=0.3,
        finetune_noise_level=0.1,
        batch_size=100,
        learning_rate=2.0,
        seed=seed,
        verbose=2,
    )
    assert metrics["test"]["error"] <= 0.015
