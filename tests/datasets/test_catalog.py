"""`load`: named sets, the split rule, and real MNIST from every source."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sda import datasets
from keras_sda.datasets import Scaling, load, names
from keras_sda.datasets.idx import read_idx

TFDS_DIR = os.environ.get("TFDS_DATA_DIR")
PLAIN_DIR = os.environ.get("KERAS_SDA_DATA")

needs_tfds = pytest.mark.skipif(
    not TFDS_DIR or not Path(TFDS_DIR, "mnist").is_dir(),
    reason="TFDS_DATA_DIR names no folder with MNIST prepared by tensorflow-datasets",
)
needs_idx = pytest.mark.skipif(
    not PLAIN_DIR or not Path(PLAIN_DIR, "mnist-idx").is_dir(),
    reason="KERAS_SDA_DATA names no folder with the four IDX files of MNIST in mnist-idx",
)


@pytest.fixture
def no_data(monkeypatch):
    """An environment whose variables point at no data."""
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.delenv("KERAS_SDA_DATA", raising=False)


def sizes(data):
    return [None if s is None else len(s.x) for s in (data.train, data.valid, data.test)]


# digits ------------------------------------------------------------------------------------------


def test_names():
    images = ["digits", "digits28", "mnist", "fashion_mnist"]
    assert names() == [*images, "gaussian_clouds", "xor"]


def test_digits_have_the_promised_split():
    data = load("digits")
    assert sizes(data) == [1257, 180, 360]
    x, y = data.train
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert (x.min(), x.max()) == (0, 1)
    assert [array.shape for array in tuple(data.valid)] == [(180, 64), (180,)]
    assert data.image_shape == (8, 8, 1)
    assert data.classes is None
    # Stratified: each class has its share in every part, up to one row.
    shares = np.bincount(np.concatenate([s.y for s in (data.train, data.valid, data.test)])) / 1797
    for split in (data.train, data.valid, data.test):
        assert np.abs(np.bincount(split.y) - shares * len(split.y)).max() <= 1


def test_digits_are_complete_and_always_split_alike():
    from sklearn.datasets import load_digits

    expected = load_digits()
    for seed in (0, 7):
        data = load("digits", seed=seed)
        x = np.concatenate([s.x for s in (data.train, data.valid, data.test)])
        y = np.concatenate([s.y for s in (data.train, data.valid, data.test)])
        labelled = np.column_stack([x * 16, y])
        original = np.column_stack([expected.data, expected.target])
        np.testing.assert_array_equal(
            labelled[np.lexsort(labelled.T)], original[np.lexsort(original.T)]
        )
        # Pinned: figures measured on these test rows hold only while they are the same rows.
        assert data.test.y[:12].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3, 2, 6]


def test_digits_full_joins_train_and_valid_and_keeps_the_test_rows():
    tutorial, full = load("digits"), load("digits", split="full")
    assert sizes(full) == [1437, None, 360]
    np.testing.assert_array_equal(full.test.x, tutorial.test.x)
    joined = np.concatenate([tutorial.train.x, tutorial.valid.x])
    np.testing.assert_array_equal(
        full.train.x[np.lexsort(full.train.x.T)], joined[np.lexsort(joined.T)]
    )


def test_images_are_the_rows_reshaped():
    flat, images = load("digits"), load("digits", flatten=False)
    np.testing.assert_array_equal(images.test.x, flat.test.x.reshape(-1, 8, 8, 1))


@pytest.mark.parametrize("scale", ["unit", "symmetric", "standard", None])
def test_scales_of_digits(scale):
    raw = load("digits", scale=None)
    data = load("digits", scale=scale)
    assert raw.train.x.max() == 16
    expected = {
        "unit": lambda x: x / 16,
        "symmetric": lambda x: x / 8 - 1,
        "standard": lambda x: (x - mean) / np.where(deviation > 0, deviation, 1),
        None: lambda x: x,
    }[scale]
    mean, deviation = (f(raw.train.x.astype("float64"), axis=0) for f in (np.mean, np.std))
    for split, rows in ((data.train, raw.train), (data.test, raw.test)):
        assert split.x.dtype == np.float32
        np.testing.assert_allclose(split.x, expected(rows.x), atol=1e-6)
    # The returned map does the same to raw rows.
    again = Scaling.from_dict(data.scaling.to_dict())
    np.testing.assert_array_equal(again(raw.test.x), data.test.x)


def test_data_is_immutable_and_has_a_short_repr():
    data = load("digits")
    with pytest.raises(AttributeError):
        data.train = None
    assert repr(data) == "Data('digits', train=(1257, 64), valid=(180, 64), test=(360, 64))"


# The split rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(3, [1, 1, 1]), (10, [7, 1, 2]), (100, [70, 10, 20]), (1797, [1257, 180, 360])],
)
def test_files_without_parts_are_split_70_10_20(tmp_path, rows, expected):
    np.save(tmp_path / "a.npy", np.arange(float(rows)).reshape(-1, 1))
    data = load(tmp_path / "a.npy", scale=None)
    assert sizes(data) == expected
    together = np.concatenate([data.train.x, data.valid.x, data.test.x])[:, 0]
    assert sorted(together.tolist()) == list(range(rows))
    full = load(tmp_path / "a.npy", split="full", scale=None)
    assert sizes(full) == [expected[0] + expected[1], None, expected[2]]
    np.testing.assert_array_equal(full.test.x, data.test.x)


def test_seed_decides_the_split_of_a_file(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(50.0).reshape(-1, 1))
    first, again, other = (load(tmp_path / "a.npy", seed=seed).test.x for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_is_stratified_if_every_class_has_enough_rows(tmp_path):
    y = np.repeat([0, 1], [180, 20])
    np.savez(tmp_path / "a.npz", x=np.arange(200.0).reshape(-1, 1), y=y)
    for seed in range(5):
        data = load(tmp_path / "a.npz", seed=seed)
        counts = [int(split.y.sum()) for split in (data.train, data.valid, data.test)]
        assert counts == [14, 2, 4]


@pytest.mark.parametrize(
    "y",
    [
        np.array([0] * 19 + [1]),  # one row of a class
        np.arange(20),  # more classes than test rows
        np.linspace(0, 1, 20),  # regression
    ],
)
def test_split_is_not_stratified_otherwise(tmp_path, y):
    np.savez(tmp_path / "a.npz", x=np.ones((20, 1)), y=y)
    data = load(tmp_path / "a.npz")
    assert sizes(data) == [14, 2, 4]
    together = np.concatenate([split.y for split in (data.train, data.valid, data.test)])
    np.testing.assert_allclose(np.sort(together), np.sort(y), rtol=1e-6)


def test_file_with_train_but_no_valid_validates_on_a_stratified_sixth(tmp_path):
    y = np.repeat([0, 1, 2], 20)
    x = np.arange(60.0).reshape(-1, 1)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=-x[:5], y_test=y[:5])
    data = load(tmp_path / "a.npz", scale=None)
    assert sizes(data) == [50, 10, 5]
    assert np.bincount(data.valid.y).min() >= 3
    assert sorted(np.concatenate([data.train.x, data.valid.x])[:, 0].tolist()) == list(range(60))
    full = load(tmp_path / "a.npz", split="full", scale=None)
    np.testing.assert_array_equal(full.train.x, x)
    assert full.valid is None


def test_standard_is_fitted_on_training_rows_alone(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=[[0.0], [2.0]], x_valid=[[99.0]], x_test=[[5.0]])
    data = load(tmp_path / "a.npz", scale="standard")
    assert [split.x.ravel().tolist() for split in (data.train, data.valid, data.test)] == [
        [-1, 1],
        [98],
        [4],
    ]


def test_idx_folder_is_split_as_mnist_is(tmp_path, write_idx_folder):
    images, labels = write_idx_folder(tmp_path, num_train=24)["train"]
    rows = np.float32(images.reshape(24, -1) / 255)
    tutorial = load(tmp_path)
    np.testing.assert_array_equal(tutorial.train.x, rows[:20])
    np.testing.assert_array_equal(tutorial.valid.x, rows[20:])
    tensorflow = load(tmp_path, split="tensorflow")
    np.testing.assert_array_equal(tensorflow.valid.x, rows[:2])
    np.testing.assert_array_equal(tensorflow.train.y, labels[2:])
    np.testing.assert_array_equal(load(tmp_path, split="full").train.x, rows)


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "mnsit"}, "Unknown data 'mnsit'. Expected one of digits, digits28"),
        ({"name_or_path": 3}, "must be a name or a path. Received: name_or_path=3"),
        ({"scale": "minmax"}, "Argument `scale` of .* must be one of 'auto', .*: scale='minmax'"),
        ({"split": "half"}, "Argument `split` of .* 'tutorial', 'tensorflow', 'full'. .*'half'"),
        ({"split": "tensorflow"}, "must be 'tutorial' or 'full' for digits.*split='tensorflow'"),
        ({"seed": -1}, "Argument `seed` of .* must be a whole number of at least 0"),
        ({"target": "y"}, "target='y' with 'digits', which has its labels already"),
    ],
)
def test_argument_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"name_or_path": "digits", **arguments})


@pytest.mark.parametrize("split", ["tutorial", "full"])
def test_file_without_training_rows(tmp_path, split):
    np.savez(tmp_path / "a.npz", x_test=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"no training rows. Received only: test. .*read_rows"):
        load(tmp_path / "a.npz", split=split)


def test_single_training_row_cannot_validate(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"at least 2 training rows, .* use split='full'"):
        load(tmp_path / "a.npz")
    assert sizes(load(tmp_path / "a.npz", split="full")) == [1, None, None]


def test_data_dir_must_exist(tmp_path):
    for name in ("mnist", "tfds:iris"):
        with pytest.raises(
            FileNotFoundError, match=r"`data_dir` must be an existing folder.*absent"
        ):
            load(name, data_dir=tmp_path / "absent")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "tfds:iris"])
def test_failed_download_says_how_to_point_at_data(tmp_path, monkeypatch, no_data, name):
    import tensorflow_datasets as tfds

    def fail(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(FileNotFoundError, match=r"--data-dir .* or TFDS_DATA_DIR") as caught:
        load(name, data_dir=tmp_path)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert ("KERAS_SDA_DATA" in str(caught.value)) == (name != "tfds:iris")


def test_unknown_tfds_name(tmp_path):
    with pytest.raises(ValueError, match=r"does not offer 'no_such_set' .*catalog"):
        load("tfds:no_such_set", data_dir=tmp_path)


# Where the image sets are found ------------------------------------------------------------------


@pytest.mark.parametrize("folder", [".", "mnist", "mnist-idx"])
def test_mnist_in_plain_files(tmp_path, monkeypatch, no_data, folder, write_idx_folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    images, _ = write_idx_folder(tmp_path / folder)["train"]
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    data = load("mnist", split="full")
    assert data.name == "mnist"
    np.testing.assert_array_equal(data.train.x, np.float32(images.reshape(12, -1) / 255))
    assert load("tfds:mnist", split="full").train.x.shape == (12, 20)


def test_explicit_data_dir_comes_first(tmp_path, monkeypatch, no_data, write_idx_folder):
    write_idx_folder(tmp_path, num_train=24)
    (tmp_path / "other").mkdir()
    write_idx_folder(tmp_path / "other", num_train=36)
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    assert sizes(load("mnist")) == [20, 4, 6]
    assert sizes(load("mnist", data_dir=tmp_path / "other")) == [30, 6, 6]


def test_fashion_mnist_is_never_taken_from_the_files_of_mnist(
    tmp_path, monkeypatch, no_data, write_idx_folder
):
    import tensorflow_datasets as tfds

    def fail(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    write_idx_folder(tmp_path)
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="fashion_mnist is not prepared"):
        load("fashion_mnist")
    (tmp_path / "fashion_mnist").mkdir()
    write_idx_folder(tmp_path / "fashion_mnist", num_train=36)
    assert sizes(load("fashion_mnist")) == [30, 6, 6]
    # A folder that is named explicitly is trusted.
    assert sizes(load("fashion_mnist", data_dir=tmp_path / "fashion_mnist")) == [30, 6, 6]


# Real MNIST --------------------------------------------------------------------------------------


@needs_idx
def test_idx_files_are_the_published_ones():
    digests = {
        "train-images-idx3": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1": "27ae3e4e09519cfbb04c329615203637",
    }
    shapes = [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    for (name, digest), shape in zip(digests.items(), shapes, strict=True):
        array = read_idx(Path(PLAIN_DIR, "mnist-idx", f"{name}-ubyte.gz"))
        assert array.shape == shape
        # The digest is of the whole file, so the header goes back in front.
        header = b"\0\0\x08" + bytes([array.ndim]) + np.array(shape, ">u4").tobytes()
        assert hashlib.md5(header + array.tobytes()).hexdigest() == digest  # noqa: S324


@needs_idx
def test_mnist_splits(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    full = load("mnist", split="full")
    assert sizes(full) == [60000, None, 10000]
    assert full.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert (full.train.x.dtype, full.train.y.dtype) == (np.float32, np.int64)
    assert (full.train.x.min(), full.train.x.max()) == (0, 1)
    tutorial = load("mnist")
    assert sizes(tutorial) == [50000, 10000, 10000]
    np.testing.assert_array_equal(tutorial.train.x, full.train.x[:50000])
    np.testing.assert_array_equal(tutorial.valid.y, full.train.y[50000:])
    tensorflow = load("mnist", split="tensorflow", flatten=False)
    assert sizes(tensorflow) == [55000, 5000, 10000]
    assert tensorflow.valid.x.shape == (5000, 28, 28, 1)
    np.testing.assert_array_equal(tensorflow.valid.x.reshape(5000, 784), full.train.x[:5000])
    np.testing.assert_array_equal(tensorflow.train.y, full.train.y[5000:])


@needs_tfds
@needs_idx
def test_every_source_of_mnist_gives_the_same_arrays(monkeypatch):
    folder = load(Path(PLAIN_DIR, "mnist-idx"), scale=None)
    prepared = load("mnist", data_dir=TFDS_DIR, scale=None)
    assert prepared.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    for part in ("train", "valid", "test"):
        for ours, theirs in zip(getattr(folder, part), getattr(prepared, part), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert folder.image_shape == prepared.image_shape == (28, 28, 1)


@pytest.mark.full
@needs_tfds
def test_tfds_data_dir_comes_before_plain_files(tmp_path, monkeypatch, write_idx_folder):
    write_idx_folder(tmp_path)
    monkeypatch.setenv("KERAS_SDA_DATA", str(tmp_path))
    assert sizes(load("mnist")) == [50000, 10000, 10000]


# Other sets of tensorflow-datasets ---------------------------------------------------------------


@pytest.fixture(scope="module")
def toy_sets(tmp_path_factory):
    """A folder with small sets prepared by tensorflow-datasets itself, without a network."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")
    features = {
        "toy_images": tfds.features.Image(shape=(4, 5, 3)),
        "toy_vectors": tfds.features.Tensor(shape=(6,), dtype=np.float32),
        "toy_ragged": tfds.features.Image(shape=(None, None, 1)),
        "toy_pairless": tfds.features.Tensor(shape=(6,), dtype=np.float32),
    }
    splits = {"train": 12, "test": 5}

    def example(name, index):
        rng = np.random.default_rng(index)
        if name == "toy_images":
            return rng.integers(0, 256, (4, 5, 3), dtype="uint8")
        if name == "toy_ragged":
            return np.zeros((index + 1, 2, 1), dtype="uint8")
        return rng.random(6, dtype="float32") * 3

    for toy in features:
        # Not registered, so that the loader has only the prepared files to read.
        class Toy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            """A small set."""

            name = toy
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                label = tfds.features.ClassLabel(num_classes=3)
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict({"x": features[self.name], "y": label}),
                    supervised_keys=None if self.name == "toy_pairless" else ("x", "y"),
                )

            def _split_generators(self, dl_manager):
                sizes = splits | ({"validation": 4} if self.name == "toy_vectors" else {})
                return {split: self._generate_examples(count) for split, count in sizes.items()}

            def _generate_examples(self, count):
                for index in range(count):
                    yield index, {"x": example(self.name, index), "y": index % 3}

        Toy(data_dir=folder).download_and_prepare()
    return folder


