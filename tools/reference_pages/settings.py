"""One page with the settings of control and of the node agent, and all other variables that Plait reads."""

import ast
import inspect
from collections.abc import Mapping

from plait.cli import control, node
from plait.cli.arguments import Parser
from plait.controlplane.settings import ControlSettings
from plait.node.settings import NodeSettings
from reference_pages.markdown import code, page, table

STATE = "`/var/lib/plait` for root, else `$XDG_STATE_HOME/plait` or `~/.local/state/plait`"

OTHERS: Mapping[str, str] = {
    "PLAIT_STATE_DIR": "the mesh that every command means, by its state directory (`--state-dir`)",
    "PLAIT_SERVER": "the mesh that commands of the API mean, by the URL of its API (`--server`)",
    "PLAIT_TOKEN": "token to show to the API of `PLAIT_SERVER`",
    "PLAIT_TOKEN_FILE": "file with that token",
    "PLAIT_CA_FILE": "file with the certificate that signed the API's own",
    "PLAIT_DEBUG": "`1`: when Plait itself fails, print where",
}
"""Variables that are no settings of a process."""


def pages() -> dict[str, str]:
    """settings.md."""
    return {
        "settings.md": page(
            "Settings",
            "Settings belong to a process and hold until it is started again. What may change while the mesh runs is"
            " written as [objects](index.md#kinds) instead. A flag counts before a variable, a variable before the"
            " default.",
            "## Control (`plait control`, `plait up`)",
            table(("Setting", "Variable", "Flag", "Default", "Meaning"), _control()),
            "## Node agent (`plait node`)",
            table(("Setting", "Variable", "Flag", "Default", "Meaning"), _node()),
            "## Variables of the command line",
            table(("Variable", "Meaning"), [[code(name), text] for name, text in OTHERS.items()]),
        )
    }


def _control() -> list[list[str]]:
    flags = _flags(control.build_parser())
    return [
        _row(name, flags, _default(field.default, name), str(field.description or ""))
        for name, field in ControlSettings.model_fields.items()
    ]


def _node() -> list[list[str]]:
    flags = _flags(node.build_parser())
    texts = field_texts(NodeSettings)
    return [
        _row(name, flags, _default(getattr(field.default, "value", field.default), name), texts[name])
        for name, field in NodeSettings.__dataclass_fields__.items()
    ]


def _row(name: str, flags: Mapping[str, str], default: str, meaning: str) -> list[str]:
    flag = "--state-dir" if name == "state_dir" else flags.get(name, "")
    return [code(name), code(f"PLAIT_{name.upper()}"), code(flag), default, meaning]


def _default(value: object, name: str) -> str:
    if name == "state_dir":
        return STATE
    return "" if value in (None, "") else code(value)


def _flags(parser: Parser) -> dict[str, str]:
    return {action.dest: action.option_strings[0] for action in parser._actions if action.option_strings}


def field_texts(owner: type) -> dict[str, str]:
    """The texts under the fields of a dataclass."""
    body = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101
    texts: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            value = following.value if isinstance(following, ast.Expr) else None
            texts[statement.target.id] = inspect.cleandoc(value.value) if isinstance(value, ast.Constant) else ""
    return texts
