"""Options of a command line and fields of a class: what is asked for by name, with its default.

argparse, absl and click/typer are read alike: an option has spellings, a name under which the value arrives, a default. So
are the keys of a tree of configs that is built in code, ``_C.TRAIN.CLIP = 0.0``, as yacs does it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from branchlab.analysis.features.signatures import Parameters, unwrapped
from branchlab.analysis.features.syntax import Class
from branchlab.analysis.features.trees import FunctionNode, dotted, dump, last_name, walk

_DATACLASS_DECORATORS = {"dataclass", "define", "frozen", "attrs", "s", "mutable"}
_DATACLASS_BASES = {"BaseModel", "BaseSettings", "NamedTuple", "Struct", "BaseConfig"}
_GROUPS = {"add_argument_group"}
ENUMS = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
_CONFIG_ROOTS = {"_C", "__C", "_CFG"}
_CONFIG_NODES = {"CN", "CfgNode", "ConfigDict", "EasyDict", "edict"}
_TEXT_ONLY = {"help", "metavar", "show_default", "rich_help_panel", "title", "description"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. ``default`` is None where it has to be given; ``rest`` is equal for equal options.

    Attributes:
        choices: What may be given; None where anything may, or where that cannot be read.
    """

    name: str
    spellings: tuple[str, ...]
    default: ast.expr | None
    line: int
    rest: str = ""
    choices: frozenset[str] | None = None


@dataclass(slots=True)
class Options:
    """Options by name, and the statements that make them."""

    found: dict[str, Option] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)


def options_in(statements: Iterable[ast.stmt]) -> Options:
    """Return the options that statements add to a parser, in whatever block they stand."""
    options = Options()
    for top in statements:
        for node in walk(top):
            if isinstance(node, ast.Assign) and (path := _config_path(node)):
                _add_key(options, node, path)
            elif isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
                option = _option(node.value)
                if last_name(node.value.func) in _GROUPS:
                    options.statements.append(node)
                if option is not None:
                    options.found.setdefault(option.name, option)
                    options.statements.append(node)
    return options


def _config_path(node: ast.Assign) -> str:
    """Return the key that a statement gives a tree of configs, ``_C.TRAIN.CLIP``; empty for any other statement."""
    target = node.targets[0]
    path = dotted(target) if isinstance(target, ast.Attribute) else ""
    return path if path.partition(".")[0] in _CONFIG_ROOTS else ""


def _add_key(options: Options, node: ast.Assign, path: str) -> None:
    options.statements.append(node)
    value = node.value
    if not (isinstance(value, ast.Call) and last_name(value.func) in _CONFIG_NODES):
        name = path.rpartition(".")[2]
        made = Option(name=name, spellings=(path,), default=value, line=node.lineno)
        # The last one of a path counts; two nodes may have a key of one name.
        options.found[path] = made


def click_options(node: FunctionNode) -> dict[str, Option]:
    """Return the options and arguments that decorators give a function."""
    found: dict[str, Option] = {}
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and last_name(decorator.func) in {"option", "argument"}:
            option = _read(decorator, decorator.args, is_click=True)
            if option is not None:
                found[option.name] = option
    return found


def _option(call: ast.Call) -> Option | None:
    name = last_name(call.func)
    if name == "add_argument":
        return _read(call, call.args, is_click=False)
    if name.startswith("DEFINE_") and len(call.args) > 1:
        first = call.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return Option(
                name=first.value,
                spellings=(f"--{first.value}",),
                default=call.args[1],
                line=call.lineno,
                rest=name,
            )
    return None


