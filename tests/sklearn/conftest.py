"""Rows for the estimators."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def rows():
    """150 rows of 5 features in different units, with three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = rng.normal(size=(150, 5)) + 2.0 * np.eye(5)[y]
    return x * [1.0, 10.0, 0.1, 1.0, 5.0] + [100.0, 0.0, -3.0, 7.0, 0.0], y


@pytest.fixture(scope="module")
def people():
    """120 people: text, categories, gaps, dates, an id and two classes that age and town tell."""
    import pandas as pd

    rng = np.random.default_rng(1)
    age = rng.uniform(18, 80, 120).round()
    town = np.array(["Oslo", "Rome", "Lima"])[rng.integers(0, 3, 120)]
    frame = pd.DataFrame(
        {
            "age": np.where(np.arange(120) % 10 == 3, np.nan, age),
            "town": np.where(np.arange(120) % 17 == 5, None, town),
            "member": rng.integers(0, 2, 120).astype(bool),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 120), "D"),
            "name": [f"person {number}" for number in range(120)],
            "level": pd.Categorical(np.array(["low", "mid", "top"])[rng.integers(0, 3, 120)]),
        }
    )
    return frame, np.where((age > 50) ^ (town == "Rome"), "yes", "no")
