"""What every part of a spec has in common: immutable, strict, and read with every problem named.

A value is what its field says. YAML 1.1 would turn `no` into false, `010` into 8 and `12:30` into 750 before the field
is known, so text is kept as it was typed, and the field's own type reads it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Hashable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from gift_core.config.texts import StorableTexts, require_plain
from gift_core.errors import Problem, SpecError, problems_of

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# Zero-width characters and marks of direction. Joiners stay: emoji and some scripts are written with them.
_INVISIBLE = {0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def clean_name(name: str) -> str:
    """Return a name on one line: blanks trimmed, and control characters and invisible marks removed."""
    spaced = "".join(" " if character.isspace() else character for character in name)
    kept = (each for each in spaced if unicodedata.category(each) not in ("Cc", "Cs") and ord(each) not in _INVISIBLE)
    return " ".join("".join(kept).split())


def _cleaned(name: object) -> object:
    return clean_name(require_plain(name)) if isinstance(name, str) else name


# Text for people, cleaned before its length is looked at. Control characters are refused: they cannot be typed.
Name = Annotated[str, BeforeValidator(_cleaned)]


class Section(StorableTexts):
    """A part of the spec: immutable, and a misspelt key is an error rather than ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _booleans_are_not_numbers(cls, values: Any) -> Any:
        """Refuse true and false where a number is expected: pydantic would read them as 1 and 0."""
        if not isinstance(values, Mapping):
            return values
        numeric = {name for name, field in cls.model_fields.items() if _takes_numbers(field.annotation)}
        return {
            # As text, neither is a number, and the field itself says so.
            name: _text_of_boolean(value) if name in numeric else value
            for name, value in values.items()
        }

    @classmethod
    def parse(cls, values: object) -> Self:
        """Validate; raises `SpecError` that names every wrong field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SpecError.of(problems_of(error)) from error

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with dotted fields changed, `{"training.epochs": 3}`; raises `SpecError` for unknown ones."""
        values = self.model_dump(mode="json")
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            section: Any = values
            for parent in parents:
                section = section.get(parent) if isinstance(section, dict) else None
            if not isinstance(section, dict):
                raise SpecError.of([Problem("There is no such field.", path, "`gift train --help` lists them.")])
            section[leaf] = value
        return self.parse(values)

    def fingerprint(self) -> str:
        """Hexadecimal digits that equal specs share."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def conflict(field: str, other: str, message: str) -> PydanticCustomError:
    """The error of two fields, dotted, that do not go together: `field` is where the remedy lies."""
    return PydanticCustomError("value_error", "{message}", {"message": message, "field": field, "other": other})


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a field takes, with unions and `Annotated` opened."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in alternatives(part))
    return (annotation,)


def _takes_numbers(annotation: Any) -> bool:
    """Whether numbers, or lists of them, are what a field takes, and true and false are not."""
    kinds = alternatives(annotation)
    kinds += tuple(
        each for kind in kinds if get_origin(kind) is tuple for part in get_args(kind) for each in alternatives(part)
    )
    return bool not in kinds and bool({int, float} & {kind for kind in kinds if isinstance(kind, type)})


def _text_of_boolean(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [json.dumps(each) if isinstance(each, bool) else each for each in value]
    return json.dumps(value) if isinstance(value, bool) else value


def types_at(section: type[BaseModel], path: str) -> tuple[Any, ...]:
    """The types that the field at a dotted path takes, in any of the sections it may belong to; () if unknown."""
    sections, kinds = [section], tuple[Any, ...]()
    for name in path.split("."):
        fields = [each.model_fields[name] for each in sections if name in each.model_fields]
        kinds = tuple(dict.fromkeys(kind for field in fields for kind in alternatives(field.annotation)))
        sections = [kind for kind in kinds if is_section(kind)]
    return kinds


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def read_typed(section: type[BaseModel], path: str, text: str) -> Any:
    """The value that `text`, as typed after `path=`, has for the field at a dotted path.

    It stays text, for the field's type to convert; quotes around all of it are left out. Nothing, and `null` where the
    field takes no text, is None for a field that may be left out. Lists and sections are YAML. Raises `SpecError`.
    """
    kinds = types_at(section, path)
    if not kinds or any(get_origin(kind) in (tuple, list, dict) or is_section(kind) for kind in kinds):
        return _yaml_value(path, text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _yaml_value(path, text)
    if NoneType in kinds and (not text or (str not in kinds and text in _NULLS)):
        return None
    return text


def _yaml_value(path: str, text: str) -> Any:
    try:
        return read_yaml_text(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"{text!r} cannot be read as YAML.", field=path, remedy="Put it in quotes.") from error


def read_yaml_text(text: str) -> Any:
    """A YAML document whose values are text, None, lists and mappings: only a field's type makes numbers of them.

    Raises `yaml.YAMLError`, also for a name that is there twice in one mapping, and for far more values than any spec
    has: a few lines of aliases stand for billions.
    """
    if len(text) > LONGEST_YAML:
        raise yaml.YAMLError(f"it has more than {LONGEST_YAML:,} characters")
    loader = _TextLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values_in(node, {}) > _MOST_YAML_VALUES:
            raise yaml.YAMLError(f"it has more than {_MOST_YAML_VALUES:,} values, those that aliases repeat included")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values_in(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a document with each alias written out; `known` are the counts of nodes, by identity."""
    if id(node) not in known:
        # One that holds itself is found here again.
        known[id(node)] = _MOST_YAML_VALUES + 1
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        known[id(node)] = 1 + sum(_values_in(part, known) for part in parts)
    return known[id(node)]


LONGEST_YAML = 1_000_000
_MOST_YAML_VALUES = 100_000


class _TextLoader(yaml.SafeLoader):
    """YAML with text for every value but null."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise yaml.YAMLError(f"{key.value} is there twice, in lines {seen[key.value]} and {line}")
                seen[key.value] = line
        return super().construct_mapping(node, deep)


_NULLS = ("null", "Null", "NULL", "~")
_MERGE = "tag:yaml.org,2002:merge"
_KEPT_TAGS = ("tag:yaml.org,2002:null", _MERGE)
_TextLoader.yaml_implicit_resolvers = {
    first: kept
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    if (kept := [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS])
}
