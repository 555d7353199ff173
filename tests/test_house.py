"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import oauth_mailer

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "oauth_mailer"

LAYERS = (
    {"errors", "i18n", "logs", "private_file", "rooms", "values"},
    {"address_list", "message_id"},
    {"address", "providers", "refusals", "replies"},
    {"attachment", "fields"},
    {"raw_message"},
    {"local_mail", "message", "account"},
    {"mime", "accounts"},
    {"stores"},
    {"wire"},
    {"auth"},
    {"transports"},
    {"logins", "routes", "events"},
    {"mailer"},
    {"outbox", "testing"},
    {"merge", "integrations", "doctor"},
    {"cli"},
)
SAYING = {
    "address",
    "address_list",
    "attachment",
    "fields",
    "local_mail",
    "message",
    "message_id",
    "mime",
    "raw_message",
}
WHO_SAYS = {"providers", "refusals", "replies", "account", "accounts", "stores", "wire", "auth"}


def layer_of(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def our_imports(path: Path) -> set[str]:
    """The first names below oauth_mailer that this file imports, wherever in it, types included."""
    package = ["oauth_mailer", *path.relative_to(PACKAGE).with_suffix("").parts[:-1]]
    if path.name == "__init__.py":
        package = ["oauth_mailer", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*module, alias.name]) for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "oauth_mailer" and len(parts) > 1 and parts[1] != "__version__":
                found.add(parts[1])
    return found


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    imports = our_imports(path) - {own}
    if own == "sandbox":
        assert imports <= {"errors", "i18n"}, "the sandbox must not inherit a mistake from what it judges"
        return
    if own in ("cli", "integrations"):
        imports -= {"sandbox"}
    assert all(layer_of(name) < layer_of(own) or name in LAYERS[0] for name in imports), imports
    if own in SAYING:
        assert not imports & WHO_SAYS, "what is said knows nothing of who says it"
    if own in WHO_SAYS:
        assert not imports & SAYING, "who says it knows nothing of what is said"


def test_every_public_name_can_be_had_and_says_what_it_is() -> None:
    for name in oauth_mailer.__all__:
        value = getattr(oauth_mailer, name)
        assert name == "__version__" or value.__doc__
        assert name in dir(oauth_mailer)
    with pytest.raises(AttributeError):
        oauth_mailer.no_such_name  # noqa: B018


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_importing_the_package_imports_nothing_beyond_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import oauth_mailer;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*new - set(sys.stdlib_module_names))"
    )
    done = run("-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}")
    assert done.stdout.split() == ["oauth_mailer"], done.stderr


@pytest.mark.timeout(300)
def test_types_are_strict_and_sound() -> None:
    done = run("-m", "mypy")
    assert done.returncode == 0, done.stdout


def test_the_code_is_formatted_and_linted() -> None:
    for command in (("check",), ("format", "--check")):
        done = run("-m", "ruff", *command, ".")
        assert done.returncode == 0, done.stdout


def test_files_stay_short_enough_to_be_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("providers.py", "replies.py")  # rows of data
        and (lines := len(path.read_text("utf-8").splitlines())) > 300
    }
    assert not long


def kinds_of_error(trees: Iterable[ast.Module]) -> set[str]:
    """The names of our errors: the classes made of ``MailerError``, and those made of these."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: set[str] = set()
    more = {"MailerError"}
    while more - found:
        found |= more
        more = {one.name for one in classes for base in one.bases if ast.unparse(base) in found}
    return found


def test_every_error_says_what_to_do_next() -> None:
    trees = {path: ast.parse(path.read_text("utf-8")) for path in MODULES if "sandbox" not in path.parts}
    # Whoever stopped the program knows what comes next.
    kinds = kinds_of_error(trees.values()) - {"Interrupted", "Terminated"}
    assert {"OutcomeUnknown", "LoginRequired", "UsageError"} <= kinds
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                said = {keyword.arg for keyword in node.keywords if ast.unparse(keyword.value) != "''"}
                place = f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}"
                assert {"code", "hint"} <= said, place
