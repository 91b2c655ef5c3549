"""What a value of a field has to be, as Pydantic judges it and OpenAPI says it."""

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    TypeAdapter,
    create_model,
)
from pydantic_core import PydanticCustomError

from . import serving_spec as spec
from .checks import asked_of
from .coercion import also_taken, coercion, said_of_coercion

# longest text of a field that does not say how long it may be
MAX_TEXT = 256


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)
    example: ClassVar[dict[str, Any]]

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What OpenAPI says, with the example."""
        # added in the end: Pydantic would look for what a column called `$ref` refers to
        return super().model_json_schema(*arguments, **options) | {"example": cls.example}


def request_model(fields: list[spec.Field]) -> type[BaseModel]:
    """A Pydantic model of the fields that a caller sends.

    Bounds, allowed values, patterns, descriptions and examples are those of the contract; unknown
    fields are refused.
    """
    # some names are Pydantic's own
    members: dict[str, Any] = {f"field_{i}": _member(field) for i, field in enumerate(fields)}
    model = create_model("Row", __base__=_Row, **members)
    model.example = {field.name: field.example for field in fields}
    return model


def longest(field: spec.Field) -> int:
    """How many characters a text may have."""
    return int(field.rules.get("max_length", MAX_TEXT))


def value_judge(field: spec.Field) -> Callable[[Any], Any]:
    """The judge of a single value, which returns it as the contract has it.

    It raises a ``ValueError`` if the value breaks the contract.
    """
    judge: Callable[[Any], Any] = TypeAdapter(_member(field)[0]).validate_python
    return judge


def _member(field: spec.Field) -> Any:
    whole = [BeforeValidator(_integral)] if field.integer else []
    limited: Any = Annotated[_type(field), Field(**_limits(field)), *whole, *_refusals(field)]
    annotation: Any = limited | None if field.nullable else limited
    if field.coerced:
        also: Any = Annotated[also_taken(field), Field(description=said_of_coercion(field))]
        taken = BeforeValidator(coercion(field), json_schema_input_type=annotation | also)
        annotation = Annotated[annotation, taken]
    default = None if field.nullable else ...
    return annotation, Field(default, alias=field.name, description=field.description)


def _limits(field: spec.Field) -> dict[str, Any]:
    limits: dict[str, Any] = {
        asked.check.rule: asked.said for asked in asked_of(field) if asked.check.schema is None
    }
    if field.kind in ("numeric", "boolean"):
        limits["strict"] = True
    if field.kind == "numeric" and not field.integer:
        limits["allow_inf_nan"] = False
    if field.kind == "categorical" and field.allowed is None:
        limits["max_length"] = longest(field)
    return limits


def _refusals(field: spec.Field) -> Iterator[Any]:
    """The checks that are not Pydantic's own, each with what OpenAPI says of it."""
    for check, limit, said in asked_of(field):
        # categories that are named are the field's type
        if check.schema is None or (check.name == "isin" and field.kind == "categorical"):
            continue
        yield AfterValidator(_refusal(check.name, check.value(limit), check.words, said))
        yield Field(json_schema_extra=check.schema(said))


def _refusal(
    name: str, keeps: Callable[[Any], bool], words: str, said: Any
) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not keeps(value):
            expected = {"expected": words.format(json.dumps(said))}
            raise PydanticCustomError(name, "Input should be {expected}", expected)
        return value

    return check


def _type(field: spec.Field) -> Any:
    if field.kind == "categorical" and field.allowed is not None:
        return Literal[tuple(field.allowed)]
    return NaiveDatetime if field.kind == "datetime" else field.types.python


def _integral(value: Any) -> Any:
    """An integer that is written with a point or an exponent is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
