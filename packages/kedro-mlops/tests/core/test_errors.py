from kedro_mlops.core.errors import suggestion


def test_a_near_miss_is_named() -> None:
    assert suggestion("modeling", ["gate", "modelling"]) == "Did you mean 'modelling'?"


def test_without_a_near_miss_all_are_named() -> None:
    assert suggestion("zzz", ["gate", "release"]) == "There are gate, release."
