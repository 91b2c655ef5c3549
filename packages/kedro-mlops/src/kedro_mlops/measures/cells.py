"""The cell of a grid that each number lies in, as an expression that engines compute."""

import ibis
import ibis.expr.types as ir

from .grids import ABOVE, BELOW, PER_OCTAVE, SHIFT, EdgeGrid, EvenGrid, Grid, LogGrid


@ibis.udf.scalar.builtin(name="floor")  # type: ignore[untyped-decorator]
def _floor(number: float) -> float:  # type: ignore[empty-body]
    """Round down, and stay a number that may be too large for an integer."""


def near_cells(grid: Grid, values: ir.NumericColumn) -> ir.Value:
    """The cell of each number, int16; null where it is missing, not a number, or far away."""
    if isinstance(grid, EvenGrid):
        return _of_equal_width(grid, values)
    if isinstance(grid, LogGrid):
        return _by_size(values.cast("float64"))
    return _between(grid, values)


def cells(grid: Grid, values: ir.NumericColumn) -> ir.Value:
    """The cell of each number, int16; null where it is missing or not a number."""
    near = near_cells(grid, values)
    if isinstance(grid, EdgeGrid):
        return near
    zero = grid.zero if isinstance(grid, EvenGrid) else 0.0
    sides = [
        (values > zero, ibis.literal(ABOVE, "int16")),
        (values < zero, ibis.literal(BELOW, "int16")),
    ]
    if values.type().is_floating():
        # engines hold it to be the greatest number
        sides.insert(0, (values.isnan(), ibis.null("int16")))
    return ibis.coalesce(near, ibis.cases(*sides, else_=ibis.null("int16")))


def _of_equal_width(grid: EvenGrid, values: ir.NumericColumn) -> ir.Value:
    values = values.cast("float64") if values.type().is_decimal() else values
    position = values - grid.zero if grid.zero else values
    position = position * grid.scale if grid.scale != 1 else position
    whole = position if position.type().is_integer() else _floor(position)
    return whole.try_cast("int16")


def _by_size(values: ir.FloatingColumn) -> ir.Value:
    return ibis.cases(
        (values > 0, _octaves(values)),
        (values < 0, -_octaves(-values)),
        (values == 0, ibis.literal(0, "int16")),
        else_=ibis.null("int16"),
    )


def _octaves(sizes: ir.FloatingColumn) -> ir.Value:
    return _floor(sizes.log2() * PER_OCTAVE).try_cast("int16") + ibis.literal(SHIFT, "int16")


def _between(grid: EdgeGrid, values: ir.NumericColumn) -> ir.Value:
    below = [(values >= edge).cast("int16") for edge in grid.edges]
    position = sum(below[1:], start=below[0]) if below else ibis.literal(0, "int16")
    missing = values.isnull()
    if values.type().is_floating():
        missing |= values.isnan()
    return missing.ifelse(ibis.null("int16"), position.cast("int16"))
