"""Files of workloads: the admin sockets of two Envoys change places whatever an earlier agent left undone."""

from pathlib import Path

from plait.node.state import WorkloadDirectory


def envoys(tmp_path: Path) -> WorkloadDirectory:
    """A workload with an Envoy that serves and one that is about to."""
    directory = WorkloadDirectory(tmp_path)
    directory.proxy.mkdir()
    directory.admin.write_text("serving")
    directory.admin_of_next.write_text("next")
    return directory


def test_the_next_envoys_admin_socket_becomes_the_one(tmp_path: Path):
    """The one that leaves stays reachable under its process number."""
    directory = envoys(tmp_path)
    directory.move_admin(7)
    assert directory.admin.read_text() == "next"
    assert directory.admin_of_leaving(7).read_text() == "serving"
    assert not directory.admin_of_next.exists()


def test_a_move_that_was_cut_short_is_finished(tmp_path: Path):
    """An agent killed between the two steps left the name of the leaving one behind."""
    directory = envoys(tmp_path)
    directory.admin_of_leaving(7).hardlink_to(directory.admin)
    directory.move_admin(7)
    assert directory.admin.read_text() == "next"
    assert directory.admin_of_leaving(7).read_text() == "serving"
