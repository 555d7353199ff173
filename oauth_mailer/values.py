"""Values: the standard library's data classes, at a fraction of their price where a program starts.

``dataclass``, ``field`` and ``replace`` as in ``dataclasses``, for what this package uses of them. There, a
class costs five functions that are compiled anew at every start, and the module brings ``inspect``: a fifth
of the time of a program that sends one mail and ends. Here only ``__init__`` is compiled, when it is first
needed. For everybody else a class made here is a data class: ``dataclasses.replace``, ``fields``, ``asdict``
and the like take it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "replace"]


class _Nothing:
    def __repr__(self) -> str:
        return "<factory>"  # as the standard library shows what is made anew for each


_NONE: Any = _Nothing()
"""Where there is no default."""


class _Field:
    """What is said of one field, as in ``dataclasses.field``."""

    __slots__ = ("compare", "default", "factory", "repr")

    def __init__(self, default: Any, factory: Any, *, compare: bool, repr: bool) -> None:  # noqa: A002
        self.default = default
        self.factory = factory
        self.compare = compare
        self.repr = repr


def _field(
    *,
    default: Any = _NONE,
    default_factory: Any = _NONE,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - its name in dataclasses
) -> Any:
    return _Field(default, default_factory, compare=compare, repr=repr)


def _dataclass(
    *,
    frozen: bool = False,
    slots: bool = False,
    kw_only: bool = False,
    eq: bool = True,
    init: bool = True,
    repr: bool = True,  # noqa: A002
) -> Callable[[type], type]:
    def make(cls: type) -> type:
        body = {key: value for key, value in cls.__dict__.items() if key not in ("__dict__", "__weakref__")}
        fields = {name: _described(body.pop(name, _NONE)) for name in cls.__annotations__}
        made: dict[str, Any] = {
            "__value_fields__": fields,
            "__dataclass_fields__": _AsDataClass(frozen=frozen, kw_only=kw_only),
            "__dataclass_params__": _AsDataClass(frozen=frozen, kw_only=kw_only),
            "__match_args__": () if kw_only else tuple(fields),
            "__replace__": _replace,  # for copy.replace
        }
        if init:
            made["__init__"] = _Init(fields, frozen=frozen, kw_only=kw_only)
        if repr:
            made["__repr__"] = _repr
        if eq:
            made |= _comparing([name for name, one in fields.items() if one.compare], hashed=frozen)
        if frozen:
            made |= {"__setattr__": _set, "__delattr__": _delete}
        if slots:
            made |= {"__slots__": tuple(fields), "__getstate__": _state, "__setstate__": _set_state}
        else:
            made |= {name: one.default for name, one in fields.items() if one.default is not _NONE}
        anew = type(cls)(cls.__name__, cls.__bases__, made | body)
        anew.__qualname__ = cls.__qualname__
        return anew

    return make


def _replace(value: Any, /, **changes: Any) -> Any:
    for name in _names(value):
        changes.setdefault(name, getattr(value, name))
    return type(value)(**changes)


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _field, _replace


def _described(said: Any) -> _Field:
    return said if isinstance(said, _Field) else _Field(said, _NONE, compare=True, repr=True)


class _Init:
    """``__init__``, which takes its own place as soon as somebody looks for it."""

    def __init__(self, fields: Mapping[str, _Field], *, frozen: bool, kw_only: bool) -> None:
        self._fields, self._frozen, self._kw_only = fields, frozen, kw_only

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner: Any = owner

    def __get__(self, value: object, kind: type) -> Any:
        made = _init(self._owner, self._fields, frozen=self._frozen, kw_only=self._kw_only)
        self._owner.__init__ = made
        return made.__get__(value, kind)


def _init(cls: type, fields: Mapping[str, _Field], *, frozen: bool, kw_only: bool) -> Any:
    """The only function whose text hangs on the fields, so that calls are checked and quick."""
    names: dict[str, Any] = {"put": object.__setattr__, "none": _NONE}
    taken, lines = ["self", "*"] if kw_only else ["self"], []
    for name, one in fields.items():
        value = name
        if one.factory is not _NONE:
            taken.append(f"{name}=none")
            value = f"make_{name}() if {name} is none else {name}"
            names[f"make_{name}"] = one.factory
        elif one.default is not _NONE:
            taken.append(f"{name}=default_{name}")
            names[f"default_{name}"] = one.default
        else:
            taken.append(name)
        lines.append(f"put(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    # In the module of the class, where whoever looks up what a parameter's type is finds it.
    text = f"def make({', '.join(names)}):\n def __init__({', '.join(taken)}):\n  " + "\n  ".join(lines)
    here: dict[str, Any] = {}
    exec(f"{text}\n return __init__", vars(sys.modules[cls.__module__]), here)  # noqa: S102 - names of our own
    made = here["make"](**names)
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = {**cls.__annotations__, "return": "None"}
    return made


def _comparing(names: list[str], *, hashed: bool) -> dict[str, Any]:
    key: Callable[[Any], Any] = attrgetter(*names) if names else type

    def equal(self: Any, other: object) -> bool:
        return key(self) == key(other) if type(other) is type(self) else NotImplemented

    def hash_of(self: Any) -> int:
        return hash(key(self))

    return {"__eq__": equal, "__hash__": hash_of if hashed else None}


def _repr(self: Any) -> str:
    shown = [f"{name}={getattr(self, name)!r}" for name, one in self.__value_fields__.items() if one.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _set(self: Any, name: str, value: object) -> None:
    _check_own(self, name)
    object.__setattr__(self, name, value)


def _delete(self: Any, name: str) -> None:
    _check_own(self, name)
    object.__delattr__(self, name)


def _check_own(self: Any, name: str) -> None:
    """Refuse, unless it is an attribute that a class of somebody else has added to this one."""
    if name in self.__value_fields__ or "__value_fields__" in type(self).__dict__:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot change field {name!r}")


def _names(value: Any) -> Iterable[str]:
    """Its fields; those, too, that a data class of somebody else has added."""
    if "__value_fields__" in type(value).__dict__:
        return value.__value_fields__  # type: ignore[no-any-return]
    import dataclasses

    return [one.name for one in dataclasses.fields(value)]


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _names(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(_names(self), state, strict=True):
        object.__setattr__(self, name, value)


class _AsDataClass:
    """What ``dataclasses`` looks for in a class, which takes its own place as soon as somebody asks."""

    def __init__(self, *, frozen: bool, kw_only: bool) -> None:
        self._frozen, self._kw_only = frozen, kw_only

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner: Any = owner
        self._name = name

    def __get__(self, _value: object, _kind: type) -> Any:
        import dataclasses

        of_theirs, kind = [], self._owner  # a class that was made of ours has the same fields
        for name, one in kind.__value_fields__.items():
            default = {} if one.default is _NONE else {"default": one.default}
            default |= {} if one.factory is _NONE else {"default_factory": one.factory}
            field = dataclasses.field(compare=one.compare, repr=one.repr, **default)
            of_theirs.append((name, kind.__annotations__[name], field))
        theirs = dataclasses.make_dataclass(
            kind.__name__, of_theirs, frozen=self._frozen, kw_only=self._kw_only
        )
        found = getattr(theirs, self._name)
        setattr(kind, self._name, found)
        return found
