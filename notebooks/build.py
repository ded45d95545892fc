"""Makes each notebook, `NAME.ipynb`, from its script, `NAME.py`, by running it.

python notebooks/build.py                 # all of them
python notebooks/build.py quickstart      # one
python notebooks/build.py --output /tmp/built quickstart

The scripts are in jupytext's percent format; outputs are kept in the notebooks. What changes from
run to run without meaning anything (times, random identifiers, versions) is left out, so that a
notebook differs only where its script or its results do. Needs `pip install -e ".[notebooks]"`.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS_PER_CELL = 900
# What TensorFlow's C++ writes of the machine it runs on is no part of a notebook.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}


def names():
    """Returns the names of the notebooks: of the scripts here that begin with their header."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if path.read_text(encoding="utf-8").startswith("# ---")
    )


def read_script(name):
    """Returns the notebook that a script describes, without outputs."""
    notebook = jupytext.read(HERE / f"{name}.py")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = {}
    return notebook


def run(notebook, folder):
    """Runs a notebook in a folder, and keeps its outputs; an error in a cell is raised."""
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, **ENVIRONMENT})
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs)


def tidy(outputs):
    """Returns the outputs of a cell without warnings and logs, pieces of one stream joined."""
    kept = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                sys.stderr.write(output.text)
                continue
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
                continue
        elif "metadata" in output:
            output.metadata = {}
        if "text/plain" in output.get("data", {}):
            plain = output.data["text/plain"]
            output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", plain)
        kept.append(output)
    return kept


def main():
    """Builds the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="without `.py`; by default all of them")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the notebooks")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        parser.error(f"no such notebook: {', '.join(unknown)}; there are {', '.join(names())}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or names():
        notebook = read_script(name)
        start = time.perf_counter()
        run(notebook, arguments.output)
        path = arguments.output / f"{name}.ipynb"
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        seconds = time.perf_counter() - start
        print(f"{path.name}: {seconds:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
