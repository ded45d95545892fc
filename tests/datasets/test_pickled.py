"""Pickles: those of Python 2 and 3 in every protocol, damaged ones, and those that attack."""

import builtins
import contextlib
import gzip
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from keras_sda.datasets import load, read_rows
from keras_sda.datasets.pickled import read_pickle


def number(value):
    return b"J" + struct.pack("<i", value)


def string(value):
    """A byte string of Python 2 in protocols 1 and 2: the opcodes U (short) and T (long)."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


DTYPE = b"cnumpy\ndtype\n"
EMPTY_ARRAY = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85") + (
    string(b"b") + b"\x87R"
)


def dtype(code, order=b"|", fields=b"NNN", sizes=(-1, -1), flags=0):
    """The opcodes of a dtype: `numpy.dtype(code)`, and BUILD with its state."""
    made = DTYPE + string(code) + number(0) + number(1) + b"\x87R"
    made += b"(" + number(3) + string(order) + fields
    return made + b"".join(map(number, (*sizes, flags))) + b"tb"


def array(data, dtype, shape, is_fortran=b"\x89"):
    """The opcodes of an array: `_reconstruct`, and BUILD with its state."""
    shape = b"(" + b"".join(map(number, shape)) + b"t"
    return EMPTY_ARRAY + b"(" + number(1) + shape + dtype + is_fortran + string(data) + b"tb"


def python2_pickle(parts):
    """The opcodes Python 2's cPickle writes for nested tuples of arrays in protocol 2."""

    def numbers(a):
        kind = a.dtype.str.encode()
        return array(a.tobytes(), dtype(kind[1:], kind[:1]), a.shape)

    pairs = b"".join(numbers(x) + numbers(y) + b"\x86" for x, y in parts)
    return b"\x80\x02" + pairs + b"\x87."


def python2_pickle_of_protocol_0(parts):
    """The lines Python 2's pickle writes for the same in its default protocol."""

    def text(value):
        return b"S" + repr(value)[1:].encode() + b"\n"

    def pieces(*values):
        return b"(" + b"".join(values) + b"t"

    def numbers(a):
        kind = a.dtype.str.encode()
        shape = pieces(*(b"I%d\n" % length for length in a.shape))
        made = b"cnumpy.core.multiarray\n_reconstruct\np1\n"
        made += pieces(b"cnumpy\nndarray\np2\n", pieces(b"I0\n"), text(b"b")) + b"R"
        described = DTYPE + pieces(text(kind[1:]), b"I0\n", b"I1\n") + b"Rp5\n"
        described += pieces(b"I3\n", text(kind[:1]), b"NNN", b"I-1\nI-1\nI0\n") + b"b"
        return made + pieces(b"I1\n", shape, described, b"I00\n", text(a.tobytes())) + b"b"

    return pieces(*(pieces(numbers(x), numbers(y)) for x, y in parts)) + b"p9\n."


