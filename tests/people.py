"""A table of people as they have them: ids, text and gaps."""

import numpy as np
import pandas as pd


def people(count: int = 300) -> pd.DataFrame:
    """Returns a table whose label `rich` depends on age and city together."""
    generator = np.random.default_rng(0)
    age = generator.integers(20, 70, count).astype(float)
    city = generator.choice(["Rome", "Oslo", "Bonn"], count)
    frame = pd.DataFrame({"id": [f"p{n}" for n in range(count)], "age": age, "city": city})
    frame["rich"] = np.where((age > 45) ^ (city == "Rome"), "yes", "no")
    frame["income"] = 1000.5 + 100 * age + 2000 * (city == "Rome")
    frame.loc[::10, "age"] = np.nan
    frame.loc[5::10, "city"] = None
    return frame
