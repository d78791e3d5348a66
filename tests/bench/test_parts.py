"""The bench's mesh, its app and its change."""

from pathlib import Path

from bench import control, streams, upstream


def test_a_change_is_written_once_for_each_caller() -> None:
    """A small mesh of the bench: the change reaches ten proxies, and each gets one endpoint set."""
    builder = control.built(control.documents(services=120, workloads=4))

    row = streams.one_endpoint(builder)

    assert row.holds is not None
    assert row.value > 0


def test_every_document_of_the_bench_is_valid() -> None:
    """Nothing is skipped as mistaken, which would make the build look cheap."""
    mesh = control.documents(services=3, workloads=2)

    assert len(control.parsed(mesh)) == 9


def test_nginx_answers_one_kilobyte(tmp_path: Path) -> None:
    """The response's body has the documented size."""
    text = upstream.configuration(tmp_path, upstream.LISTEN)

    assert f'"{"x" * 1024}"' in text


def test_a_grpc_answer_is_one_framed_message() -> None:
    """Five bytes of frame (not compressed, length), then the field's tag, its length and its bytes."""
    framed = upstream.message(b"x" * 1024)

    assert framed[:5] == bytes([0, 0, 0, 4, 3])
    assert framed[5:8] == bytes([0x0A, 0x80, 0x08])
    assert len(framed) == 5 + 3 + 1024