def test_tfds_images_validate_on_the_last_sixth(toy_sets):
    data = load("tfds:toy_images", data_dir=toy_sets, flatten=False)
    assert data.name == "tfds:toy_images"
    assert sizes(data) == [10, 2, 5]
    assert data.image_shape == (4, 5, 3)
    raw = load("tfds:toy_images", data_dir=toy_sets, scale=None, split="full")
    np.testing.assert_array_equal(
        data.train.x.reshape(10, -1), np.float32(raw.train.x[:10] / 255.0)
    )
    np.testing.assert_array_equal(data.valid.y, raw.train.y[10:])
    # Each row was made from its number: an image and its label belong together.
    for row, label in zip(raw.test.x, raw.test.y, strict=True):
        matches = [
            index
            for index in range(5)
            if np.array_equal(
                np.random.default_rng(index).integers(0, 256, (4, 5, 3), dtype="uint8").ravel(), row
            )
        ]
        assert [index % 3 for index in matches] == [label]


def test_tfds_vectors_keep_their_own_validation_rows(toy_sets, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(toy_sets))
    data = load("tfds:toy_vectors")
    assert sizes(data) == [12, 4, 5]
    assert data.image_shape is None
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)
    assert sizes(load("tfds:toy_vectors", split="full")) == [16, None, 5]
    with pytest.raises(ValueError, match="must be 'tutorial' or 'full' for tfds:toy_vectors"):
        load("tfds:toy_vectors", split="tensorflow")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "toy_ragged",
            r"has inputs of shape \(None, None, 1\), but images or vectors of one shape",
        ),
        ("toy_pairless", "has no pairs of inputs and labels in a split 'train'. Its splits are"),
    ],
)
def test_tfds_sets_that_cannot_be_arrays(toy_sets, name, message):
    with pytest.raises(ValueError, match=message):
        load(f"tfds:{name}", data_dir=toy_sets)


def test_truncated_tfds_set(toy_sets, tmp_path):
    shutil.copytree(toy_sets / "toy_vectors", tmp_path / "toy_vectors")
    (record,) = (tmp_path / "toy_vectors" / "1.0.0").glob("*test.tfrecord*")
    record.write_bytes(record.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"The split 'test' of tfds:toy_vectors .* or corrupt"):
        load("tfds:toy_vectors", data_dir=tmp_path)


# Imports -----------------------------------------------------------------------------------------


def test_import_stays_light():
    code = (
        "import sys, types\n"
        "package = types.ModuleType('keras_sda'); package.__path__ = [sys.argv[1]]\n"
        "sys.modules['keras_sda'] = package  # the whole package would import Keras\n"
        "import keras_sda.datasets\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'sklearn', 'pandas', 'keras'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    root = Path(datasets.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
