"""Features of which nothing can be learned: left out of every fit, named, and watched."""

import ibis
import numpy as np
import pandas as pd
import pytest
from example.contracts import Inputs, Observation
from example.factories import screened, skew_of
from example.trained import model

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import BadDataError
from kedro_mlops.documentation.nodes import ModelCard, render_card
from kedro_mlops.export.serving_form import export
from kedro_mlops.framework.summary import summarise
from kedro_mlops.gate.behaviour import Behaviour, check_behaviour
from kedro_mlops.gate.checks import leakage_checks
from kedro_mlops.modelling import evaluation
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage, scores_of
from kedro_mlops.models.preprocessing import informative, left_out
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.nodes import measure_quality
from kedro_mlops.serving.model import ServedModel

CLEAN, NO_SKEW = screened(), skew_of()
COLUMNS, INPUTS = Columns.of(Observation), Columns.of(Inputs)
CLASSIFIERS = [name for name, family in FAMILIES.items() if family.learns(COLUMNS.task)]
X, Y, TIME = COLUMNS.features, COLUMNS.label, COLUMNS.event_time
WIND, RAIN, ORIGIN = "wind_kmh", "gust_kmh", "depot"
# missing, a constant number and a constant category
DEAD = {WIND: np.nan, RAIN: 0.0, ORIGIN: "EAST"}
WHY = {ORIGIN: "always EAST", WIND: "missing in every row", RAIN: "always 0.0"}


class Parcel(Contract):
    """Something of every kind."""

    depot: str = column("Depot", feature=True, nullable=True)
    sent_at: pd.Timestamp = column("Moment", feature=True, nullable=True)
    weight: float = column("Weight", feature=True, nullable=True)
    fragile: pd.BooleanDtype = column("Fragile", feature=True, nullable=True)


