"""Predictions and their labels, as far as they are known, counted where they are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import draw
from kedro_mlops.task.metrics import Metrics, divided
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.tally import Asked, ByCell, Sums, Tally
from kedro_mlops.task.task import Calibration

from .blocks import Blocks, Ends, block_of, blocks_of
from .counted import Groups
from .fairness import GroupRates
from .kept import KEPT, Found
from .metrics import Bootstrap, Measurable, Scored, draw_blocks
from .tallied import Tallied, add_up

# of a window, that come into memory where something does not follow from what is counted
MOST_ROWS = 200_000


@dataclass(frozen=True)
class Expectation:
    """What labels are expected where they are not known.

    Attributes:
        calibration: How the chances of classes follow from scores.
        losses: The loss of each row that is expected, where a model of it was fitted.
    """

    calibration: Calibration | None = None
    losses: Callable[[pd.DataFrame], Floats | None] = lambda _: None


UNKNOWN = Expectation()


@dataclass(frozen=True)
class Seen:
    """Predictions, some of them with their label.

    Attributes:
        n_predictions: All of them.
        known: Those whose label is known.
        expected: All, with the labels that are expected.
    """

    n_predictions: int
    known: Measurable
    expected: Callable[[], Measurable]


def see(contract: Columns, labelled: ir.Table, expectation: Expectation = UNKNOWN) -> Seen:
    """Count predictions.

    Args:
        contract: What was predicted.
        labelled: Keys, moment, all that was told, and the label, missing where it is not known.
        expectation: What is expected where it is not.
    """
    [seen] = _see(contract, labelled, [None], expectation)
    return seen


def see_parts(
    contract: Columns,
    labelled: ir.Table,
    moment: str,
    days: Sequence[Ends],
    expectation: Expectation = UNKNOWN,
) -> Iterator[Seen]:
    """The same of each of some days, which are counted together.

    Args:
        contract: What was predicted.
        labelled: As ``see`` has it.
        moment: The column that says of which day a row is.
        days: The first days, and those after the last ones.
        expectation: As ``see`` has it.
    """
    if contract.has_time:
        return _see(contract, labelled, days, expectation)
    parts = (_of_days(labelled, moment, ends) for ends in days)
    return (see(contract, part, expectation) for part in parts)


def see_groups(
    contract: Columns, labelled: ir.Table, bootstrap: Bootstrap
) -> dict[str, GroupRates]:
    """The rates of the groups of every protected column, of rows with a label; see ``fairness``."""
    rows = _with_label(contract, labelled)
    _, known = _blocks(contract, labelled)
    return {
        name: _rates(contract, rows.filter(rows[name].notnull()), name, known, bootstrap)
        for name in contract.protected
    }


def _rates(
    contract: Columns, rows: ir.Table, name: str, known: Blocks, bootstrap: Bootstrap
) -> GroupRates:
    rates = contract.task.rate_parts(rows)
    parts = {rate: part for rate, (part, _) in rates.items()}
    parts |= {f"of {rate}": of for rate, (_, of) in rates.items() if of is not None}
    asked = Asked(by_cell={name: ByCell(rows[name], parts=parts)})
    found = add_up(rows, asked, block_of(contract, rows), known).cells[name]
    weights = draw_blocks(len(known.names), bootstrap)
    return GroupRates(
        [str(group) for group in found.names],
        found.n.sum(axis=0).astype(np.int64),
        len(known.names),
        {
            rate: divided(
                weights @ found.sums[rate], weights @ found.sums.get(f"of {rate}", found.n)
            )
            for rate in rates
        },
    )


def n_drawn(contract: Columns, n_rows: int, more: Metrics) -> int | None:
    """How many rows stand for all where something does not follow from counts, if it does not."""
    asked = contract.task.estimates_loss or more.names
    return MOST_ROWS if asked and n_rows > MOST_ROWS else None


def calibration_curve(contract: Columns, labelled: ir.Table) -> pd.DataFrame:
    """What was predicted and observed where the label is known; see ``Task.calibration_curve``."""
    tally, rows = contract.task.tally(), _with_label(contract, labelled)
    if tally is None:
        groups, (blocks, known) = _groups(contract, labelled), _blocks(contract, labelled)
        _, found = groups.of_days(contract.task, blocks, known, None)
        return contract.task.calibration_curve(found.label, found.score, found.times)
    together = Blocks(pd.Index([0]), np.zeros(1))
    return tally.calibration_curve(add_up(rows, tally.curve(rows), ibis.literal(0), together))


def _see(
    contract: Columns, labelled: ir.Table, days: Sequence[Ends | None], expectation: Expectation
) -> Iterator[Seen]:
    tally, (blocks, known) = contract.task.tally(), _blocks(contract, labelled)
    if tally is not None:
        counting = _Counting(contract, labelled, tally, blocks, known, expectation)
        yield from map(counting.of, days)
        return
    groups = _groups(contract, labelled)
    for ends in days:
        of_all, of_known = groups.of_days(contract.task, blocks, known, ends)
        of_known = replace(of_known, rows=partial(_known_rows, contract, labelled, ends))
        yield Seen(len(of_all), of_known, partial(_with_expected, of_all, expectation))


def _groups(contract: Columns, labelled: ir.Table) -> Groups:
    blocks, _ = _blocks(contract, labelled)
    return KEPT.get(contract, labelled, "groups", partial(Groups.of, contract, labelled, blocks))


def _blocks(contract: Columns, labelled: ir.Table) -> tuple[Blocks, Blocks]:
    return KEPT.get(contract, labelled, "blocks", partial(blocks_of, contract, labelled))


@dataclass(frozen=True)
class _Counting:
    """Predictions that are counted when somebody asks."""

    contract: Columns
    labelled: ir.Table
    tally: Tally
    blocks: Blocks
    known_blocks: Blocks
    expectation: Expectation

    def of(self, days: Ends | None) -> Seen:
        """Those of some days; all, if there are none."""
        counted = self._kept("known", self._known).of(self.known_blocks.within(days))
        known = self._tallied(counted, partial(self._rows, days, with_label=True))
        return Seen(len(self.blocks.of(days)), known, partial(self._expected_of, days))

    def _known(self) -> Sums:
        rows = _with_label(self.contract, self.labelled)
        block = block_of(self.contract, rows)
        return add_up(rows, self.tally.known(rows), block, self.known_blocks)

    def _expected(self) -> Sums | None:
        asked = self.tally.expected(self.labelled, self.expectation.calibration)
        if asked is None:
            return None
        return add_up(self.labelled, asked, block_of(self.contract, self.labelled), self.blocks)

    def _expected_of(self, days: Ends | None) -> Measurable:
        rows = partial(self._rows, days, with_label=False)
        counted = self._kept(repr(self.expectation.calibration), self._expected)
        if counted is None:
            return rows()
        return self._tallied(counted.of(self.blocks.within(days)), rows)

    def _kept(self, name: str, find: Callable[[], Found]) -> Found:
        return KEPT.get(self.contract, self.labelled, name, find)

    def _tallied(self, counted: Sums, rows: Callable[[], Scored]) -> Tallied:
        return Tallied(self.contract.task, self.tally, counted, rows)

    def _rows(self, days: Ends | None, *, with_label: bool) -> Scored:
        """Some of them in memory, with the label that is known, or with the one expected."""
        contract = self.contract
        if with_label:
            return _known_rows(contract, self.labelled, days)
        drawn = _rows_of(contract, self.labelled, days)
        return _with_expected(Scored.of_scores(contract, drawn), self.expectation, drawn)


def _known_rows(contract: Columns, labelled: ir.Table, days: Ends | None) -> Scored:
    return Scored.of(contract, _rows_of(contract, _with_label(contract, labelled), days))


def _rows_of(contract: Columns, rows: ir.Table, days: Ends | None) -> pd.DataFrame:
    """Those of some days in memory; of many, some that are drawn by their keys."""
    if days is not None:
        rows = _of_days(rows, contract.event_time, days)
    drawn = draw(contract, rows, MOST_ROWS, 0, by_class=False)
    found: pd.DataFrame = drawn.order_by(contract.keys).to_pandas()
    return found


def _with_expected(
    scored: Scored, expectation: Expectation, rows: pd.DataFrame | None = None
) -> Scored:
    losses = None if rows is None else expectation.losses(rows)
    expected = scored.task.expected(scored.score, expectation.calibration, losses)
    return replace(scored, label=expected)


def _with_label(contract: Columns, labelled: ir.Table) -> ir.Table:
    return labelled.filter(labelled[contract.label].notnull())


def _of_days(rows: ir.Table, moment: str, days: Ends) -> ir.Table:
    since, until = map(ibis.literal, days)
    return rows.filter(rows[moment] >= since, rows[moment] < until)
