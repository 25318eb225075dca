"""The exceptions of ecgpu. Each says what happened (`cause`) and what can be done about it (`remedy`)."""


class Error(Exception):
    """An error of ecgpu, the base of all others.

    Attributes:
        cause: What happened.
        remedy: What can be done about it.
        source: The path or the name of what could not be classified; empty if the error is about something else.
        record: The name of the recording in it; empty if it could not be read.
    """

    source: str = ""
    record: str = ""

    def __init__(self, message: str, cause: str | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.cause = message if cause is None else cause
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["Error"], tuple[str, str, str], dict[str, str]]:
        return type(self), (str(self), self.cause, self.remedy), {"source": self.source, "record": self.record}


class FileError(Error, OSError):
    """A file could not be read or written."""


class RecordingError(Error, ValueError):
    """A recording is damaged, incomplete or not what its header says."""


class DatasetError(Error, ValueError):
    """A data set is damaged or incomplete."""


class DownloadError(Error, OSError):
    """A file could not be fetched."""


class WeightsError(Error, ValueError):
    """A weights file is damaged, or its tensors do not fit a known network."""


class ShapeError(Error, ValueError):
    """A shape that the network or the device cannot run."""


class DeviceError(Error, RuntimeError):
    """There is no such device, or the device failed."""


class UsageError(Error, ValueError):
    """A call that makes no sense, whatever the files and the device."""


class ParityError(Error, RuntimeError):
    """Two backends that must agree do not."""


class TrainingError(Error, ArithmeticError):
    """A loss or a gradient became infinite or NaN."""
