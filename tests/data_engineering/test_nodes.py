import re

import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from flight_delays.contracts import (
    DailyFeatures,
    Inputs,
    Observation,
    RawFlights,
    RawWeather,
)
from flight_delays.pipelines.data_engineering import nodes
from flight_delays.pipelines.data_engineering.nodes import (
    DAILY_FEATURES,
    assemble_model_input,
    check_availability,
    count_flights,
    daily_features,
    join_flights,
    land_flights,
    land_weather,
    screen_flights,
    screen_planes,
    screen_weather,
)

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.quarantine import Screening, admit, judge_screening, screen
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.errors import BadDataError, ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.feature_store.online_store import publish

COLUMNS, INPUTS = Columns.of(Observation), Columns.of(Inputs)
RAW_NAMES = {"carrier": "carrier", "origin": "origin", "destination": "dest"}
OUTCOMES = ["dep_delay", "arr_delay", "air_time"]
LABEL_DELAY = pd.Timedelta(hours=1)
END = pd.Timestamp("2013-04-15")


def scheduled(raw):
    return pd.to_datetime(raw[["year", "month", "day", "hour", "minute"]])


def known_at(raw):
    """When a delay is known: an hour after landing; never for cancelled and diverted flights."""
    landed = scheduled(raw) + pd.to_timedelta(raw["dep_delay"] + raw["air_time"], unit="m")
    return (landed + LABEL_DELAY).where(raw["arr_delay"].notna())


def world_at(raw, moment):
    """The raw flights as they were at a moment: none scheduled later, no outcome known later."""
    seen = raw[scheduled(raw) < moment].copy()
    seen.loc[~(known_at(seen) < moment), OUTCOMES] = np.nan
    return seen


def pandas_rows(table, by):
    return table.to_pandas().sort_values(by, ignore_index=True)


def test_an_hour_of_impossible_wind_is_all_that_the_quarantine_of_the_weather_holds(raw_weather):
    [hour] = raw_weather.loc[raw_weather["wind_speed"] > 1000, "time_hour"]

    valid, quarantined, account = screen_weather(raw_weather)

    [entry] = quarantined.to_pyarrow().to_pylist()
    assert (entry["column"], entry["rule"]) == ("wind_speed", "less_than_or_equal_to(200)")
    assert entry["value"].startswith("1048")
    assert entry["record"]["time_hour"] == hour
    assert account.n_quarantined == 1
    assert account.n_valid == valid.count().to_pyarrow().as_py() == len(raw_weather) - 1


@pytest.mark.parametrize(
    ("screening", "table"), [(screen_flights, "raw_flights"), (screen_planes, "raw_planes")]
)
def test_no_flight_and_no_plane_of_the_source_is_quarantined(request, screening, table):
    raw = request.getfixturevalue(table)

    valid, quarantined, account = screening(raw)

    assert valid.count().to_pyarrow().as_py() == account.n_valid == len(raw)
    assert quarantined.count().to_pyarrow().as_py() == account.n_quarantined == 0


def test_a_flight_is_screened_into_the_declared_types(raw_flights):
    first = raw_flights.iloc[0]

    valid, _, _ = screen_flights(raw_flights)

    row = valid.to_pandas().iloc[0]
    assert list(row.index) == Columns.of(RawFlights).names
    assert row["time_hour"] == pd.Timestamp(first["time_hour"])
    assert (row["flight"], row["tailnum"]) == (first["flight"], first["tailnum"])


@pytest.fixture
def stormy(raw_weather):
    """Weather in which one observation of fifty is impossible."""
    wind = raw_weather["wind_speed"].mask(np.arange(len(raw_weather)) % 50 == 0, 1200)
    return screen_weather(raw_weather.assign(wind_speed=wind))


def test_tables_with_few_bad_rows_are_admitted_as_they_are(stormy, landed_planes):
    valid, _, account = stormy
    screening = judge_screening(Screening(max_quarantine_share=0.05), account)

    admitted = admit(screening, weather=valid, planes=landed_planes)

    assert admitted == {"weather": valid, "planes": landed_planes}


