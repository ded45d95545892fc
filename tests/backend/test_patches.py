"""What is changed in Keras and TensorFlow for a block is as before when the block is left."""

import contextlib

import keras
import pytest

pytestmark = pytest.mark.tensorflow_only


class Thing:
    """Has one attribute of its class, which an instance may hide."""

    color = "red"


def test_replaced_puts_back_what_was_there_and_removes_what_was_not():
    from keras_sda.backend.tensorflow.patches import replaced

    own = Thing()
    own.color = "green"
    for thing in (Thing(), own):
        before = dict(vars(thing))
        with contextlib.suppress(RuntimeError), replaced(thing, color="blue"):
            assert thing.color == "blue"
            raise RuntimeError
        assert vars(thing) == before


def places():
    """Returns each kind of change, and where it shows."""
    import tensorflow as tf

    from keras_sda.backend.tensorflow import patches

    optimizer = keras.optimizers.SGD()
    variable, argument = keras.Variable([1.0]), tf.Variable([2.0])
    return {
        "variables": (
            lambda: patches.standing_for([variable], [argument]),
            [(variable, "_value")],
        ),
        "updates": (lambda: patches.fused_updates(optimizer), [(optimizer, "update_step")]),
        "noise": (patches.noise_of_each_replica, [(keras.random.SeedGenerator, "next")]),
        "draws": (
            patches.draws_as_without_xla,
            [
                (tf.random, "stateless_uniform"),
                (tf.random, "stateless_normal"),
                (tf.nn.experimental, "stateless_dropout"),
            ],
        ),
    }


@pytest.mark.parametrize("kind", ["updates", "noise", "draws", "variables"])
def test_a_block_in_a_block_changes_nothing_more_and_all_is_put_back(kind):
    change, shown = places()[kind]

    def found():
        return [getattr(owner, name) for owner, name in shown]

    def same(values, others):
        return all(one is other or one == other for one, other in zip(values, others, strict=True))

    before = found()
    with contextlib.suppress(RuntimeError), change():
        changed = found()
        assert all(one is not other for one, other in zip(before, changed, strict=True))
        with change():
            assert same(found(), changed)
        assert same(found(), changed)
        raise RuntimeError
    assert same(found(), before)