def _read(call: ast.Call, given: Sequence[ast.expr], *, is_click: bool) -> Option | None:
    spellings = [
        one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    if not spellings or len(spellings) != len(given):
        return None
    words = {word.arg: word.value for word in call.keywords if word.arg}
    rest = sorted(
        f"{arg}={dump(value)}"
        for arg, value in words.items()
        if arg not in _TEXT_ONLY and arg not in {"default", "dest", "choices", "action"}
    )
    rest += [f"action={action}"] if (action := _action(words)) else []
    return Option(
        name=_destination(spellings, words),
        spellings=tuple(part for one in spellings for part in one.split("/")),
        default=_converted(_default(spellings, words, is_click=is_click), words.get("type")),
        line=call.lineno,
        rest="; ".join(rest),
        choices=_choices(words.get("choices") or words.get("type")),
    )


def _action(words: dict[str, ast.expr]) -> str:
    """Return what an option does with what it is given; two ways to switch something on are the same."""
    action = words.get("action")
    if action is None:
        return ""
    text = action.value if isinstance(action, ast.Constant) else last_name(action)
    return "" if text == "store" else str(text).replace("BooleanOptionalAction", "store_true")


def _converted(default: ast.expr | None, kind: ast.expr | None) -> ast.expr | None:
    """Return a default given as text as the type of the option reads it."""
    makers = {"int": int, "float": float}
    name = last_name(kind) if kind is not None else ""
    is_text = isinstance(default, ast.Constant) and isinstance(default.value, str)
    if name in makers and is_text and isinstance(default, ast.Constant):
        try:
            return ast.Constant(makers[name](str(default.value)))
        except ValueError:
            return default
    return default


def _choices(given: ast.expr | None) -> frozenset[str] | None:
    if isinstance(given, ast.Call) and last_name(given.func) == "Choice" and given.args:
        given = given.args[0]
    if isinstance(given, ast.List | ast.Tuple | ast.Set):
        return frozenset(dump(one) for one in given.elts)
    return None


def _destination(spellings: Sequence[str], words: dict[str, ast.expr]) -> str:
    given = words.get("dest")
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        return given.value
    plain = [one for one in spellings if not one.startswith("-")]
    if plain:
        return plain[-1].replace("-", "_")
    long = [one for one in spellings if one.startswith("--")] or list(spellings)
    return long[0].partition("/")[0].lstrip("-").replace("-", "_")


def _default(
    spellings: Sequence[str], words: dict[str, ast.expr], *, is_click: bool
) -> ast.expr | None:
    if "default" in words:
        return words["default"]
    action = words.get("action")
    kind = action.value if isinstance(action, ast.Constant) else None
    if kind in {"store_true", "store_false"}:
        return ast.Constant(kind == "store_false")
    is_flag = words.get("is_flag")
    if is_click and (isinstance(is_flag, ast.Constant) or any("/" in one for one in spellings)):
        return ast.Constant(False)  # noqa: FBT003  a node
    required = words.get("required")
    is_required = isinstance(required, ast.Constant) and bool(required.value)
    if is_required or not any(one.startswith("-") for one in spellings):
        nargs = words.get("nargs")
        return (
            ast.Constant(None)
            if isinstance(nargs, ast.Constant) and nargs.value in {"?", "*"}
            else None
        )
    return ast.Constant(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A name in the body of a class. ``default`` is None where there is only an annotation."""

    name: str
    default: ast.expr | None
    line: int
    is_annotated: bool
    is_given: bool = True
    is_keyword: bool = False
    rest: str = ""


def fields_of(cls: Class) -> dict[str, Field]:
    """Return the fields and class attributes of a class; the last assignment of a name counts."""
    found: dict[str, Field] = {}
    is_keyword = False
    for statement in cls.statements:
        match statement:
            case ast.AnnAssign(annotation=annotation) if last_name(annotation) == "KW_ONLY":
                is_keyword = True
            case ast.AnnAssign(target=ast.Name(id=name), value=value, annotation=annotation):
                inner = annotation.value if isinstance(annotation, ast.Subscript) else annotation
                found[name] = Field(
                    name=name,
                    default=None if value is None else unwrapped(value),
                    line=statement.lineno,
                    is_annotated=True,
                    is_given=last_name(inner) != "ClassVar"
                    and not _says(value, "init", said=False),
                    is_keyword=is_keyword or _says(value, "kw_only", said=True),
                    rest=_bounds(value) + (dump(annotation) if _is_checked(cls) else ""),
                )
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = Field(
                    name=name, default=unwrapped(value), line=statement.lineno, is_annotated=False
                )
            case _:
                pass
    return found


def _says(value: ast.expr | None, word: str, *, said: bool) -> bool:
    """Whether ``field(…)`` is given ``word=said``."""
    return isinstance(value, ast.Call) and any(
        one.arg == word and isinstance(one.value, ast.Constant) and one.value.value is said
        for one in value.keywords
    )


def _bounds(value: ast.expr | None) -> str:
    """Return what ``Field(…)`` demands of a value besides its default."""
    if not isinstance(value, ast.Call) or last_name(value.func) not in {"Field", "field", "ib"}:
        return ""
    skipped = {*_TEXT_ONLY, "default", "default_factory", "factory", "metadata", "alias", "repr"}
    return "; ".join(
        sorted(f"{one.arg}={dump(one.value)}" for one in value.keywords if one.arg not in skipped)
    )


def _is_checked(cls: Class) -> bool:
    """Whether the annotations of a class's fields convert and check what is given."""
    return bool(set(cls.bases) & {"BaseModel", "BaseSettings"})


def is_made_of_fields(cls: Class) -> bool:
    """Whether the constructor of a class takes its fields."""
    names = {
        last_name(one.func if isinstance(one, ast.Call) else one) for one in cls.node.decorator_list
    }
    return bool(names & _DATACLASS_DECORATORS or set(cls.bases) & _DATACLASS_BASES)


def field_parameters(cls: Class) -> Parameters:
    """Return the constructor that the fields of a class make."""
    fields = [one for one in fields_of(cls).values() if one.is_annotated and one.is_given]
    is_keyword_only = bool(set(cls.bases) & {"BaseModel", "BaseSettings"}) or any(
        word.arg == "kw_only" and isinstance(word.value, ast.Constant) and word.value.value is True
        for one in cls.node.decorator_list
        if isinstance(one, ast.Call)
        for word in one.keywords
    )
    return Parameters(
        positional=()
        if is_keyword_only
        else tuple(one.name for one in fields if not one.is_keyword),
        defaults={one.name: one.default for one in fields},
    )
