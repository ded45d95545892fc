import keras
import numpy as np
import pytest

from keras_sda.layers import MaskingNoise, TiedDense
from keras_sda.resuming import fingerprint


def test_data_are_told_apart(tmp_path, rng):
    x = rng.uniform(size=(50, 4)).astype("float32")
    same = fingerprint.of_data(x)
    assert fingerprint.of_data(x.copy()) == same
    np.save(tmp_path / "x.npy", x)
    assert fingerprint.of_data(np.load(tmp_path / "x.npy", mmap_mode="r")) == same
    assert fingerprint.of_data(x[:, ::-1]) != same
    changed = x.copy()
    changed[49, 3] += 1e-6
    difference = fingerprint.first_difference({"x": same}, {"x": fingerprint.of_data(changed)})
    assert difference == "the values of x are others"
    difference = fingerprint.first_difference({"x": same}, {"x": fingerprint.of_data(x[:40])})
    assert difference == "x.shape[0] was 50 and is now 40"
    assert fingerprint.of_data((x, None)) == [same, None]


def test_a_checksum_does_not_depend_on_how_it_is_read(rng, monkeypatch):
    x = rng.uniform(size=(1000, 3))
    whole = fingerprint.of_data(x)
    monkeypatch.setattr(fingerprint, "_CHUNK_BYTES", 100)
    assert fingerprint.of_data(x) == whole
    monkeypatch.setattr(fingerprint, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(fingerprint, "_SAMPLED_ROWS", 10)
    sampled = fingerprint.of_data(x)
    assert sampled != whole
    x[111] += 1  # row 111 = 999 / 9 is one of the ten
    assert fingerprint.of_data(x) != sampled


def test_names_do_not_count_but_settings_do():
    one, other = (fingerprint.of_object(TiedDense(3)) for _ in range(2))
    assert one == other
    rates = [fingerprint.of_object([MaskingNoise(rate), None]) for rate in (0.1, 0.2)]
    assert fingerprint.first_difference(*rates) == "[0].rate was 0.1 and is now 0.2"
    schedules = [
        fingerprint.of_object(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, n)))
        for n in (10, 20)
    ]
    assert "decay_steps was 10 and is now 20" in fingerprint.first_difference(*schedules)


@pytest.mark.parametrize("value", [float("inf"), None, "adam", [1, [2, 3]], {"a": {"b": 1}}])
def test_the_same_is_no_difference(value):
    assert fingerprint.first_difference({"v": value}, {"v": value}) is None


@pytest.mark.parametrize("value", [None, 1, "adam", [1, 2], {"a": 1}])
def test_another_kind_of_value_is_a_difference(value):
    shown = f"v was [1] and is now {value!r}"
    assert fingerprint.first_difference({"v": [1]}, {"v": value}) == shown
    shown = f"v was {value!r} and is now [1]"
    assert fingerprint.first_difference({"v": value}, {"v": [1]}) == shown


@pytest.mark.parametrize("error", [NotImplementedError, TypeError, ValueError])
def test_an_object_without_a_configuration_counts_by_its_class(error):
    class Own:
        def get_config(self):
            raise error

    assert fingerprint.of_object(Own()) == {"class": "Own"}
    assert fingerprint.of_object(test_names_do_not_count_but_settings_do) == {"class": "function"}


def test_objects_in_a_configuration_count_by_their_settings():
    def config(rate, scale):
        return {
            "noise": MaskingNoise(rate),
            "initializer": keras.initializers.VarianceScaling(scale),
            "rates": np.array([rate, np.float32(2)]),
            "function": len,
        }

    first = fingerprint.plain(config(0.1, 1.0))
    assert fingerprint.plain(config(0.1, 1.0)) == first
    assert first["rates"] == [0.1, 2.0]
    difference = fingerprint.first_difference(first, fingerprint.plain(config(0.2, 1.0)))
    assert "rate was 0.1 and is now 0.2" in difference
    difference = fingerprint.first_difference(first, fingerprint.plain(config(0.1, 2.0)))
    assert "scale was 1.0 and is now 2.0" in difference
