"""ecgpu classifies 12-lead ECGs on any GPU, and on any CPU. For research; not a medical device.

Example:
    >>> import ecgpu
    >>> model = ecgpu.Classifier()
    >>> prediction = model.classify("record.hea")  # doctest: +SKIP
    >>> prediction.probabilities, prediction.labels, prediction.warnings  # doctest: +SKIP
"""

from typing import NamedTuple

from . import _native, errors
from ._classifier import Classifier, DataWarning, Stage
from ._native import __version__
from ._prediction import Prediction
from ._training import evaluate, train
from .errors import Error

__all__ = [
    "Classifier",
    "DataWarning",
    "Device",
    "Error",
    "Prediction",
    "Stage",
    "__version__",
    "devices",
    "errors",
    "evaluate",
    "train",
]


class Device(NamedTuple):
    """A device of this machine.

    Attributes:
        device: What `Classifier(device=…)` takes.
        name: Its name.
        api: Vulkan, Metal, DX12, or the instructions of the CPU.
    """

    device: str
    name: str
    api: str


def devices() -> list[Device]:
    """Returns the devices of this machine."""
    return [Device(*device) for device in _native.devices()]
