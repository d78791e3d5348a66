"""YAML text becomes documents with lines, or violations."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.resources.yaml import load, load_paths

TWO = """\
# a comment
apiVersion: v1
kind: Service
metadata:
  name: reviews
  labels:
    app.kubernetes.io/name: reviews
spec:
  ports:
  - port: 80
  - {name: b, port: 81}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
"""


def test_documents_know_the_line_of_each_field():
    """Every mapping key and every sequence item has its line; a document's own is that of its first field."""
    first, second = load(TWO, "shop.yaml").documents

    assert (first.file, first.line, second.line) == ("shop.yaml", 2, 13)
    assert first.lines["spec.ports"] == 9
    assert first.lines["spec.ports[0]"] == first.lines["spec.ports[0].port"] == 10
    assert first.lines["spec.ports[1].port"] == 11
    assert first.lines["metadata.labels[app.kubernetes.io/name]"] == 7
    assert second.lines["metadata.name"] == 15
    assert second.value == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def test_lists_are_unfolded_and_keep_lines():
    """Items of a List are documents of their own, with the lines they have in the file."""
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n"

    (item,) = load(text).documents

    assert item.value["metadata"] == {"name": "a"}
    assert (item.line, item.lines["kind"], item.lines["metadata.name"]) == (4, 5, 6)


def test_items_of_a_typed_list_take_its_type():
    """Items of a ServiceList need not repeat apiVersion and kind."""
    (item,) = load("apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n").documents

    assert (item.value["apiVersion"], item.value["kind"]) == ("v1", "Service")


def test_values_are_those_of_kubernetes_tools():
    """Keys become strings, times stay text, YAML 1.1's yes is true, and merges work."""
    text = "8080: a\ntrue: b\nwhen: 2024-01-02\nyes_: yes\nclock: 1:30\nbase: &b {x: 1, y: 2}\nown: {<<: *b, y: 3}\n"

    (read,) = load(text).documents

    assert read.value == {
        "8080": "a",
        "true": "b",
        "when": "2024-01-02",
        "yes_": True,
        "clock": "1:30",
        "base": {"x": 1, "y": 2},
        "own": {"x": 1, "y": 3},
    }


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "---\n---\n...\n"])
def test_nothing_is_no_mistake(text: str):
    """Empty documents are skipped."""
    loaded = load(text)

    assert loaded.documents == ()
    assert loaded.violations == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1, 2\nb: 3\n", 2, "did not find expected"),
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("a: 'x\n", 2, "unexpected end of stream"),
        ("a:\n\t- b\n", 2, "found character that cannot start any token"),
        ("a: *nowhere\n", 1, "*nowhere refers to nothing"),
        ("- a\n- b\n", 1, "must be an object with apiVersion and kind, not array"),
        ("just text\n", 1, "must be an object with apiVersion and kind, not string"),
        ("a: 1\nb: 2\na: 3\n", 3, 'key "a" is set twice, first on line 1'),
        ("a: .inf\n", 1, '".inf" is no number that JSON can hold'),
        ("a: !!python/object:os.system x\n", 1, "unknown YAML tag"),
        ("? [1, 2]\n: x\n", 1, "a key must be a string"),
        ("a: {<<: 3}\n", 1, "`<<` merges objects only"),
        ("b: \u00e9\na: \x00\n", 2, "control characters are not allowed"),
    ],
)
def test_mistakes_have_a_line(text: str, line: int, words: str):
    """Syntax errors and what JSON cannot hold are violations at their line."""
    (violation,) = load(text, "x.yaml").violations

    assert words in violation.problem
    assert (violation.file, violation.line) == ("x.yaml", line)


def test_a_syntax_error_does_not_hide_what_stands_before():
    """Documents before the error are read."""
    loaded = load("a: 1\n---\nb: [\n")

    assert [document.value for document in loaded.documents] == [{"a": 1}]
    assert len(loaded.violations) == 1


def test_json_with_tabs_is_read():
    """JSON is read even where it is no YAML."""
    (read,) = load('{\n\t"a":\t[1,\t2]\n}').documents

    assert read.value == {"a": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "{b: " * 5_000,
        "x: &x [a, a]\n"
        + "".join(f"y{n}: &y{n} [*y{n - 1}, *y{n - 1}]\n" if n else "y0: &y0 [*x, *x]\n" for n in range(40)),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "a: " + "1" * 10_000,
        "a: \ud800",
        '{"a":' * 50_000,
    ],
)
def test_hostile_text_is_a_violation(text: str):
    """Deep nesting, bombs of aliases and loops end in a violation, quickly."""
    loaded = load(text)

    assert loaded.violations
    assert all(len(violation.problem) < 300 for violation in loaded.violations)


@given(st.text())
def test_any_text_can_be_loaded(text: str):
    """No text makes the reader fail."""
    load(text)


@given(st.text(alphabet="abk:-{}[]&*<!|>?'\"#%@ \n\t1.~,=", max_size=200))
def test_any_yamlish_text_can_be_loaded(text: str):
    """No text made of YAML's signs makes the reader fail."""
    load(text)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _json, max_size=5))
def test_json_reads_as_itself(value: dict[str, object]):
    """JSON is YAML: what json writes is read as the same value."""
    loaded = load(json.dumps(value))

    assert loaded.violations == ()
    assert [document.value for document in loaded.documents] == [value]


def test_powers_of_ten_need_no_point():
    """Numbers of JSON that YAML 1.1 takes for text are numbers, unless they are quoted."""
    loaded = load("small: 1e-09\nlarge: -2E3\ntext: '1e3'\nword: 1e\n")
    assert [document.value for document in loaded.documents] == [
        {"small": 1e-09, "large": -2000.0, "text": "1e3", "word": "1e"}
    ]


def test_paths_may_be_files_folders_and_standard_input(tmp_path: Path):
    """Folders are read whole, in order, without hidden and foreign files."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.yml").write_text("b: 2\n")
    (tmp_path / "a.yaml").write_text("\ufeffa: 1\n", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("[")
    (tmp_path / "notes.txt").write_text("[")
    (tmp_path / "one.json").write_text('{"c": 3}')

    loaded = load_paths([tmp_path, "-"], stdin=io.StringIO("d: 4\n"))

    assert [document.value for document in loaded.documents] == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]
    assert [Path(document.file).name for document in loaded.documents] == ["a.yaml", "two.yml", "one.json", "-"]


def test_what_cannot_be_read_is_a_violation(tmp_path: Path):
    """Missing files, empty folders and other encodings are told, and the rest is read."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes("a: \xe9\n".encode("latin-1"))
    (tmp_path / "good.yaml").write_text("a: 1\n")

    loaded = load_paths([tmp_path / name for name in ("missing.yaml", "empty", "latin.yaml", "good.yaml")])

    assert [violation.problem for violation in loaded.violations] == [
        "no such file or folder",
        "no YAML or JSON files in this folder",
        "is not UTF-8 text",
    ]
    assert len(loaded.documents) == 1
