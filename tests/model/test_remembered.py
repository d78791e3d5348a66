"""What was made of the same objects is not made again."""

from plait.model.remembered import Remembered


class Maker:
    """Makes a copy of a value, and writes that down."""

    def __init__(self) -> None:
        self.made: list[tuple[str, ...]] = []

    def __call__(self, value: tuple[str, ...]) -> tuple[str, ...]:
        """A copy."""
        self.made.append(value)
        return tuple(iter(value))


def test_the_same_objects_give_what_they_gave_before():
    """Nothing is made for them; an equal copy is looked at, and what comes out equal stays the same object."""
    held = Remembered[str, tuple[str, ...]](2)
    make = Maker()
    value = ("a", "b")
    copy = tuple(iter(value))

    first = held.of("key", (value,), make)
    again = held.of("key", (value,), make)
    of_a_copy = held.of("key", (copy,), make)

    assert first is again is of_a_copy
    assert len(make.made) == 2


def test_other_objects_give_something_else():
    """A key alone says nothing; the latest inputs count."""
    held = Remembered[str, tuple[str, ...]](2)
    make = Maker()
    held.of("key", (("a",),), make)

    assert held.of("key", (("b",),), make) == ("b",)


def test_what_was_made_longest_ago_goes_first():
    """It is made again when it is asked for."""
    held = Remembered[str, tuple[str, ...]](2)
    make = Maker()
    values = {key: (key,) for key in ("a", "b", "c", "a")}

    for key, value in (*values.items(), ("b", values["b"]), ("a", values["a"])):
        held.of(key, (value,), make)

    assert make.made == [("a",), ("b",), ("c",), ("a",)]
