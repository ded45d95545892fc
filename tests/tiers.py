"""The tiers of tests: of a parameter, the default tier tries some values and `full` all of them."""

import pytest


def in_tiers(values, default):
    """Returns the values of a parameter, of which those that `default` leaves out are `full`.

    Args:
        values: All values, for `pytest.mark.parametrize`.
        default: Those among them that the default tier runs.
    """
    values = list(values)
    missing = set(default) - set(values)
    assert not missing, f"{sorted(missing)} are not among the parameters"
    return [
        value if value in default else pytest.param(value, marks=pytest.mark.full)
        for value in values
    ]
