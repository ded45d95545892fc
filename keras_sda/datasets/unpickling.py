"""An unpickler that can build arrays of numbers and do nothing else.

The standard library's unpickler works on real objects: two hundred bytes of a file can make it
write through a NumPy array to any address, and nine bytes make it allocate gigabytes for its memo.
This one knows only the opcodes that pickled arrays consist of, in protocols 0 to 5, and what they
build are the recorders of `datasets.recorders`.
"""

import codecs
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_sda.datasets.recorders import (
    PickledArray,
    PickledDtype,
    RefusedError,
    look_up,
    name_of,
)

# One byte may be an opcode that makes an object of nearly a thousand bytes; three pairs of arrays
# need about two hundred opcodes.
_MAX_OPCODES = 10_000


def unpickle(payload: bytes | bytearray) -> Any:
    """Returns the nested tuples and lists of a pickle, with a `PickledArray` for each array.

    Raises:
        RefusedError: If the pickle asks for what no array needs.
        Exception: Of almost any kind, if it is damaged.
    """
    return _Machine(payload).run()


class _Source:
    """The bytes of a pickle, taken from the front."""

    def __init__(self, payload: bytes | bytearray):
        self._payload = payload
        self._view = memoryview(payload).toreadonly()
        self._position = 0

    def view(self, count: int) -> memoryview:
        """Returns bytes without a copy of them."""
        start, self._position = self._position, self._position + count
        if not start <= self._position <= len(self._payload):
            raise EOFError("it ends too early")
        return self._view[start : self._position]

    def take(self, count: int) -> bytes:
        return bytes(self.view(count))

    def line(self) -> bytes:
        end = self._payload.find(b"\n", self._position)
        if end < 0:
            raise EOFError("it ends too early")
        return self.take(end + 1 - self._position)[:-1]

    def number(self, format: str) -> Any:
        return struct.unpack(format, self.take(struct.calcsize(format)))[0]

    def counted(self, format: str) -> memoryview:
        return self.view(self.number(format))

    def text(self, format: str) -> str:
        """Returns text in UTF-8, which has to be within Latin-1: it is a name, or data.

        One other character would make each take two or four bytes.
        """
        data = self.counted(format)
        if np.frombuffer(data, "u1").max(initial=0) > _LAST_LEAD_BYTE_OF_LATIN_1:
            raise ValueError("text that is neither a name nor data")
        return str(data, "utf-8")

    def line_of_text(self) -> str:
        line = self.line()
        if b"\\U" in line:
            raise ValueError("text that is neither a name nor data")
        return line.decode("raw_unicode_escape")

    def integer(self) -> int:
        digits = self.line()
        # Protocols 0 and 1 write False and True this way.
        return digits == b"01" if digits in (b"00", b"01") else int(digits)


_LAST_LEAD_BYTE_OF_LATIN_1 = 0xC3


def _signed(data):
    return int.from_bytes(data, "little", signed=True)


# Opcodes that push a value. A string of Python 2 becomes text with one character per byte.
_VALUES: dict[bytes, Callable[[_Source], Any]] = {
    pickle.NONE: lambda source: None,
    pickle.NEWTRUE: lambda source: True,
    pickle.NEWFALSE: lambda source: False,
    pickle.INT: lambda source: source.integer(),
    pickle.BININT: lambda source: source.number("<i"),
    pickle.BININT1: lambda source: source.number("<B"),
    pickle.BININT2: lambda source: source.number("<H"),
    pickle.LONG: lambda source: int(source.line().rstrip(b"L")),
    pickle.LONG1: lambda source: _signed(source.counted("<B")),
    pickle.LONG4: lambda source: _signed(source.counted("<i")),
    pickle.FLOAT: lambda source: float(source.line()),
    pickle.BINFLOAT: lambda source: source.number(">d"),
    pickle.STRING: lambda source: codecs.escape_decode(source.line()[1:-1])[0].decode("latin1"),
    pickle.BINSTRING: lambda source: source.counted("<i"),  # too long for a name, so data
    pickle.SHORT_BINSTRING: lambda source: str(source.counted("<B"), "latin1"),
    pickle.UNICODE: lambda source: source.line_of_text(),
    pickle.BINUNICODE: lambda source: source.text("<I"),
    pickle.SHORT_BINUNICODE: lambda source: source.text("<B"),
    pickle.BINUNICODE8: lambda source: source.text("<Q"),
    pickle.BINBYTES: lambda source: source.counted("<I"),
    pickle.SHORT_BINBYTES: lambda source: source.counted("<B"),
    pickle.BINBYTES8: lambda source: source.counted("<Q"),
    pickle.BYTEARRAY8: lambda source: source.counted("<Q"),
    pickle.EMPTY_TUPLE: lambda source: (),
    pickle.EMPTY_LIST: lambda source: [],
    pickle.EMPTY_DICT: lambda source: {},
    pickle.GLOBAL: lambda source: look_up(source.line().decode(), source.line().decode()),
}

