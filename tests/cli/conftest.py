"""Runs of the command line take less time here than on a user's rows."""

import pytest

from keras_sda.experiments import rivals


@pytest.fixture(autouse=True, scope="package")
def _small_forests():
    """Has the forest that every network is compared with grow a tenth of its trees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rivals, "_TREES", 20)
        yield