PARCEL = Columns.of(Parcel)
N = 40
PARCELS = pd.DataFrame(
    {
        "depot": pd.array(["north", "south"] * (N // 2), "str"),
        "sent_at": pd.date_range("2013-01-07", periods=N, freq="5h").astype("datetime64[us]"),
        "weight": np.arange(N, dtype=float),
        "fragile": pd.array([True, False] * (N // 2), "boolean"),
    }
)


def parcels(**values):
    changed = PARCELS.assign(**values)
    return changed.astype({name: PARCELS[name].dtype for name in values})


@pytest.mark.parametrize("name", PARCEL.features)
def test_what_is_always_missing_or_always_the_same_is_left_out_whatever_its_kind(name):
    missing = left_out(PARCEL, parcels(**{name: None}))

    constant = left_out(PARCEL, parcels(**{name: PARCELS[name].iloc[0]}))

    assert missing == {name: "missing in every row"}
    assert list(constant) == [name]
    assert constant[name].startswith("always ")
    assert left_out(PARCEL, PARCELS) == {}


def test_what_is_known_too_seldom_for_the_sample_of_gradient_boosting_is_left_out():
    weight = np.full(200_000, np.nan)
    weight[[5, 9]] = 1.0, 2.0
    rows = PARCELS.sample(len(weight), replace=True, random_state=0, ignore_index=True)

    assert left_out(PARCEL, rows.assign(weight=weight)) == {"weight": "known in 2 of 200,000 rows"}


def test_where_being_missing_may_say_something_the_same_value_is_no_constant():
    sometimes = PARCELS["weight"].mask(PARCELS["weight"] > 0)

    assert left_out(PARCEL, parcels(weight=sometimes)) == {}


@pytest.mark.parametrize(
    "depots",
    [
        pytest.param([f"parcel {i}" for i in range(N)], id="an identifier"),
        pytest.param([f"week {i // 10}" for i in range(N)], id="a name of the week"),
    ],
)
def test_categories_that_are_always_new_are_left_out(depots):
    [reason] = left_out(PARCEL, parcels(depot=depots)).values()

    assert reason.startswith("all unseen: ")


@pytest.mark.parametrize(
    "depots",
    [
        pytest.param(["old"] * 10 + ["new"] * 30, id="renamed"),
        pytest.param([None] * 30 + ["new"] * 5 + ["other"] * 5, id="come alive"),
        pytest.param(["old", "older"] * 5 + [None] * 30, id="gone"),
    ],
)
def test_categories_that_changed_once_are_kept(depots):
    assert left_out(PARCEL, parcels(depot=depots)) == {}


def test_where_no_feature_is_left_it_is_said_which_there_were_and_why():
    nothing = parcels(depot=None, sent_at=None, weight=1.0, fragile=True)

    # so that the run leaves an alert, and the decision to wait
    with pytest.raises(BadDataError) as refused:
        informative(PARCEL, nothing)

    said = str(refused.value)
    assert "from 40 rows, as every feature is left out: depot (missing in every row); " in said
    assert "weight (always 1.0); fragile (always True)" in said
    assert "`model_input`" in said


@pytest.mark.parametrize("family", CLASSIFIERS)
@pytest.mark.parametrize("change", [{WIND: np.nan}, {WIND: 3.0}, {ORIGIN: "EAST"}, {TIME: None}])
def test_every_family_is_fitted_without_it_and_answers_whatever_comes(family, change, windows):
    rows = windows[0].head(600)
    dead = rows.assign(**change).astype(rows.dtypes)

    fitted = fit(COLUMNS, FAMILIES[family], FAMILIES[family].default, 0, dead)

    alive, gone = (scores_of(COLUMNS.task.output(), fitted, given[X]) for given in (rows, dead))
    assert np.isfinite(alive).all()
    np.testing.assert_array_equal(alive, gone)


# the whole loop on rows of which three features say nothing


@pytest.fixture(scope="module")
def dead_windows(windows):
    return [rows.assign(**DEAD).astype(rows.dtypes) for rows in windows]


@pytest.fixture(scope="module")
def dead(dead_windows, history, modelling_params, as_of, window, bootstrap, costs):
    """What the nodes of the pipeline make of them, and what is measured of single features."""
    given = modelling_params.model_copy(update={"n_trials": {"gradient_boosting": 1}})
    constants = {name: ibis.literal(value) for name, value in DEAD.items() if name != WIND}
    before = history.model_input.mutate(**{WIND: ibis.null("float64")}, **constants)
    trained = model(before, dead_windows, as_of, window, given, bootstrap, costs)
    importance = pd.DataFrame(trained.candidate.evaluation.importance)
    return (
        trained.candidate,
        evaluation.measure_single_features(COLUMNS, *dead_windows, given, seed=0),
        importance,
    )


@pytest.fixture(scope="module")
def candidate(dead) -> ModelPackage:
    return dead[0]


def test_the_candidate_says_what_was_left_out_and_why(candidate, tmp_path):
    candidate.write(tmp_path)

    read = ModelPackage.read(tmp_path)

    assert read.metadata.left_out == WHY
    assert read.metadata.features == X


def test_the_run_and_the_card_name_what_was_left_out(candidate, package):
    people = ModelCard(owner="We", intended_use="It.", out_of_scope=["No."], limits=["Yes."])
    champion = candidate.with_record(decision={"reasons": []}, release="name:v1")

    said = summarise({"candidate": candidate})
    card = render_card(COLUMNS, champion, people)

    assert f"; left out: {ORIGIN} (always EAST), {WIND} (missing in every row), {RAIN} (" in said
    assert f"<code>{WIND}</code> (missing in every row)" in card
    assert "left out" not in summarise({"candidate": package})


def test_what_was_left_out_tells_nothing_of_the_label_and_has_no_importance(dead):
    _, alone, importance = dead

    told = alone.set_index("feature")["tells"]
    worth = importance.set_index("feature")["importance"]
    assert told[[*DEAD]].tolist() == [0.5] * len(DEAD)
    assert worth[[*DEAD]].tolist() == [0.0] * len(DEAD)
    assert worth.max() > 0
    assert all(check.passed for check in leakage_checks(alone, 0.85))


def test_the_compiled_model_takes_it_and_does_not_use_it(candidate, windows, tmp_path):
    alive = windows[2]

    spec = export(candidate, INPUTS, alive, 1e-9, tmp_path)
    served = ServedModel(tmp_path, spec, n_threads=1)

    assert spec.engine == "compiled trees"
    assert WIND not in spec.encoding.numbers
    assert ORIGIN not in spec.encoding.categories
    assert {WIND, RAIN, ORIGIN} <= {field.name for field in spec.fields}
    names = [field.name for field in spec.fields]
    rows = alive.head(20)
    values = rows[names].astype(object).where(rows[names].notna(), None).to_numpy().tolist()
    answers = [served.score(row) for row in values]
    assert [answer for answer, _ in answers] == candidate.score(rows).tolist()
    # a category that is not read is none that the model lacks
    assert ORIGIN not in {name for _, unseen in answers for name in unseen}


def test_behaviour_that_is_about_it_alone_holds(candidate, dead_windows):
    more_wind = {"name": "a", "add": {WIND: 20}, "expect": "not_lower", "tolerance": 0.0}
    both = {
        "name": "b",
        "add": {WIND: 20, "temperature_c": -5},
        "expect": "not_lower",
        "tolerance": 1.0,
    }
    swap = {"name": "c", "swap": [WIND, ORIGIN], "max_change": 0.0}
    suite = Behaviour(n_rows=100, invariance=[swap], direction=[more_wind, both])

    found = check_behaviour(COLUMNS, candidate, dead_windows[2], suite, seed=0).set_index("name")

    assert found["passed"].all()
    assert "without wind_kmh, and cannot move" in found.loc["a", "detail"]
    assert found.loc["b", "n_rows"] > 50


def test_when_it_comes_alive_it_has_drifted_and_the_data_is_not_bad(
    candidate,
    predictions,
    as_of,
    horizon,
    window,
    params,
):
    drift = measure_drift(COLUMNS, predictions, candidate, as_of, horizon, window, params)

    quality = measure_quality(
        COLUMNS, predictions, drift, CLEAN, NO_SKEW, candidate, as_of, horizon, params
    )

    newest = drift[drift["window_start"] == drift["window_start"].max()].set_index("column")
    assert newest.loc[[*DEAD], "drifted"].all()
    # what the model reads none of cannot spoil its answers
    assert newest.loc[ORIGIN, "unseen_share"] > params.max_unseen_share
    assert [check.name for check in quality.checks if not check.passed] == []