_NAMES_OF_OPCODES = {
    getattr(pickle, name): name
    for name in pickle.__all__
    if name.isupper() and isinstance(getattr(pickle, name), bytes)
}


class _Machine:
    """Runs the opcodes of a pickle on a stack and a memo of its own."""

    def __init__(self, payload: bytes | bytearray):
        self._source = _Source(payload)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(_MAX_OPCODES):
            opcode = self._source.take(1)
            if opcode == pickle.STOP:
                return self._stack.pop()
            if opcode in _VALUES:
                self.push(_VALUES[opcode](self._source))
            elif opcode in _ACTIONS:
                _ACTIONS[opcode](self)
            elif opcode in _NAMES_OF_OPCODES:  # a pickle, but of something else
                raise RefusedError(f"the opcode {_NAMES_OF_OPCODES[opcode]}")
            else:
                raise ValueError(f"unknown opcode {opcode!r}")
        raise RefusedError(f"more than {_MAX_OPCODES} opcodes")

    def skip(self, count: int) -> None:
        self._source.take(count)

    def read(self, format: str) -> int:
        return self._source.number(format)

    def read_line(self) -> int:
        return int(self._source.line())

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self, count: int) -> list[Any]:
        start = len(self._stack) - count
        if start < 0:
            raise ValueError("an opcode without its values")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> list[Any]:
        return self.pop(len(self._stack) - self._marks.pop())

    def extend(self, values: list[Any]) -> None:
        self._check_top("APPEND", list)
        self._stack[-1].extend(values)

    # The contents of a dictionary are ignored: it is kept only to be refused.
    def push_dict(self, values: list[Any]) -> None:
        self.push({})

    def set_items(self, values: list[Any]) -> None:
        self._check_top("SETITEM", dict)

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def look_up(self) -> None:
        module, name = self.pop(2)
        self.push(look_up(module, name))

    def reduce(self) -> None:
        function, arguments = self.pop(2)
        # No value in the file can be called, only what `look_up` has returned.
        if not callable(function) or not isinstance(arguments, tuple):
            raise RefusedError(f"the opcode REDUCE on a {name_of(function)}")
        self.push(function(*arguments))

    def build(self) -> None:
        (state,) = self.pop(1)
        self._check_top("BUILD", PickledArray, PickledDtype)
        if not isinstance(state, tuple):
            raise RefusedError(f"the opcode BUILD with a {name_of(state)}")
        self._stack[-1].build(state)

    def _check_top(self, opcode, *kinds):
        if type(self._stack[-1]) not in kinds:
            raise RefusedError(f"the opcode {opcode} on a {name_of(self._stack[-1])}")


_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.PROTO: lambda machine: machine.skip(1),
    pickle.FRAME: lambda machine: machine.skip(8),
    pickle.MARK: lambda machine: machine.mark(),
    pickle.POP: lambda machine: machine.pop(1),
    pickle.POP_MARK: lambda machine: machine.pop_to_mark(),
    pickle.TUPLE: lambda machine: machine.push(tuple(machine.pop_to_mark())),
    pickle.TUPLE1: lambda machine: machine.push(tuple(machine.pop(1))),
    pickle.TUPLE2: lambda machine: machine.push(tuple(machine.pop(2))),
    pickle.TUPLE3: lambda machine: machine.push(tuple(machine.pop(3))),
    pickle.LIST: lambda machine: machine.push(machine.pop_to_mark()),
    pickle.APPEND: lambda machine: machine.extend(machine.pop(1)),
    pickle.APPENDS: lambda machine: machine.extend(machine.pop_to_mark()),
    pickle.DICT: lambda machine: machine.push_dict(machine.pop_to_mark()),
    pickle.SETITEM: lambda machine: machine.set_items(machine.pop(2)),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.pop_to_mark()),
    pickle.PUT: lambda machine: machine.put(machine.read_line()),
    pickle.BINPUT: lambda machine: machine.put(machine.read("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.read("<I")),
    pickle.MEMOIZE: lambda machine: machine.memoize(),
    pickle.GET: lambda machine: machine.get(machine.read_line()),
    pickle.BINGET: lambda machine: machine.get(machine.read("<B")),
    pickle.LONG_BINGET: lambda machine: machine.get(machine.read("<I")),
    pickle.STACK_GLOBAL: lambda machine: machine.look_up(),
    pickle.REDUCE: lambda machine: machine.reduce(),
    pickle.BUILD: lambda machine: machine.build(),
}
