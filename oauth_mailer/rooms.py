"""A door and its rooms: a package in which each file is one kind of the same thing, and its name the key."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["room", "rooms"]


def rooms(door: str) -> tuple[str, ...]:
    """The names of the rooms behind this door, a package. A file whose name begins with _ is a wall."""
    import pkgutil  # for errors and helps: it brings more than the whole of a small send

    path = import_module(door).__path__
    return tuple(sorted(found.name for found in pkgutil.iter_modules(path) if found.name[0] != "_"))


def room(door: str, name: str) -> ModuleType | None:
    """The room of this name, or None where there is none."""
    if not name.isidentifier() or name[0] == "_":
        return None
    try:
        return import_module(f"{door}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{door}.{name}":
            raise
        return None
