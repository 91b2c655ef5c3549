"""What suggests itself to hold for any model."""

import numpy as np
import pandas as pd
from example.adopted import adopted

N_ROWS = 2_000


def engines() -> pd.DataFrame:
    """Power tells what they cost, cylinders follow it, and the batch is there by chance."""
    random = np.random.default_rng(0)
    power = random.normal(100, 20, N_ROWS).round(1)
    return pd.DataFrame(
        {
            "power": power,
            "cylinders": (power / 15 + random.normal(0, 0.3, N_ROWS)).round(),
            "weight": (power * 8 + random.normal(0, 200, N_ROWS)).round(),
            "batch": random.integers(0, 50, N_ROWS),
            "price": (power * 90 + random.normal(0, 300, N_ROWS)).round(),
        }
    )


def test_what_others_say_as_well_is_not_said_to_matter_little(tmp_path):
    with_chance = adopted(engines(), tmp_path, "price").behaviour
    without = adopted(engines().drop(columns="batch"), tmp_path, "price").behaviour

    assert [each.column for each in with_chance.invariance] == ["batch"]
    # a model that has power can do without cylinders; one that weighs them all does not
    assert without.invariance == ()


def test_what_may_be_weighed_against_another_is_not_said_to_matter_little(tmp_path):
    random = np.random.default_rng(1)
    sent = random.normal(0, 1_000, N_ROWS).round(1)
    lost = random.normal(0, 10, N_ROWS).round(1)
    rows = engines().drop(columns=["batch", "cylinders"]).assign(sent=sent, received=sent - lost)
    rows["price"] += 20 * lost

    found = adopted(rows, tmp_path, "price").behaviour

    # trees do not see the difference of the two, of which each says nothing; a sum of both does
    assert found.invariance == ()