def test_a_table_with_many_bad_rows_stops_the_run(stormy):
    valid, _, account = stormy
    screening = judge_screening(Screening(max_quarantine_share=0.01), account)

    with pytest.raises(BadDataError, match="RawWeather") as refused:
        admit(screening, weather=valid)

    assert "screening.max_quarantine_share=0.01" in str(refused.value)
    assert "wind_speed: less_than_or_equal_to(200)" in str(refused.value)


@pytest.fixture(scope="module", params=["2013-02-03", "2013-03-10 14:37", "2013-04-05 09:00"])
def then(request, engineer, raw_flights, engineering_params):
    """A moment, and what was made of the data of that moment."""
    moment = pd.Timestamp(request.param)
    horizon = Horizon(days=7)
    as_of = AsOf((moment.ceil("D") - pd.Timedelta(days=7)).date())
    return moment, engineer(world_at(raw_flights, moment), as_of, horizon, engineering_params)


@pytest.mark.parametrize(("table", "by"), DAILY_FEATURES.items())
def test_daily_features_hold_nothing_that_became_known_after_their_day_began(
    engineered, then, table, by
):
    moment, made_then = then
    now_rows = pandas_rows(engineered.features[table], ["entity", "day"])

    then_rows = pandas_rows(made_then.features[table], ["entity", "day"])

    past = now_rows[now_rows["day"] <= moment].reset_index(drop=True)
    assert past["day"].max() == moment.normalize()
    assert_frame_equal(past, then_rows[then_rows["day"] <= moment].reset_index(drop=True))


def test_model_input_features_hold_nothing_that_became_known_later(engineered, then):
    moment, made_then = then
    names = list(dict.fromkeys([*COLUMNS.keys, *COLUMNS.features]))
    now_rows = pandas_rows(engineered.model_input, COLUMNS.keys)

    then_rows = pandas_rows(made_then.model_input, COLUMNS.keys)

    past = now_rows[now_rows["scheduled_departure"] < moment].reset_index(drop=True)
    assert len(past) > 2000
    assert past["carrier_late_rate_7d"].notna().mean() > 0.9
    assert_frame_equal(past[names], then_rows[names])


@pytest.mark.parametrize(("table", "by"), DAILY_FEATURES.items())
@pytest.mark.parametrize("day", ["2013-01-04", "2013-02-10", "2013-03-11", "2013-04-15"])
def test_daily_features_equal_a_slow_reference(engineered, raw_flights, table, by, day):
    day = pd.Timestamp(day)
    raw = raw_flights.assign(known_at=known_at(raw_flights), entity=raw_flights[RAW_NAMES[by]])

    rows = pandas_rows(engineered.features[table], ["entity", "day"]).query("day == @day")

    expected = []
    for entity, flights in raw[raw["known_at"] < day].groupby("entity"):
        week = flights[flights["known_at"] >= day - pd.Timedelta(days=7)]
        late_rate = (week["arr_delay"] > 15).mean()
        expected.append((entity, day, len(week), late_rate))
    expected = pd.DataFrame(expected, columns=["entity", "day", "flights_7d", "late_rate_7d"])
    assert expected["flights_7d"].sum() > 0
    assert_frame_equal(rows.reset_index(drop=True), expected, check_dtype=False)


def test_every_entity_has_one_row_for_every_day_from_its_first_to_the_last(engineered):
    features = engineered.features["carrier_features"].to_pandas()

    days = features.groupby("entity")["day"].agg(["min", "max", "nunique", "size"])

    assert (days["max"] == END).all()
    assert (days["size"] == (days["max"] - days["min"]).dt.days + 1).all()
    assert (days["nunique"] == days["size"]).all()


def test_an_entity_without_flights_in_the_week_has_a_row_without_rate(
    raw_flights, landed_weather, as_of, horizon, engineering_params
):
    idle = (raw_flights["carrier"] == "F9") & (raw_flights["month"] > 1)
    busy, _, _ = screen(raw_flights[~idle], RawFlights)
    landed = land_flights(busy, as_of, horizon, engineering_params)
    flights = join_flights(landed, landed_weather, as_of, horizon, engineering_params)

    features = daily_features(flights, "carrier", END).to_pandas()

    last = features[features["entity"] == "F9"].set_index("day").loc[END]
    assert last["flights_7d"] == 0
    assert np.isnan(last["late_rate_7d"])


