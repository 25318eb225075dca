"""The result of one recording."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network says of one recording.

    Attributes:
        source: The path or the name of what was classified.
        record: The name of the record.
        sampling_rate: The sampling rate of the recording in Hz.
        duration: Its duration in seconds.
        classes: The names of the classes, in the order of the logits.
        logits: The logits, `[classes]`, float32.
        probabilities: The probabilities, `[classes]`, float64. Classes do not exclude each other: the sum is not 1.
        thresholds: The probability from which each class is a label, `[classes]`, float64.
        labels: The classes whose probability reaches their threshold.
        embedding: The features before the last layer, `[features]`, float32.
        warnings: What is unusual about the recording, in words.
        device: The device that computed.
    """

    source: str
    record: str
    sampling_rate: float
    duration: float
    classes: list[str]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    labels: list[str]
    embedding: NDArray[np.float32]
    warnings: list[str]
    device: str

    def __repr__(self) -> str:
        """Shows the record and its probabilities, a label with a star."""
        shown = [
            f"{name} {probability:.3f}{'*' if name in self.labels else ''}"
            for name, probability in zip(self.classes, self.probabilities, strict=True)
        ]
        warnings = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"Prediction({self.record!r}: {', '.join(shown)}{warnings})"

    def to_dict(self) -> dict[str, Any]:
        """Returns the prediction as plain values, for JSON or a table."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def prediction(source: str, arguments: tuple[Any, ...]) -> Prediction:
    """Makes a prediction of what the native part returns."""
    record, rate, duration, classes, logits, probabilities, thresholds, labels, embedding, warnings, device = arguments
    return Prediction(
        source,
        record,
        rate,
        duration,
        classes,
        np.frombuffer(logits, np.float32),
        np.frombuffer(probabilities, np.float64),
        np.frombuffer(thresholds, np.float64),
        labels,
        np.frombuffer(embedding, np.float32),
        warnings,
        device,
    )
