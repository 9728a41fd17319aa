"""`Redacted`: fields that say themselves that no log may hold them, and how they are found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from replayt_core.errors import DefinitionError


class Redacted:
    """Marks a field of a Pydantic model as one that no log may hold: `Annotated[str, Redacted]`.

    It counts as one of `redact_keys` from the first call that asks a model for it. The schema that
    the model is sent does not show it. The mark may stand anywhere in the annotation of the field,
    and the field in a model, a dataclass or a `TypedDict` inside that model.
    """


@lru_cache(maxsize=256)
def marked_names(model: type[BaseModel]) -> frozenset[str]:
    """The names, aliases included, of the fields that a model and what it is made of mark.

    Raises `DefinitionError` where the mark stands on a value that has no name.
    """
    found: set[str] = set()
    if _bears_mark(model, found, {}):
        raise DefinitionError(
            f"{model.__name__} marks its root as Redacted, and a value without a name cannot be "
            "hidden; mark a field that holds it"
        )
    return frozenset(found)


def _bears_mark(annotation: Any, found: set[str], known: dict[Any, bool]) -> bool:
    """Whether an annotation bears a mark itself; the marked fields inside it go to `found`.

    `Annotated[str, Redacted] | None` and `list[Annotated[str, Redacted]]` do: what they hold
    stands under the name of the field.
    """
    if isinstance(annotation, str):
        return "Redacted" in annotation  # nothing resolves it: rather one too many
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marked = any(map(_is_mark, annotation.__metadata__))
        return _bears_mark(inner[0], found, known) or marked
    if origin is not None:
        # Every one of them, whether or not one is marked: each may have fields.
        marks = [_bears_mark(item, found, known) for item in (origin, *inner)]
        return any(marks)
    aliased = getattr(annotation, "__value__", None)  # `type Number = ...`
    if aliased is None and not isinstance(annotation, type):
        return False
    if annotation not in known:
        known[annotation] = False  # while it is looked at: it may hold itself
        if aliased is not None:
            known[annotation] = _bears_mark(aliased, found, known)
        else:
            known[annotation] = _class_bears_mark(annotation, found, known)
    return known[annotation]


def _class_bears_mark(owner: type, found: set[str], known: dict[Any, bool]) -> bool:
    """The same of a class: of its fields only the one of a `RootModel` has no name."""
    marked = [names for names, declared in _fields(owner) if _bears_mark(declared, found, known)]
    # Importing RootModel builds a model, which takes longer than the rest of this module.
    if getattr(owner, "__pydantic_root_model__", False):
        return bool(marked)
    found.update(*marked)
    return False


def _fields(owner: type) -> Iterator[tuple[set[str], Any]]:
    """The fields of a class, each with the names it may have in JSON and what it is declared as."""
    if issubclass(owner, BaseModel):
        declared: dict[str, FieldInfo] = owner.model_fields
    else:
        declared = getattr(owner, "__pydantic_fields__", {})
    for name, field in declared.items():
        names = {name, field.alias or name, field.serialization_alias or name}
        marked = any(map(_is_mark, field.metadata))
        yield names, Annotated[field.annotation, Redacted] if marked else field.annotation
    # `typing` does not know the `TypedDict` of `typing_extensions`, which Pydantic asks for.
    typed_dict = issubclass(owner, dict) and hasattr(owner, "__total__")
    if not declared and (dataclasses.is_dataclass(owner) or typed_dict):
        for name, annotation in _hints(owner).items():
            yield {name}, annotation


def _hints(owner: type) -> dict[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except (NameError, TypeError):
        return {
            name: annotation
            for base in owner.__mro__
            for name, annotation in getattr(base, "__annotations__", {}).items()
        }


def _is_mark(item: object) -> bool:
    return item is Redacted or isinstance(item, Redacted)