def test_a_world_in_which_nothing_has_landed_has_no_daily_features(engineered):
    unknown = engineered.flights.mutate(late=ibis.null("boolean"))

    features = daily_features(unknown, "carrier", END).to_pandas()

    assert len(features) == 0


def test_feature_tables_and_model_input_keep_their_contracts(engineered):
    daily = ContractValidator("flight_delays.contracts.DailyFeatures")
    planes = ContractValidator("flight_delays.contracts.PlaneFeatures")
    observations = ContractValidator("flight_delays.contracts.Observation")

    checked = [daily.validate(table) for table in engineered.features.values()]
    planes.validate(engineered.planes)
    observations.validate(engineered.model_input)

    assert [table.columns for table in checked] == [tuple(Columns.of(DailyFeatures).names)] * 3
    assert list(engineered.model_input.columns) == COLUMNS.names


def test_model_input_has_each_flight_of_the_window_once(engineered, raw_flights):
    due = scheduled(raw_flights) < END

    rows = engineered.model_input.to_pandas()

    assert len(rows) == due.sum()
    assert not rows.duplicated(COLUMNS.keys).any()
    assert rows["scheduled_departure"].max() < END


def test_labels_are_those_known_at_the_end_of_the_horizon(engineered, raw_flights):
    raw = raw_flights[scheduled(raw_flights) < END]
    moment = known_at(raw)
    known = moment < END
    expected = pd.DataFrame(
        {
            "carrier": raw["carrier"],
            "flight_number": raw["flight"],
            "origin": raw["origin"],
            "scheduled_departure": scheduled(raw),
            "late": (raw["arr_delay"] > 15).astype(object).where(known, None),
            "label_known_at": moment.where(known),
        }
    ).sort_values(COLUMNS.keys, ignore_index=True)

    rows = pandas_rows(engineered.model_input, COLUMNS.keys)

    assert (~known & moment.notna()).any()
    assert_frame_equal(rows[expected.columns], expected, check_dtype=False)


def test_cancelled_flights_have_no_label_and_are_counted(engineered, raw_flights):
    n_cancelled = raw_flights.loc[scheduled(raw_flights) < END, "dep_delay"].isna().sum()

    flights = engineered.flights.to_pandas()

    cancelled = flights[flights["departure_delay_min"].isna()]
    assert cancelled["late"].isna().all()
    assert cancelled["label_known_at"].isna().all()
    assert count_flights(engineered.flights)["cancelled"] == len(cancelled) == n_cancelled > 0


def test_counts_account_for_every_flight(engineered, raw_flights):
    raw = raw_flights[scheduled(raw_flights) < END]
    known = known_at(raw) < END

    counts = count_flights(engineered.flights)

    n_flights = counts.pop("flights")
    assert n_flights == len(raw) == sum(counts.values())
    assert counts["late"] == (raw.loc[known, "arr_delay"] > 15).sum()
    assert counts["diverted"] == (raw["dep_delay"].notna() & raw["arr_delay"].isna()).sum() > 0
    assert counts["not_yet_known"] == (raw["arr_delay"].notna() & ~known).sum() > 0


def test_counts_of_no_flights_are_zero(engineered):
    nothing = engineered.flights.filter(engineered.flights.distance_mi < 0)

    counts = count_flights(nothing)

    assert set(counts.values()) == {0}


@pytest.mark.parametrize("day", ["2012-12-31", "2013-01-01", "2013-05-02"])
def test_as_of_outside_the_flights_is_refused_with_their_range(
    engineered, horizon, engineering_params, day
):
    outside = AsOf(day)

    with pytest.raises(ProjectError) as refused:
        land_flights(engineered.screened, outside, horizon, engineering_params)

    assert f"as_of={day}" in str(refused.value)
    assert "2013-01-01 to 2013-04-30" in str(refused.value)
    # and the days that it names instead are days
    [after, last, such] = re.findall(
        r"(?:a day after|not after|--params as_of=)\s?([\d-]+)", str(refused.value)
    )
    first = (pd.Timestamp(after) + pd.Timedelta(days=1)).date().isoformat()
    for named in (first, last, such):
        flights = land_flights(engineered.screened, AsOf(named), horizon, engineering_params)
        assert (flights.scheduled_departure < AsOf(named).moment).any().to_pyarrow().as_py()


