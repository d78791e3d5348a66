"""The base of all answers of /plait/v1, and the place in a user's files that many of them point to."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
    )


class Source(Answer):
    """Where in the user's files something was written."""

    kind: str
    """Kind of the object."""
    namespace: str = ""
    """Namespace of the object."""
    name: str
    """Name of the object."""
    path: str = ""
    """Field inside the object, like `spec.rules[0]`."""
    file: str = ""
    """File, if known."""
    line: int = 0
    """Line in the file, counted from 1; 0 is unknown."""
