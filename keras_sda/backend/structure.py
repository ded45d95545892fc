"""What a model's steps depend on besides the values of its variables.

Two models of the same structure take the same steps, so that what was traced or compiled for one
serves the other. The structure is read off the objects that a model consists of, attribute by
attribute, and not from their configurations: an attribute that was changed after construction
counts. Whatever is not known to be harmless makes the structure unknown, and nothing is shared.
"""

import functools
import hashlib
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# Whose classes and functions are known to depend on their attributes and arguments alone.
_KNOWN = ("keras", "keras_sda")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
# Attributes that no step looks at; a difference in them must not keep models apart.
_ASIDE = {
    name
    for names in (
        # Names, except those of metrics, which are keys of the logs.
        "_name _path _parent_path",
        # Seeds and levels that have become values of variables.
        "seed _seed _initial_seed _initial_level finetune_noise_level final_beta",
        "denoising_weights",
        # The constructor's arguments as they were given, and how Keras calls and saves a layer.
        "_arguments _auto_config _build_shapes_dict _call_signature call_signature_parameters",
        "_compile_config _given_loss _saved_model_arg_spec _saved_model_inputs_spec build quantize",
        # The denoiser that a stack keeps beside what it trains.
        "_kept_denoiser _state_before denoiser_state keep_denoiser",
        # What belongs to one `fit` or to one call.
        "_called _compiled_trainable_state _eval_epoch_iterator _fits _initial_epoch _loss_ids",
        "_losses _losses_override _work can_resume_mid_epoch compiled compiled_by_xla history kept",
        "level predict_function rows_an_epoch steps_per_call steps_per_execution stop_evaluating",
        "stop_training",
        # Bookkeeping of Keras and TensorFlow.
        "_distribution_strategy _inbound_nodes _lock _nodes _outbound_nodes _tracked _tracker",
        "_trainable_variables_indices",
    )
    for name in names.split()
}


@dataclass(frozen=True)
class Structure:
    """What the steps of a model depend on.

    Args:
        digest: The same for models of the same structure, another one for others.
        variables: The Keras variables of the model, its optimizer, metrics and generators, in an
            order that models of the same structure have in common.
    """

    digest: str
    variables: list[keras.Variable]


class UnknownPartError(Exception):
    """Raised on a part of a model that may depend on more than can be seen."""


def structure_of(model: keras.Model) -> Structure | None:
    """Returns the structure of a model, or `None` if it holds anything unknown.

    Unknown are classes and functions from outside of Keras and this package, as nothing says what
    they depend on.

    Args:
        model: A model that is built; compiled, if it is to train or to test.
    """
    reader = _Reader()
    try:
        reader.read(model)
    except UnknownPartError:
        return None
    settings = (
        keras.config.floatx(),
        keras.config.epsilon(),
        keras.config.image_data_format(),
        keras.config.backend(),
    )
    text = "\n".join([*map(repr, settings), *reader.tokens])
    return Structure(hashlib.sha256(text.encode()).hexdigest(), reader.variables)


class _Reader:
    """Reads one object after the other into a list of tokens, each object once."""

    def __init__(self):
        self.tokens: list[str] = []
        self.variables: list[keras.Variable] = []
        # The number of each object and itself, by its id, which would be free if it were gone.
        self._met: dict[int, tuple[int, Any]] = {}

    def read(self, value: Any) -> None:
        """Adds the tokens of any value."""
        if isinstance(value, _PLAIN):
            self.tokens.append(repr(value))
        elif isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
            self.tokens.append(_qualified_name(value))
        elif isinstance(value, types.ModuleType):
            self.tokens.append(value.__name__)
        elif isinstance(value, np.generic | np.dtype):
            self.tokens.append(repr(value))
        elif self._is_new(value):
            self._read_object(value)

    def _is_new(self, value):
        """Whether an object was not met before; says which one it is if it was."""
        count = len(self._met)
        number, _ = self._met.setdefault(id(value), (count, value))
        self.tokens.append(f"object {number}")
        return number == count

    def _read_object(self, value):
        if isinstance(value, keras.Variable):
            self._read_variable(value)
        elif isinstance(value, Mapping):
            self._read_all(
                f"mapping {len(value)}", (part for item in value.items() for part in item)
            )
        elif isinstance(value, (list, tuple)):
            self._read_all(f"sequence {len(value)}", value)
        elif isinstance(value, (set, frozenset)):
            self._read_all(f"set {len(value)}", sorted(value, key=repr))
        elif isinstance(value, np.ndarray):
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            self.tokens.append(f"array {value.shape} {value.dtype} {digest}")
        elif isinstance(value, types.MethodType):
            self._read_all("method", (value.__func__, value.__self__))
        elif isinstance(value, functools.partial):
            self._read_all("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, functools._lru_cache_wrapper):
            self.tokens.append("cache")
        else:
            self._read_instance(value)

    def _read_all(self, kind: str, parts: Iterable[Any]):
        self.tokens.append(kind)
        for part in parts:
            self.read(part)

    def _read_variable(self, variable):
        self.variables.append(variable)
        self.tokens.append(f"variable {variable.shape} {variable.dtype}")
        traits = ("_trainable", "_autocast", "_constraint", "_regularizer", "_aggregation")
        self._read_all("traits", (getattr(variable, name, None) for name in traits))

    def _read_instance(self, value):
        self.tokens.append(_qualified_name(type(value)))
        if not hasattr(value, "__dict__"):
            raise UnknownPartError
        with_name = isinstance(value, keras.metrics.Metric)
        for name, part in sorted(vars(value).items()):
            is_aside = name in _ASIDE or name.startswith("_self_") or name.endswith("initializer")
            if is_aside and not isinstance(part, keras.Variable):
                continue
            if name == "name" and not with_name:
                continue
            # Losses and metrics may be given by the names of outputs.
            if name == "output_names" and isinstance(value, keras.Layer):
                continue
            self.tokens.append(name)
            self.read(part)


def _qualified_name(definition):
    """Returns the name by which a known class or function is found again."""
    module, name = getattr(definition, "__module__", None) or "", definition.__qualname__
    if module.split(".")[0] not in _KNOWN:
        raise UnknownPartError
    if name == "<lambda>" and definition.__closure__ is None:
        code = definition.__code__
        return f"{module}.{name} {code.co_firstlineno} {code.co_code!r} {code.co_consts!r}"
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not definition:
        raise UnknownPartError
    return f"{module}.{name}"
