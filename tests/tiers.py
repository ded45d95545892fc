"""The tiers of tests: of a parameter, the default tier tries some values and `full` all of them."""

import pytest


def in_tiers(values, default):
    """Returns the values of a parameter, of which those that `default` leaves out are `full`.

    Args:
        values: All values, for `pytest.mark.parametrize`.
        default: Those among them that the default tier runs.
    """
    values, default = list(values), list(default)
    missing = [value for value in default if value not in values]
    assert not missing, f"{missing} are not among the parameters"
    return [
        value if value in default else pytest.param(value, marks=pytest.mark.full)
        for value in values
    ]
