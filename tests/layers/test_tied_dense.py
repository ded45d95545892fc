import keras
import numpy as np
import pytest
from checks import array, check_layer
from hypothesis import given
from hypothesis import strategies as st

from keras_sda.initializers import SigmoidGlorotUniform
from keras_sda.layers import TiedDense


@pytest.mark.float64
def test_standard(rng):
    x = rng.normal(size=(6, 5)).astype("float32")

    def up_and_down(layer, inputs):
        return layer(layer(inputs), reverse=True)

    check_layer(lambda **kwargs: TiedDense(3, **kwargs), x, weights=3, through=up_and_down)
    check_layer(
        lambda **kwargs: TiedDense(3, tied=False, **kwargs), x, weights=4, through=up_and_down
    )


def test_worked_by_hand():
    layer = TiedDense(2, activation="relu", visible_activation="linear")
    layer.build((None, 3))
    layer.kernel.assign([[1, 0], [2, -1], [0, 3]])
    layer.bias.assign([1, -2])
    layer.visible_bias.assign([0.5, 0, -1])
    # x @ W + b = [1*1 + 2*2 + 3*0 + 1, 1*0 + 2*(-1) + 3*3 - 2] = [6, 5]
    code = layer(np.array([[1.0, 2.0, 3.0]], "float32"))
    np.testing.assert_allclose(array(code), [[6, 5]])
    # h @ W.T + c = [6 + 0.5, 12 - 5 + 0, 15 - 1]
    np.testing.assert_allclose(array(layer(code, reverse=True)), [[6.5, 7, 14]])
    # relu cuts the second unit of another row: [-1 + 1, 0 - 2] -> [0, 0]
    row = np.array([[-1.0, 0.0, 0.0]], "float32")
    np.testing.assert_allclose(array(layer(row)), [[0, 0]])
    np.testing.assert_allclose(array(layer(row, activate=False)), [[0, -2]])


def test_sigmoid_encoder_and_decoder_by_default():
    layer = TiedDense(4, kernel_initializer="zeros")
    code = layer(np.ones((1, 3), "float32"))
    np.testing.assert_allclose(array(code), np.full((1, 4), 0.5))
    np.testing.assert_allclose(array(layer(code, reverse=True)), np.full((1, 3), 0.5))
    np.testing.assert_allclose(array(layer(code, reverse=True, activate=False)), np.zeros((1, 3)))


def test_one_variable_gets_the_gradients_of_encoder_and_decoder(rng):
    x = rng.normal(size=(8, 3)).astype("float32")
    layer = TiedDense(2, activation="tanh", visible_activation="linear")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(layer(inputs), reverse=True))
    kernel = layer.kernel.numpy().copy()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, x, batch_size=8, epochs=1, verbose=0)
    # d/dW of mean((h W' - x)^2), h = tanh(x W): the two paths, by the chain rule.
    hidden = np.tanh(x @ kernel)
    residual = 2 * (hidden @ kernel.T - x) / x.size
    gradient = residual.T @ hidden + x.T @ ((residual @ kernel) * (1 - hidden**2))
    np.testing.assert_allclose(layer.kernel.numpy(), kernel - 0.1 * gradient, atol=1e-6)


def test_untied_has_its_own_kernel(rng):
    layer = TiedDense(2, tied=False, visible_activation="linear")
    layer.build((None, 3))
    layer.visible_kernel.assign(np.ones((2, 3)))
    np.testing.assert_allclose(array(layer(np.ones((1, 2), "float32"), reverse=True)), [[2, 2, 2]])


def test_untied_kernel_starts_as_the_transpose_and_is_independent(rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    layer = TiedDense(2)
    before = array(layer(layer(x), reverse=True))
    layer.untie()
    after = array(layer(layer(x), reverse=True))
    # To rounding: a library may multiply by a transposed view in another order than by a copy.
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    layer.kernel.assign(np.zeros((3, 2)))
    assert np.abs(layer.visible_kernel.numpy()).max() > 0
    assert layer.get_config()["tied"] is False
    with pytest.raises(ValueError, match="cannot be untied: it is not tied"):
        layer.untie()


def test_a_decoder_saved_without_its_encoder(rng, tmp_path):
    layer = TiedDense(2)
    layer.build((None, 5))
    codes = keras.Input((2,))
    decoder = keras.Model(codes, layer(codes, reverse=True))
    decoder.save(tmp_path / "decoder.keras")
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    h = rng.uniform(size=(3, 2)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(h, verbose=0), decoder.predict(h, verbose=0))


@pytest.mark.parametrize("units", [0, -1, 2.5, True, "3"])
def test_refuses_units(units):
    with pytest.raises(ValueError, match="`units` of TiedDense must be a whole number of at least"):
        TiedDense(units)


def test_refuses_decoding_before_it_is_built():
    with pytest.raises(ValueError, match="asked to decode before it was built"):
        TiedDense(2)(np.zeros((1, 2), "float32"), reverse=True)


def test_shapes_are_those_of_codes_unless_it_decodes():
    layer = TiedDense(2)
    layer.build((None, 3))
    assert layer.compute_output_spec(keras.KerasTensor((None, 3))).shape == (None, 2)
    assert layer.compute_output_spec(keras.KerasTensor((7, 2)), reverse=True).shape == (7, 3)


def test_refuses_the_wrong_number_of_columns():
    layer = TiedDense(2)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="expects inputs with 3 columns. Received 4"):
        layer(keras.Input((4,)))
    with pytest.raises(ValueError, match="expects codes with 2 columns. Received 3"):
        layer(keras.Input((3,)), reverse=True)


# JAX compiles for each shape, so that there are few.
@given(
    fan_in=st.sampled_from([1, 2, 30, 300]),
    fan_out=st.sampled_from([1, 3, 300]),
    seed=st.integers(0, 99),
)
def test_sigmoid_glorot_bound(fan_in, fan_out, seed):
    kernel = array(SigmoidGlorotUniform(seed=seed)((fan_in, fan_out)))
    bound = 4 * np.sqrt(6 / (fan_in + fan_out))
    assert np.abs(kernel).max() <= bound * (1 + 1e-6)


def test_sigmoid_glorot_is_uniform_and_reproducible():
    kernel = array(SigmoidGlorotUniform(seed=3)((784, 1000)))
    bound = 4 * np.sqrt(6 / 1784)
    assert np.abs(kernel).max() > 0.999 * bound
    # Uniform on (-b, b): standard deviation b / sqrt(3), a quarter of the values above b / 2.
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=5e-3)
    assert (kernel > bound / 2).mean() == pytest.approx(0.25, abs=5e-3)
    np.testing.assert_array_equal(kernel, array(SigmoidGlorotUniform(seed=3)((784, 1000))))
    config = keras.initializers.serialize(SigmoidGlorotUniform(seed=3))
    again = keras.initializers.deserialize(config)
    np.testing.assert_array_equal(kernel, array(again((784, 1000))))