@pytest.fixture
def mnist_parts():
    rng = np.random.default_rng(1)
    return tuple(
        (rng.integers(0, 256, (n, 784)).astype("float32") / 256, np.arange(n, dtype="int64") % 10)
        for n in (7, 3, 4)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mnist.pkl.gz"


# Pickles of arrays -------------------------------------------------------------------------------


def check_mnist_pickle(path, parts):
    data = load(path)
    for split, (x, y) in zip((data.train, data.valid, data.test), parts, strict=True):
        np.testing.assert_array_equal(split.x, x)
        np.testing.assert_array_equal(split.y, y)
    assert load(path, flatten=False).test.x.shape == (len(parts[2][0]), 28, 28, 1)
    assert load(path, split="full").train.x.shape == (10, 784)
    np.testing.assert_array_equal(read_rows(path).x, parts[2][0])


@pytest.mark.parametrize("write", [python2_pickle, python2_pickle_of_protocol_0])
def test_pickle_of_python_2(path, mnist_parts, write):
    payload = write(mnist_parts)
    assert b"numpy.core.multiarray" in payload
    path.write_bytes(gzip.compress(payload))
    check_mnist_pickle(path, mnist_parts)


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_python_3(path, mnist_parts, protocol):
    path.write_bytes(gzip.compress(pickle.dumps(mnist_parts, protocol=protocol)))
    check_mnist_pickle(path, mnist_parts)


@given(
    x=arrays(
        st.sampled_from(["u1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "?"]),
        array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    layout=st.sampled_from(["C", "F", "transposed", "permuted", "every second"]),
    protocol=st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_every_layout_comes_back(tmp_path_factory, x, layout, protocol):
    x = {
        "C": x,
        "F": np.asfortranarray(x),
        "transposed": x.T,
        "permuted": np.swapaxes(x, 0, min(1, x.ndim - 1)),
        "every second": x[::2],
    }[layout]
    path = tmp_path_factory.getbasetemp() / "layout.pkl"
    path.write_bytes(pickle.dumps([(x, x)] * 3, protocol=protocol))
    if x.size == 0 and protocol < 3:  # Python 3 writes no bytes at all as a call of `bytes`
        with pytest.raises(ValueError, match="asks to run __builtin__.bytes"):
            read_pickle(path)
        return
    again, _ = read_pickle(path)["train"]
    np.testing.assert_array_equal(again, x)
    assert again.dtype == x.dtype.newbyteorder("=")
    assert again.dtype.isnative
    assert again.flags.writeable
    assert again.flags.owndata


# Damaged pickles, and pickles of something else --------------------------------------------------

OBJECTS = np.array([[1, None]], dtype=object)
RECORDS = np.zeros(2, [("a", "f4"), ("b", "i4")])


def pickled(parts, protocol=4):
    return gzip.compress(pickle.dumps(parts, protocol=protocol))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable pickle, truncated or corrupt"),
        (pickled(1, 2)[:-6], "not a readable pickle"),
        (gzip.compress(python2_pickle([(np.ones((1, 1)), np.ones(1))] * 3)[:-9]), "not a readable"),
        (gzip.compress(b"no pickle at all"), "not a readable pickle"),
        (pickled([1, 2, 3], 2), "three pairs of arrays, .* a list"),
        (pickled({"x": 1}, 2), "Received a dict"),
        (pickled(np.ones(3)), "Received a NumPy array"),
        (pickled([([1], [2])] * 3), "pair of NumPy arrays for its train part.* list and list"),
        (pickled([(np.ones(2), np.float64(2))] * 3), "Received NumPy array and NumPy number"),
        (
            pickled([(np.ones((2, 3)), np.ones(3))] * 3),
            "The train part of .* needs one label per row. Received 2 rows",
        ),
        (pickled([(np.array(1.0), np.array(1.0))] * 3), "at least one row .* Received shape ()"),
        (
            pickled([(OBJECTS, np.ones(1))] * 3),
            "The train part of .* needs numbers in `x`. Received an array of objects",
        ),
        (pickled([(np.ones((2, 1)), RECORDS)] * 3), "numbers in `y`. Received an array of records"),
        (pickled([(np.ones((1, 1)), np.array(["a"]))] * 3), "`y`. Received an array of text"),
        (pickled([(np.ones((1, 1), "g"), np.ones(1))] * 3), "`x`. Received an array of dtype 'f"),
    ],
    # Not by the bytes: gzip writes the time into them, and workers of pytest must agree on names.
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_damaged_pickle(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_pickle_that_would_fill_the_memory_is_not_unpacked(path):
    bomb = gzip.compress(bytes(2**24)) * 17  # gzip reads such a sequence as one file
    path.write_bytes(bomb)
    with pytest.raises(ValueError, match=f"its {len(bomb)} bytes unpack to more than {2**28}"):
        load(path)


# Attacks -----------------------------------------------------------------------------------------


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {}", "posix.system"),
        (builtins.eval, "open({!r}, 'w').close()", "builtins.eval"),
        (builtins.exec, "open({!r}, 'w').close()", "builtins.exec"),
        (np.memmap, "{}", "numpy.memmap"),
        (np.fromfile, "{}", "numpy.*fromfile"),
        (np.array, "{}", "numpy.*array"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_malicious_pickle_runs_nothing(path, function, argument, named, protocol):
    sentinel = path.with_name("sentinel")
    payload = pickle.dumps(Call(function, argument.format(str(sentinel))), protocol=protocol)
    if function is os.system:  # the payload does work where nothing guards against it
        pickle.loads(payload)
        assert sentinel.exists()
        sentinel.unlink()
    path.write_bytes(gzip.compress(payload))
    message = named if protocol == 4 else named.replace("builtins", "__builtin__")
    with pytest.raises(ValueError, match=f"it asks to run {message}.*Do not trust this file"):
        load(path)
    assert not sentinel.exists()


def three_pairs(x):
    """A pickle whose first `x` is made by the given opcodes, and the rest by harmless ones."""
    one = array(bytes(8), dtype(b"f8", b"<"), (1,))
    return b"\x80\x02" + x + (one + b"\x86") + (one * 2 + b"\x86") * 2 + b"\x87."


# A field that begins a gigabyte past the data.
FAR_FIELD = b"N" + string(b"f") + b"\x85}" + string(b"f") + dtype(b"u1") + number(2**30) + b"\x86s"
FAR_DTYPE = dtype(b"V8", fields=FAR_FIELD, sizes=(8, 1))
F8 = dtype(b"f8", b"<")
NESTED = b")" + b"\x85" * 9_000


# Each is refused by a sentence that says "asks to run" and this.
@pytest.mark.parametrize(
    ("x", "asked"),
    [
        # A segmentation fault where NumPy's own classes are unpickled.
        (array(b"A" * 8, FAR_DTYPE, (1,)) + string(b"f") + b"K\x01s", "SETITEM on a NumPy array"),
        (array(bytes(8), F8, (1,)) + b"(" + number(0) + b"K\x01u", "SETITEM on a NumPy array"),
        (array(bytes(8), F8, (1,)) + b"K\x01a", "APPEND on a NumPy array"),
        (array(bytes(8), F8, (1,)) + b"(K\x01e", "APPEND on a NumPy array"),
        (F8 + string(b"names") + string(b"f") + b"s", "SETITEM on a NumPy dtype"),
        # Objects, whose addresses the file would choose.
        (array(bytes(8), dtype(b"f8", b"<", flags=63), (1,)), "BUILD with fields or flags"),
        (array(bytes(8), dtype(b"f8", b"<", sizes=(80, 1)), (1,)), "BUILD with fields or flags"),
        (array(bytes(8), dtype(b"f8", b"<", fields=FAR_FIELD), (1,)), "BUILD with fields or flags"),
        (array(bytes(8), dtype(b"f8", b"="), (1,)), "BUILD with fields or flags"),
        (DTYPE + b"]" + b"\x85R", "numpy.dtype with fields"),
        # BUILD on anything else: classes, functions, text, and with other states.
        (b"cnumpy\nndarray\n}" + string(b"x") + b"K\x01sb", "BUILD on a class"),
        (DTYPE + b"}" + string(b"x") + b"K\x01sb", "BUILD on a function"),
        (DTYPE + b"N}" + string(b"__defaults__") + b"Ns\x86b", "BUILD on a function"),
        (b"c_codecs\nencode\n" + string(b"a") + string(b"latin1") + b"\x86R}b", "BUILD on a str"),
        (EMPTY_ARRAY + b"}" + string(b"__setstate__") + b"K\x01sb", "BUILD with a dict"),
        # Calls of something other than a function, and of functions with wrong arguments.
        (b"cnumpy\nndarray\n" + number(8) + b"\x85R", "REDUCE on a class"),
        (F8 + b")R", "REDUCE on a NumPy dtype"),
        (DTYPE + b"]R", "REDUCE on a function"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n" + DTYPE + b")N\x87R",
            "_reconstruct of something other than an array",
        ),
        (b"c_codecs\nencode\n" + string(b"a") + string(b"rot13") + b"\x86R", "_codecs.encode with"),
        # Other ways to an object: OBJ, INST, NEWOBJ, NEWOBJ_EX, extension codes, persistent ids.
        (b"(" + DTYPE + string(b"f8") + b"o", "opcode OBJ"),
        (b"(S'true'\niposix\nsystem\n", "opcode INST"),
        (DTYPE + string(b"f8") + b"\x85\x81", "opcode NEWOBJ"),
        (DTYPE + b")}\x92", "opcode NEWOBJ_EX"),
        (b"\x82\x01", "opcode EXT1"),
        (b"\x84" + bytes(4), "opcode EXT4"),
        (b"Pname\n", "opcode PERSID"),
        (string(b"name") + b"Q", "opcode BINPERSID"),
        (b"\x97", "opcode NEXT_BUFFER"),
        (b"\x96" + struct.pack("<Q", 1) + b"a\x98", "opcode READONLY_BUFFER"),
        (b"\x8f(K\x01\x90", "opcode EMPTY_SET"),
        # The hash of such a tuple overflows the stack of the process.
        (NESTED + string(b"name") + b"\x93", r"a tuple\.str"),
        (string(b"\x1b[2J") + string(b"name") + b"\x93", r"\\x1b\[2J\.name"),
        (b"}" * 10_001, "more than 10000 opcodes"),
    ],
)
def test_attacks_are_refused(path, x, asked):
    path.write_bytes(gzip.compress(three_pairs(x)))
    with pytest.raises(ValueError, match=f"it asks to run .*({asked}).*Do not trust") as caught:
        load(path)
    assert len(str(caught.value)) < 600 + len(str(path))


# Inconsistent lengths and types; each would read past the data, or fill the memory.
@pytest.mark.parametrize(
    "x",
    [
        array(bytes(8), F8, (2,)),
        array(bytes(9), F8, (1,)),
        array(bytes(8), F8, (-1,)),
        array(bytes(8), F8, (2**30, 2**30)),
        array(b"", F8, (2**30, 0, 2**30, 2**30)),
        array(bytes(8), F8, (1,) * 70),
        array(bytes(8), DTYPE + string(b"f8") + b"\x85R", (1,)),
        array(bytes(8), dtype(b"f8"), (1,)),
        EMPTY_ARRAY,
        EMPTY_ARRAY + b"N}" + string(b"_data") + b"K\x01s\x86b",
        F8 + b"0" + EMPTY_ARRAY + b"(tb",
        EMPTY_ARRAY + b"(" + number(1) + b"]" + F8 + b"\x89" + string(b"") + b"tb",
        EMPTY_ARRAY + b"(" + number(1) + b")" + F8 + b"\x89NtbNN0",
        DTYPE + b"(" + number(1) * 9 + b"tR",
        b"cnumpy.core.numeric\n_frombuffer\n("
        + (string(bytes(8)) + F8 + b"(K\x01t" + string(b"X") + b"tR"),
        b"cnumpy.core.numeric\n_frombuffer\n("
        + (string(bytes(8)) + F8 + b"(K\x01t" + string(b"K") + b"(K\x05ttR"),
        # Memo indices and lengths that ask for gigabytes.
        b"Nr" + struct.pack("<I", 2**31 - 1) + b"j" + struct.pack("<I", 5),
        b"\x96" + struct.pack("<Q", 2**36),
        b"\x8e" + struct.pack("<Q", 2**36),
        b"B" + struct.pack("<I", 2**32 - 1),
        b"\x8b" + struct.pack("<i", -5),
        b"I" + b"9" * 100_000 + b"\n",
        b"\x95" + struct.pack("<Q", 2**62) + b"\xff",
        b"t",
        b"\x87",
        b"R",
        b"b",
        b"g7\n",
    ],
)
def test_inconsistent_pickle_is_refused_without_filling_the_memory(path, x):
    path.write_bytes(three_pairs(x))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"mnist.pkl.gz( |:).{,400}$"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_text_encoded_many_times_does_not_fill_the_memory(path):
    """A call that encodes is a few bytes long: 500 of them would make 500 MB of one text."""
    text = b"X" + struct.pack("<I", 2**20) + b"a" * 2**20 + b"q\x010"
    call = b"c_codecs\nencode\nh\x01" + string(b"latin1") + b"\x86R"
    path.write_bytes(b"\x80\x02" + text + call * 500 + b".")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="Received a str"):
            read_pickle(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("inner", [b"\x85", b"]q\x010h\x01a", b"N\x87"])
def test_deep_nesting_is_refused(path, inner):
    path.write_bytes(b"\x80\x02N" + (b"N" + inner) * 100_000 + b".")
    with pytest.raises(ValueError, match="three pairs|not a readable|asks to run"):
        load(path)


@given(data=st.data(), protocol=st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_changed_bytes_give_a_value_error_or_arrays(tmp_path_factory, data, protocol):
    x = np.arange(12, dtype="<i2").reshape(3, 4)
    payload = bytearray(pickle.dumps([(x, x[:, 0])] * 3, protocol=protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(payload) - 1))
        payload[position] = data.draw(st.integers(0, 255) | st.sampled_from(b"(.0}]btRaeuscq"))
    path = tmp_path_factory.getbasetemp() / "changed.pkl"
    path.write_bytes(payload)
    with contextlib.suppress(ValueError):
        parts = read_pickle(path)
        assert all(a.dtype.kind in "biuf" for pair in parts.values() for a in pair)
