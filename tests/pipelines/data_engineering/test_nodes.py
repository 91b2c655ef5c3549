import ibis
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from flight_delays.columns import Columns
from flight_delays.contracts import DailyFeatures, Observation
from flight_delays.errors import ProjectError
from flight_delays.moments import AsOf, Horizon
from flight_delays.pipelines.data_engineering.nodes import (
    ENTITIES,
    count_flights,
    daily_features,
    join_flights,
    land_flights,
    land_planes,
    land_weather,
    publish,
)
from flight_delays.validation import ContractValidator

COLUMNS = Columns.of(Observation)
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


@pytest.fixture(scope="module", params=["2013-02-03", "2013-03-10 14:37", "2013-04-05 09:00"])
def then(request, engineer, raw_flights, engineering_params):
    """A moment, and what was made of the data of that moment."""
    moment = pd.Timestamp(request.param)
    horizon = Horizon(days=7)
    as_of = AsOf((moment.ceil("D") - pd.Timedelta(days=7)).date())
    return moment, engineer(world_at(raw_flights, moment), as_of, horizon, engineering_params)


@pytest.mark.parametrize("by", ENTITIES)
def test_daily_features_hold_nothing_that_became_known_after_their_day_began(engineered, then, by):
    moment, made_then = then
    now_rows = pandas_rows(engineered.features[by], ["entity", "day"])

    then_rows = pandas_rows(made_then.features[by], ["entity", "day"])

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


@pytest.mark.parametrize("by", ENTITIES)
@pytest.mark.parametrize("day", ["2013-01-04", "2013-02-10", "2013-03-11", "2013-04-15"])
def test_daily_features_equal_a_slow_reference(engineered, raw_flights, by, day):
    day = pd.Timestamp(day)
    raw = raw_flights.assign(known_at=known_at(raw_flights), entity=raw_flights[RAW_NAMES[by]])

    rows = pandas_rows(engineered.features[by], ["entity", "day"]).query("day == @day")

    expected = []
    for entity, flights in raw[raw["known_at"] < day].groupby("entity"):
        week = flights[flights["known_at"] >= day - pd.Timedelta(days=7)]
        late_rate = (week["arr_delay"] > 15).mean()
        expected.append((entity, day, len(week), late_rate))
    expected = pd.DataFrame(expected, columns=["entity", "day", "flights_7d", "late_rate_7d"])
    assert expected["flights_7d"].sum() > 0
    assert_frame_equal(rows.reset_index(drop=True), expected, check_dtype=False)


def test_every_entity_has_one_row_for_every_day_from_its_first_to_the_last(engineered):
    features = engineered.features["carrier"].to_pandas()

    days = features.groupby("entity")["day"].agg(["min", "max", "nunique", "size"])

    assert (days["max"] == END).all()
    assert (days["size"] == (days["max"] - days["min"]).dt.days + 1).all()
    assert (days["nunique"] == days["size"]).all()


def test_an_entity_without_flights_in_the_week_has_a_row_without_rate(
    raw_flights, raw_weather, as_of, horizon, engineering_params
):
    idle = (raw_flights["carrier"] == "F9") & (raw_flights["month"] > 1)
    landed = land_flights(raw_flights[~idle], as_of, horizon, engineering_params)
    flights = join_flights(landed, land_weather(raw_weather), as_of, horizon, engineering_params)

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
    raw_flights, horizon, engineering_params, day
):
    outside = AsOf(day)

    with pytest.raises(ProjectError) as refused:
        land_flights(raw_flights, outside, horizon, engineering_params)

    assert f"as_of={day}" in str(refused.value)
    assert "2013-01-01 to 2013-04-30" in str(refused.value)


@pytest.mark.parametrize("day", ["2013-01-02", "2013-05-01"])
def test_as_of_may_be_any_day_that_has_flights_before_it(
    raw_flights, horizon, engineering_params, day
):
    as_of = AsOf(day)

    flights = land_flights(raw_flights, as_of, horizon, engineering_params)

    assert flights.scheduled_departure.min().to_pyarrow().as_py() < as_of.moment


def test_history_days_leaves_out_what_is_older(raw_flights, as_of, horizon, engineering_params):
    recent = engineering_params.model_copy(update={"history_days": 30})

    flights = land_flights(raw_flights, as_of, horizon, recent).to_pandas()

    departures = scheduled(raw_flights)
    assert len(flights) == departures.between("2013-03-02", END, inclusive="left").sum()
    assert flights["scheduled_departure"].min().date().isoformat() == "2013-03-02"


def test_the_end_of_the_horizon_is_not_in_it(raw_flights, as_of, horizon, engineering_params):
    at_the_end = (raw_flights["month"] == 4) & (raw_flights["day"] == 15)
    raw = raw_flights.assign(
        hour=raw_flights["hour"].mask(at_the_end, 0),
        minute=raw_flights["minute"].mask(at_the_end, 0),
    )

    flights = land_flights(raw, as_of, horizon, engineering_params)

    assert (scheduled(raw) == END).any()
    assert flights.scheduled_departure.max().to_pyarrow().as_py() < END


def test_impossible_winds_are_removed_and_their_hour_is_kept(raw_weather):
    impossible = raw_weather["wind_speed"] > 200
    raw = raw_weather.assign(wind_gust=raw_weather["wind_gust"].mask(impossible, 1200))

    weather = land_weather(raw).to_pandas()

    moments = raw.loc[impossible, "time_hour"].dt.tz_localize(None)
    hours = weather.merge(raw.loc[impossible, ["origin"]].assign(departure_hour_utc=moments))
    assert len(hours) == impossible.sum() > 0
    assert hours[["wind_speed_mph", "wind_gust_mph"]].isna().all(axis=None)
    assert hours["temperature_f"].notna().all()
    assert weather["wind_speed_mph"].max() <= 200


def test_observations_of_one_airport_and_hour_are_averaged(raw_weather):
    first = raw_weather.head(1)
    warmer = first.assign(temp=first["temp"] + 3)

    weather = land_weather(pd.concat([raw_weather, warmer])).to_pandas()

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


def test_planes_are_known_by_their_tail_number(raw_planes):
    register = raw_planes.set_index("tailnum")

    planes = land_planes(raw_planes).to_pandas().set_index("entity")

    assert planes.loc["N14228", "year"] == register.loc["N14228", "year"]
    assert planes.loc["N14228", "seats"] == register.loc["N14228", "seats"]


def test_published_tables_are_indexed_by_what_they_are_looked_up_by(engineered):
    looked_up = {column.role.lookup for column in COLUMNS.looked_up}

    published = publish(*engineered.features.values(), engineered.planes)

    assert set(published) == {lookup.table for lookup in looked_up}
    for lookup in looked_up:
        rows = published[lookup.table]
        assert rows.index.names == (["entity", "day"] if lookup.daily else ["entity"])
        assert rows.index.is_unique
        assert lookup.column in rows.columns


def test_every_table_keeps_its_contract(engineered):
    tables = dict.fromkeys(engineered.features.values(), "DailyFeatures") | {
        engineered.planes: "PlaneFeatures",
        engineered.model_input: "Observation",
    }

    for table, contract in tables.items():
        ContractValidator(f"flight_delays.contracts.{contract}").validate(table)
