"""A file written under one backend is the same model under the others."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("files_worker.py")
PACKAGE = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
# A Python without TensorFlow, for the backends that this one does not have.
OTHER_PYTHON = os.environ.get("KERAS_SDA_OTHER_PYTHON")


def python_of(backend):
    if importlib.util.find_spec(PACKAGE[backend]):
        return sys.executable
    return None if backend == "tensorflow" else OTHER_PYTHON


@contextlib.contextmanager
def running(backend, folder, models, others):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        (folder / f"{backend}.err").open("w") as errors,
        subprocess.Popen(
            [python_of(backend), WORKER, folder, models, *others],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as worker,
    ):
        try:
            yield worker
        finally:
            worker.kill()


@pytest.mark.parametrize(
    ("models", "answers"),
    [
        # Both predict and have codes; one reconstructs, too, and is trained further.
        ("stack,lenet", 2 + 2 + 2 + 1),
        # 15 predict, 14 have codes, 12 reconstruct, one is trained further.
        pytest.param("all", 15 + 14 + 2 * 12 + 1, marks=pytest.mark.full),
    ],
)
def test_models_load_under_every_other_backend(models, answers, tmp_path):
    backends = [backend for backend in PACKAGE if python_of(backend)]
    if len(backends) < 2:
        pytest.skip("needs two of TensorFlow, JAX and PyTorch; see CONTRIBUTING.md")
    with contextlib.ExitStack() as stack:
        workers = {}
        for backend in backends:
            others = [other for other in backends if other != backend]
            workers[backend] = stack.enter_context(running(backend, tmp_path, models, others))
        for backend, worker in workers.items():
            said = worker.stdout.readline()
            assert said == "written\n", (tmp_path / f"{backend}.err").read_text()
        for backend, worker in workers.items():
            lines = worker.communicate("\n")[0].splitlines()
            assert worker.returncode == 0, (tmp_path / f"{backend}.err").read_text()
            found = {tuple(line.split("|")[:3]): float(line.split("|")[3]) for line in lines}
            assert len(found) == answers * (len(backends) - 1)
            for (other, name, answer), difference in found.items():
                message = f"{answer} of {name}, written by {other}, read by {backend}"
                if answer == "trained":
                    assert difference < 0, message
                else:
                    assert difference < 1e-5, message
