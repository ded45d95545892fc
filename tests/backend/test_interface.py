"""Every backend answers to the same names, and which one it is gets asked once.

Read from the files, so that backends are compared that are not installed.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_sda

PACKAGE = Path(keras_sda.__file__).parent
INTERFACE = PACKAGE / "backend" / "__init__.py"
BACKENDS = ("tensorflow", "jax", "torch")


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def file_of(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def definitions(path, wanted=None):
    """Returns what a file defines, and what it takes from the backends, by name."""
    found = {}
    for node in parsed(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("keras_sda.backend."):
            names = [alias.name for alias in node.names if wanted in (None, alias.name)]
            found |= {name: definitions(file_of(node.module), name)[name] for name in names}
    return found


def interface(backend):
    """Returns for each public name of a backend what stands for it: arguments, class, constant."""
    found = definitions(PACKAGE / "backend" / backend / "__init__.py")
    names = ast.literal_eval(found.pop("__all__").value)
    public = {name: node for name, node in found.items() if not name.startswith("_")}
    assert sorted(names) == sorted(public), f"{backend}: __all__ lists what there is"
    return {name: described(public[name]) for name in names}


def described(node):
    if isinstance(node, ast.FunctionDef):
        return f"({ast.unparse(node.args)})"
    return "class" if isinstance(node, ast.ClassDef) else "constant"


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_all_backends_answer_to_the_same_names_with_the_same_arguments(backend):
    ours, expected = interface(backend), interface("tensorflow")
    assert ours.keys() ^ expected.keys() == set(), "not in all backends"
    assert ours == expected


def test_constants_are_explained():
    documentation = ast.get_docstring(parsed(INTERFACE))
    constants = [name for name, kind in interface("tensorflow").items() if kind == "constant"]
    assert constants
    assert all(f"    {name}: " in documentation for name in constants)


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_are_documented(backend):
    nodes = definitions(PACKAGE / "backend" / backend / "__init__.py")
    for name, node in nodes.items():
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not name.startswith("_"):
            assert ast.get_docstring(node), name


def comparisons(path):
    """Returns the lines in which a file compares the name of the backend with anything."""
    tree = parsed(path)
    asked = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(map(is_question, ast.walk(node.value)))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, (ast.Compare, ast.Match))
        and "split" not in ast.unparse(node)  # "tensorflow" also names a split of MNIST
        and (names_a_backend(node) or any(is_asked(part, asked) for part in ast.walk(node)))
    ]


def names_a_backend(node):
    """Whether something is compared with the name of a backend, or a list of such names."""
    operands = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    entries = [entry for each in operands for entry in getattr(each, "elts", [each])]
    return any(isinstance(entry, ast.Constant) and entry.value in BACKENDS for entry in entries)


def is_asked(node, names):
    return is_question(node) or (isinstance(node, ast.Name) and node.id in names)


def is_question(node):
    """Whether a part of the code is `keras.backend.backend()`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "keras.backend.backend"


def test_which_backend_it_is_gets_asked_in_one_file_alone():
    sources = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "keras_sda_cli").rglob("*.py")]
    found = {str(path): comparisons(path) for path in sources}
    assert len(found.pop(str(INTERFACE))) == 3
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "if keras.backend.backend() == 'jax': pass",
        "name = keras.backend.backend()\nfast = name in FAST",
        "is_torch = backend == 'torch'",
        "match keras.backend.backend():\n    case _: pass",
    ],
)
def test_a_question_would_be_found(code, tmp_path):
    path = tmp_path / "asks.py"
    path.write_text(code, encoding="utf-8")
    assert comparisons(path)


def test_another_backend_is_refused_in_one_sentence():
    code = "import keras; keras.backend.backend = lambda: 'numpy'; import keras_sda"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "ImportError: keras_sda trains with TensorFlow, JAX or PyTorch. Received the Keras backend "
        "'numpy': set KERAS_BACKEND to tensorflow, jax or torch before Keras is imported."
    )