@pytest.mark.parametrize("day", ["2013-01-02", "2013-05-01"])
def test_as_of_may_be_any_day_that_has_flights_before_it(
    engineered, horizon, engineering_params, day
):
    as_of = AsOf(day)

    flights = land_flights(engineered.screened, as_of, horizon, engineering_params)

    assert flights.scheduled_departure.min().to_pyarrow().as_py() < as_of.moment


def test_history_days_leaves_out_what_is_older(
    engineered, raw_flights, as_of, horizon, engineering_params
):
    recent = engineering_params.model_copy(update={"history_days": 30})

    flights = land_flights(engineered.screened, as_of, horizon, recent).to_pandas()

    departures = scheduled(raw_flights)
    assert len(flights) == departures.between("2013-03-02", END, inclusive="left").sum()
    assert flights["scheduled_departure"].min().date().isoformat() == "2013-03-02"


def test_the_end_of_the_horizon_is_not_in_it(raw_flights, as_of, horizon, engineering_params):
    at_the_end = (raw_flights["month"] == 4) & (raw_flights["day"] == 15)
    raw = raw_flights.assign(
        hour=raw_flights["hour"].mask(at_the_end, 0),
        minute=raw_flights["minute"].mask(at_the_end, 0),
    )

    flights = land_flights(screen(raw, RawFlights)[0], as_of, horizon, engineering_params)

    assert (scheduled(raw) == END).any()
    assert flights.scheduled_departure.max().to_pyarrow().as_py() < END


def test_observations_of_one_airport_and_hour_are_averaged(raw_weather):
    first = raw_weather.head(1)
    warmer = first.assign(temp=first["temp"] + 3)
    valid, _, _ = screen(pd.concat([raw_weather, warmer]), RawWeather)

    weather = land_weather(valid).to_pandas()

    assert not weather.duplicated(["origin", "departure_hour_utc"]).any()
    hour = weather.sort_values(["origin", "departure_hour_utc"]).iloc[0]
    assert hour["temperature_f"] == pytest.approx(first["temp"].item() + 1.5)


def test_flights_meet_the_weather_of_their_hour_and_airport(engineered, raw_weather, raw_flights):
    flight = raw_flights[raw_flights["dep_delay"].notna()].iloc[100]
    observed = raw_weather[
        (raw_weather["origin"] == flight["origin"])
        & (raw_weather["time_hour"] == flight["time_hour"])
    ]

    rows = engineered.model_input.to_pandas()

    row = rows[
        (rows["carrier"] == flight["carrier"])
        & (rows["flight_number"] == flight["flight"])
        & (rows["scheduled_departure"] == scheduled(raw_flights)[flight.name])
    ]
    assert len(row) == len(observed) == 1
    assert row["temperature_f"].item() == observed["temp"].item()
    assert row["pressure_mb"].item() == observed["pressure"].item()


def test_planes_are_known_by_their_tail_number(landed_planes, raw_planes):
    register = raw_planes.set_index("tailnum")

    planes = landed_planes.to_pandas().set_index("entity")

    assert planes.loc["N14228", "year"] == register.loc["N14228", "year"]
    assert planes.loc["N14228", "seats"] == register.loc["N14228", "seats"]


def test_published_tables_have_a_row_for_whatever_they_are_looked_up_by(engineered):
    looked_up = {column.role.lookup for column in COLUMNS.looked_up}

    published = publish(**engineered.features, plane_features=engineered.planes)

    assert set(published) == {lookup.table for lookup in looked_up}
    for lookup in looked_up:
        rows = published[lookup.table].to_pandas()
        assert not rows.duplicated(["entity", "day"] if lookup.daily else ["entity"]).any()
        assert lookup.column in rows.columns


