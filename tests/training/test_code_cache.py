"""Where the codes between levels are kept changes nothing but memory."""

import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
from tiers import in_tiers

from keras_sda.layers import MaskingNoise, TiedDense
from keras_sda.training.code_cache import CodeCache
from keras_sda.training.pretraining import pretrain_layers


def stack(*sizes):
    layers = []
    for level, (width, units) in enumerate(itertools.pairwise(sizes)):
        initializer = keras.initializers.GlorotUniform(seed=level)
        layers.append(TiedDense(units, kernel_initializer=initializer))
        layers[-1].build((None, width))
    return layers


class Batches(keras.utils.PyDataset):
    def __init__(self, x, size):
        super().__init__()
        self.x, self.size = x, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        return self.x[index * self.size : (index + 1) * self.size]


def pretrained(x, cache, folder, **kwargs):
    layers = stack(64, 20, 15, 10)
    histories = pretrain_layers(
        layers,
        x,
        noise=[MaskingNoise(0.3, seed=level) for level in range(3)],
        epochs=2,
        batch_size=50,
        seed=0,
        cache=cache,
        cache_dir=folder,
        **{"verbose": 0, **kwargs},
    )
    weights = np.concatenate([w.ravel() for layer in layers for w in layer.get_weights()])
    return weights, [history.history for history in histories]


def test_all_caches_give_the_same_weights(digits, tmp_path):
    x, _ = digits
    held_out = x[:100]
    weights, histories = pretrained(x, "memory", tmp_path, validation_data=held_out)
    on_disk, disk_histories = pretrained(x, "disk", tmp_path, validation_data=held_out)
    assert list(tmp_path.iterdir()) == []
    recomputed, _ = pretrained(x, "recompute", tmp_path, validation_data=held_out)
    automatic, _ = pretrained(x, "auto", tmp_path, validation_data=held_out)
    assert np.array_equal(automatic, weights)
    if keras.backend.backend() == "tensorflow":
        assert np.array_equal(on_disk, weights)
        assert disk_histories[0] == histories[0]
        np.testing.assert_allclose(recomputed, weights, atol=2e-5)


@pytest.mark.parametrize("cache", in_tiers(["memory", "disk", "recompute"], ["recompute"]))
def test_inputs_in_a_file_and_in_a_dataset(cache, digits, tmp_path):
    x, _ = digits
    path = tmp_path / "x.npy"
    np.save(path, x)
    mapped = np.load(path, mmap_mode="r")
    (tmp_path / "cache").mkdir()
    folder = tmp_path / "cache"
    from_file, _ = pretrained(mapped, cache, folder, validation_data=mapped)
    from_array, _ = pretrained(x, cache, folder, validation_data=x)
    if keras.backend.backend() == "tensorflow":
        np.testing.assert_allclose(from_file, from_array, atol=2e-5)
    unshuffled, _ = pretrained(x, cache, folder, shuffle=False)
    from_dataset, _ = pretrained(Batches(x, 50), cache, folder, shuffle=False)
    np.testing.assert_allclose(from_dataset, unshuffled, atol=2e-5)
    assert list(folder.iterdir()) == []


def test_nothing_is_left_on_disk_after_an_error(digits, tmp_path):
    x, _ = digits

    class Stops(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if self.model.level == 2:
                assert any(tmp_path.rglob("codes_2"))
                assert not any(tmp_path.rglob("codes_1"))  # no longer needed
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrained(x, "disk", tmp_path, callbacks=[Stops()])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_refused_before_training(digits, tmp_path):
    x, _ = digits
    with pytest.raises(ValueError, match="found no folder .*nowhere"):
        pretrained(x, "disk", tmp_path / "nowhere")
    huge = np.lib.stride_tricks.as_strided(x[:1], shape=(10**15, 64), strides=(0, 4))
    with pytest.raises(ValueError, match=r"needs .* GiB for codes on disk, but .* has .* GiB left"):
        CodeCache("disk", tmp_path, stack(64, 20, 10), (huge, None))
    assert CodeCache("auto", tmp_path, stack(64, 20, 10), (x, None)).kind == "memory"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        dataset = tf.data.Dataset.from_tensor_slices(x).batch(50)
        with pytest.raises(ValueError, match="not for a tf.data.Dataset: use cache='disk'"):
            pretrained(dataset, "recompute", tmp_path)
        weights, _ = pretrained(dataset, "disk", tmp_path)
        assert np.isfinite(weights).all()


def test_the_lines_say_where_codes_are(digits, tmp_path, capsys):
    x, _ = digits
    pretrained(x, "auto", tmp_path, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    first, second = (
        line for line in lines if line.startswith(("Level 1 of 3: 6", "Level 2 of 3: 2"))
    )
    assert "codes" not in first
    assert second.endswith("codes in memory")
    assert "gradient written out" in "".join(lines)
    pretrained(x, "disk", tmp_path, verbose=2)
    assert "codes on disk" in capsys.readouterr().out


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_codes_on_disk_need_little_memory(tmp_path):
    """Codes of 160 MB in a process that may take 100 MB beyond its start-up."""
    script = """
    import sys, threading, time
    from pathlib import Path
    import numpy as np
    from keras_sda.layers import MaskingNoise, TiedDense
    from keras_sda.training.pretraining import pretrain_layers

    def anonymous():
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024

    folder, cache = sys.argv[1:]
    rows = 200_000
    x = np.lib.format.open_memmap(folder + "/x.npy", "w+", "float32", (rows, 50))
    for start in range(0, rows, 10_000):
        x[start : start + 10_000] = np.random.default_rng(start).uniform(size=(10_000, 50))
    x = np.load(folder + "/x.npy", mmap_mode="r")

    def run(rows):
        layers = [TiedDense(200), TiedDense(8)]
        layers[0].build((None, 50)), layers[1].build((None, 200))
        pretrain_layers(layers, rows, noise=MaskingNoise(0.3), epochs=1, batch_size=1000,
                        cache=cache, cache_dir=folder, verbose=0)

    run(x[:2000])
    start, most = anonymous(), 0
    def watch():
        global most
        while True:
            most = max(most, anonymous())
            time.sleep(0.005)
    threading.Thread(target=watch, daemon=True).start()
    run(x)
    print(most - start)
    """
    taken = {}
    for cache in ("disk", "memory"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), cache],
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        taken[cache] = float(done.stdout.split()[-1])
    assert taken["disk"] < 100, taken
    assert taken["memory"] > 150, taken  # else the other number says nothing
