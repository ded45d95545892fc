import keras
import numpy as np
import pytest

from keras_sda.regularizers import CodeL1, KLSparsity


def kl(target, mean):
    return target * np.log(target / mean) + (1 - target) * np.log((1 - target) / (1 - mean))


def test_divergence_by_hand():
    codes = np.array([[0.1, 0.9], [0.3, 0.7]], "float32")  # means 0.2 and 0.8
    # 0.2 log(0.2 / 0.8) + 0.8 log(0.8 / 0.2) = 0.6 log 4
    assert float(KLSparsity(0.2)(codes)) == pytest.approx(0.6 * np.log(4), rel=1e-6)
    assert float(KLSparsity(0.2, 5.0)(codes)) == pytest.approx(3 * np.log(4), rel=1e-6)
    assert float(KLSparsity(0.2)(codes[:, :1])) == pytest.approx(0, abs=1e-6)


def test_the_batch_is_averaged_first(rng):
    codes = rng.uniform(size=(50, 7))
    penalty = float(KLSparsity(0.05, 2.0)(codes))
    assert penalty == pytest.approx(2 * kl(0.05, codes.mean(axis=0)).sum(), rel=1e-6)
    each_row = 2 * kl(0.05, codes).sum(axis=1).mean()
    assert penalty < 0.9 * each_row
    # One row fully on in twenty, the others off: nothing to object to.
    rare = np.zeros((20, 3), "float32")
    rare[4] = 1
    assert float(KLSparsity(0.05)(rare)) == pytest.approx(0, abs=1e-6)


@pytest.mark.float64
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_codes_at_the_ends_stay_finite(value, dtype):
    codes = keras.ops.full((4, 3), value, dtype=dtype)
    penalty = float(KLSparsity(0.05, 1.0)(codes))
    on = 0.05 if value == 0 else 0.95  # the share of the logarithm that is cut off
    rest = (1 - on) * np.log(1 - on) + on * np.log(on)
    assert penalty == pytest.approx(3 * (rest - on * np.log(1e-7)), rel=0.02)


def test_divergence_has_the_gradient_of_the_notes(rng):
    codes = rng.uniform(0.1, 0.9, size=(10, 4))
    regularizer = KLSparsity(0.1, 3.0)
    step = 1e-2  # wide enough for backends that average in float32
    numeric = np.zeros(4)
    for unit in range(4):
        up, down = codes.copy(), codes.copy()
        up[0, unit] += step
        down[0, unit] -= step
        numeric[unit] = (float(regularizer(up)) - float(regularizer(down))) / (2 * step)
    mean = codes.mean(axis=0)
    # UFLDL: beta (-rho / mean + (1 - rho) / (1 - mean)), here per row of the batch
    expected = 3.0 * (-0.1 / mean + 0.9 / (1 - mean)) / 10
    np.testing.assert_allclose(numeric, expected, rtol=1e-3)


def test_code_l1_by_hand():
    codes = np.array([[1.0, -2.0], [3.0, 0.0], [0.0, 0.0]], "float32")
    assert float(CodeL1(0.5)(codes)) == pytest.approx(0.5 * (3 + 3 + 0) / 3)


@pytest.mark.parametrize("regularizer", [KLSparsity(0.1, 3.0), CodeL1(0.2)])
def test_configuration(regularizer, rng):
    again = keras.regularizers.deserialize(keras.regularizers.serialize(regularizer))
    assert type(again) is type(regularizer)
    assert again.get_config() == regularizer.get_config()
    codes = rng.uniform(size=(5, 3))
    assert float(again(codes)) == float(regularizer(codes))


def test_refusals():
    for target in (0, 1, 1.5, "x"):
        with pytest.raises(ValueError, match="`target` of KLSparsity must"):
            KLSparsity(target)
    with pytest.raises(ValueError, match="`weight` of KLSparsity must be a finite number of at"):
        KLSparsity(0.1, -1)
    with pytest.raises(ValueError, match="`weight` of CodeL1 must be a finite number of at least"):
        CodeL1(np.inf)