def test_every_table_keeps_its_contract(engineered):
    tables = dict.fromkeys(engineered.features.values(), "DailyFeatures") | {
        engineered.screened: "RawFlights",
        engineered.flights: "PrimaryFlights",
        engineered.planes: "PlaneFeatures",
        engineered.model_input: "Observation",
    }

    for table, contract in tables.items():
        ContractValidator(f"flight_delays.contracts.{contract}").validate(table)


@pytest.fixture
def available(engineered, landed_weather, landed_planes, as_of, engineering_params):
    """What ``check_availability`` is given."""
    return engineered.screened, landed_weather, landed_planes, as_of, engineering_params


def test_no_input_needs_what_is_known_only_after_the_flight(available, raw_flights, as_of):
    found = check_availability(*available)

    assert found["day"] == str(as_of)
    assert found["n_rows"] == (scheduled(raw_flights).dt.normalize() == as_of.moment).sum() > 0
    assert found["hidden"] == OUTCOMES
    assert found["compared"] == INPUTS.names


def test_a_day_without_flights_is_replaced_by_the_last_one_that_had_some(
    available, raw_flights, engineering_params
):
    *tables, _, _ = available
    two_days_later = AsOf("2013-05-02")

    found = check_availability(*tables, two_days_later, engineering_params)

    assert found["day"] == str(scheduled(raw_flights).max().date()) == "2013-04-30"


def test_a_window_of_several_months_is_proven_with_all_their_flights(
    available, raw_flights, as_of, monkeypatch
):
    monkeypatch.setattr(nodes, "WINDOW_DAYS", 45)
    monkeypatch.setattr(nodes, "prove_availability", lambda recent, *_: {"n": recent.count()})

    known = scheduled(raw_flights).between(as_of.before(90), as_of.after(1), inclusive="left")
    assert check_availability(*available)["n"].execute() == known.sum()


def assemble_with(name, told):
    """A way to assemble the inputs in which one of them tells what only the end will show."""

    def assemble(flights, planes, **features):
        inputs = assemble_model_input(flights, planes, **features)
        leak = flights.select(*COLUMNS.keys, told=told)
        return (
            inputs.left_join(leak, COLUMNS.keys).mutate({name: ibis._.told}).select(inputs.columns)
        )

    return assemble


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plane_year", ibis._.departure_delay_min),
        ("carrier_late_rate_7d", ibis._.late.cast("float64")),
        ("pressure_mb", ibis._.arrival_delay_min.mean().over(ibis.window(group_by="destination"))),
        (
            "tail_number",
            ibis._.air_time_min.notnull().ifelse(ibis._.tail_number, ibis.null("string")),
        ),
    ],
    ids=["a delay", "the label", "an average over the day's flights", "what is missing"],
)
def test_an_input_that_tells_the_outcome_is_named(monkeypatch, available, as_of, name, told):
    monkeypatch.setattr(nodes, "assemble_model_input", assemble_with(name, told))

    with pytest.raises(ProjectError) as refused:
        check_availability(*available)

    assert f"Known only after the event: {name}. " in str(refused.value)
    assert str(as_of) in str(refused.value)
    assert all(outcome in str(refused.value) for outcome in OUTCOMES)


def test_inputs_of_flights_chosen_by_their_outcome_are_refused(monkeypatch, available):
    def assemble_departed(flights, planes, **features):
        departed = flights.filter(flights.departure_delay_min.notnull())
        return assemble_model_input(departed, planes, **features)

    monkeypatch.setattr(nodes, "assemble_model_input", assemble_departed)

    with pytest.raises(ProjectError, match="only after the event"):
        check_availability(*available)


def test_the_day_that_is_named_is_one(engineered, engineering_params, horizon):
    land, screened = nodes.land_flights, engineered.screened

    with pytest.raises(ProjectError) as refused:
        land(screened, AsOf("2014-09-01"), horizon, engineering_params)
    said = str(refused.value)

    [day] = re.findall(r"`kedro run --params as_of=([\d-]+)`", said)
    assert land(screened, AsOf(day), horizon, engineering_params).count().execute() > 0
