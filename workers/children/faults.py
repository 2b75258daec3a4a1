"""What went wrong in another process, as documents; here they are raised as what they were."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gift_core.data.unpacked import TooMuchUnpackedError
from gift_core.document import Document
from gift_core.errors import (
    DataError,
    GiftError,
    ModelError,
    OutOfMemoryError,
    Problem,
    SpecError,
    TrainingError,
)

_ERRORS: Mapping[str, type[GiftError]] = {
    kind.code: kind
    for kind in (DataError, SpecError, ModelError, TrainingError, OutOfMemoryError, TooMuchUnpackedError)
}


class Refused(Document):
    """What is wrong with what was asked: the `code` of an error and its problems."""

    kind: Literal["refused"] = "refused"
    code: str
    problems: tuple[Problem, ...]


class Failed(Document):
    """A fault of the program, with its traceback."""

    kind: Literal["failed"] = "failed"
    traceback: str


class Hindered(Document):
    """What the machine did not let the process do: the number of the error, and the file if it was about one."""

    kind: Literal["hindered"] = "hindered"
    number: int
    file: str | None


class OutOfMemory(Document):
    """The memory was not enough."""

    kind: Literal["out_of_memory"] = "out_of_memory"


Fault = Annotated[Refused | Failed | Hindered | OutOfMemory, Field(discriminator="kind")]


def fault_of(error: Exception) -> Refused | Failed | Hindered | OutOfMemory:
    """Return what another process is told of an error."""
    if isinstance(error, GiftError):
        return Refused(code=error.code, problems=error.problems)
    if isinstance(error, MemoryError):
        return OutOfMemory()
    if isinstance(error, OSError) and error.errno is not None:
        return Hindered(number=error.errno, file=None if error.filename is None else os.fsdecode(error.filename))
    return Failed(traceback="".join(traceback.format_exception(error)))


def error_of(fault: Refused | Failed | Hindered | OutOfMemory) -> Exception:
    """Return the error that another process met."""
    match fault:
        case Refused():
            return refusal(fault)
        case OutOfMemory():
            return MemoryError()
        case Hindered():
            return OSError(fault.number, os.strerror(fault.number), fault.file)
    return RuntimeError(f"It failed in another process:\n{fault.traceback}")


def refusal(refused: Refused) -> GiftError:
    """Return the error that a refusal stands for."""
    error = _ERRORS.get(refused.code, GiftError).of(refused.problems)
    # Also where no class here has it.
    error.code = refused.code
    return error
