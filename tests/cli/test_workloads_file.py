"""Workloads files: read, or refused with every mistake by file and line."""

from pathlib import Path

import pytest

from plait.cli import workloads_file
from plait.errors import InvalidInputError


def load(tmp_path: Path, text: str) -> tuple[dict[str, object], ...]:
    file = tmp_path / "w.yaml"
    file.write_text(text)
    return workloads_file.load(file, tmp_path)


def complaints(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path, text)
    return [str(violation).removeprefix(f"{tmp_path}/") for violation in caught.value.violations]


def test_fields_are_those_of_run(tmp_path: Path):
    """A file's entry becomes the spec that the same flags of `plait run` give; folders are relative to the file."""
    [spec] = load(
        tmp_path,
        "workloads:\n- name: web\n  services: [web:80]\n  ports: [8080]\n  hostPorts: ['5432']\n  env: {N: 1}\n"
        "  workingDirectory: app\n  command: [python3, 7]\n",
    )

    assert spec == {
        "namespace": "default",
        "capture": "auto",
        "name": "web",
        "services": ["web:80"],
        "ports": ["8080"],
        "hostPorts": [5432],
        "env": {"N": "1"},
        "workingDirectory": str(tmp_path / "app"),
        "command": ["python3", "7"],
    }


def test_mistakes_have_lines(tmp_path: Path):
    """Every mistake of the file is told at once, each with its line."""
    text = (
        "workloads:\n- name: Web\n  port: [80]\n- command: [x]\n- name: a\n  command: [x]\n  ports:\n  - 80\n  - no\n"
    )

    assert complaints(tmp_path, text) == [
        "w.yaml:2: workloads[0].name: 'Web' is no name; use small letters, digits and `-`, at most 63 characters",
        "w.yaml:3: workloads[0].port: there is no such field; did you mean ports?",
        "w.yaml:2: workloads[0].command: no command to run; give it as a list: [python3, app.py]",
        "w.yaml:4: workloads[1].name: the workload has no name; write name: NAME",
        "w.yaml:9: workloads[2].ports[1]: False is no port;"
        " write [NAME:]NUMBER[/PROTOCOL], such as 8080 or web:8080/http",
    ]


def test_same_name_twice(tmp_path: Path):
    """Two workloads of one name in one namespace are refused; in two namespaces they are not."""
    entry = "- name: web\n  command: [x]\n"

    assert complaints(tmp_path, f"workloads:\n{entry}{entry}") == [
        "w.yaml:4: workloads[1].name: 'web' is the name of workloads[0] already; give each its own name"
    ]
    assert len(load(tmp_path, f"workloads:\n{entry}{entry}  namespace: other\n")) == 2


@pytest.mark.parametrize("text", ["", "[]", "workloads: []", "apiVersion: v1", "- a"])
def test_no_workloads(tmp_path: Path, text: str):
    """A file without workloads says what belongs into it."""
    assert "no workloads in it; write `workloads:`" in complaints(tmp_path, text)[0]


def test_syntax_error(tmp_path: Path):
    """A syntax error is told with its line."""
    assert complaints(tmp_path, "workloads:\n- [")[0].startswith("w.yaml:2: not YAML")


def test_unreadable(tmp_path: Path):
    """A file that is missing is told as such."""
    with pytest.raises(InvalidInputError, match="cannot be read: No such file"):
        workloads_file.load(tmp_path / "absent.yaml", tmp_path)
