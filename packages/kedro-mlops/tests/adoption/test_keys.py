"""What tells rows apart, and what they have in common."""

import numpy as np
import pytest
from example.adopted import adopted, churning

from kedro_mlops.core.errors import ProjectError

N = 600
RANDOM = np.random.default_rng(1)


def test_rows_of_a_few_groups_cannot_be_split_by_them(tmp_path):
    towns = [f"town {i % 25}" for i in range(N)]

    with pytest.raises(ProjectError, match=r"--key colour: .* there are only 3, of 20"):
        adopted(
            churning(colour=np.resize(["red", "green", "blue"], N)),
            tmp_path,
            "churned",
            key=("colour",),
        )
    assert adopted(churning(town=towns), tmp_path, "churned", key=("town",)).group == "town"


def test_a_repeated_key_makes_a_group(tmp_path):
    adoption = adopted(churning(who=RANDOM.integers(1, 90, N)), tmp_path, "churned", key=("who",))

    assert (adoption.group, adoption.keys) == ("who", ())
    assert [c.type for c in adoption.of_use("group")] == ["int"]


def test_a_repeated_identifier_is_proposed_for_a_group(tmp_path):
    table = churning(customer_id=RANDOM.integers(1, 90, N))

    assert adopted(table, tmp_path, "churned").proposed_group == "customer_id"
