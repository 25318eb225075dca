"""The classifier: weights on a device."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._input import Stated, is_path, npy, stated, to_array, to_file
from ._prediction import Prediction, prediction
from .errors import Error, ParityError, ShapeError, UsageError

OnError = Literal["raise", "skip", "return"]

# Batches of files that are under way at once: one is read, one computed, one waits for the caller.
_UNDER_WAY = 3


class Stage(NamedTuple):
    """One stage of the network beside the float64 reference.

    Attributes:
        name: The name of the stage.
        nmse: The mean square of the difference over that of the reference.
        largest_difference: The largest difference.
        passed: Whether both are within their bounds.
    """

    name: str
    nmse: float
    largest_difference: float
    passed: bool


class DataWarning(UserWarning):
    """Something is unusual about the recordings that were given, or something was assumed of them."""


class Classifier:
    """A network with its weights on a device.

    It is a pre-trained multilabel classifier and a transformer in the sense of scikit-learn: `predict_proba`,
    `predict`, `decision_function`, and `transform`, which returns embeddings. Threads may share one. It can be pickled:
    the copy opens the same weights on the same device.

    Args:
        weights: A safetensors file of a published network, or a folder with one; the name of weights that come with
            ecgpu ("542k", "55k", "542k-10pct"); a repository of the Hugging Face Hub, "owner/name" or
            "owner/name@revision/file.safetensors", which is downloaded once into the cache that other tools share; or
            the bytes of a file. The built-in weights if absent.
        device: "auto" (a GPU where it is faster, else the CPU), "gpu", "gpu:N", a part of a GPU's name, "cpu" or
            "reference" (float64).
        threads: Threads that compute on the CPU; one per core if absent.
        precision: "f32", or "f16" for weights and activations on a GPU.
        sampling_rate: The sampling rate in Hz of arrays, where a call does not state it.
        unit: The unit of arrays, "mV", "uV", "nV" or "V", where a call does not state it.
        leads: The leads of arrays in their order, where a call does not state them; the usual twelve if absent.

    Raises:
        WeightsError: The weights are no published network.
        DownloadError: The Hub cannot be reached, or has no such repository, revision or file.
        DeviceError: There is no such device.

    Example:
        >>> import ecgpu
        >>> model = ecgpu.Classifier(device="cpu")
        >>> model.classes
        ['NORM', 'MI', 'STTC', 'HYP', 'CD']
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | bytes | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        precision: Literal["f32", "f16"] = "f32",
        sampling_rate: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
    ) -> None:
        self.weights = weights
        self.device = device
        self.threads = threads
        self.precision = precision
        self.sampling_rate = sampling_rate
        self.unit = unit
        self.leads = leads
        self._open()

    def _open(self) -> None:
        stated(self.sampling_rate, self.unit, self.leads)
        path, data = (None, self.weights) if isinstance(self.weights, bytes) else (_named(self.weights), None)
        self._native: _native.Classifier | None = _native.Classifier(
            path, data, self.device, self.threads, self.precision
        )
        self._sizes = len(self._native.classes), self._native.features

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **options: Any) -> Classifier:
        """Opens weights by a path or a name, as `Classifier` does, under the name that other libraries have for it.

        Args:
            name_or_path: The `weights` of `Classifier`, such as "owner/name".
            options: The other arguments of `Classifier`.
        """
        return cls(name_or_path, **options)

    # Life of the object.

    @property
    def _opened(self) -> _native.Classifier:
        if self._native is None:
            raise UsageError("the classifier is closed: open a new one", "the classifier is closed", "open a new one")
        return self._native

    def close(self) -> None:
        """Releases weights and device. Calls in other threads end as usual; later calls raise `UsageError`."""
        self._native = None

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.get_params(), "_closed": self._native is None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        closed = state.pop("_closed")
        self.__dict__.update(state)
        self._native = None
        if not closed:
            self._open()

    def __repr__(self) -> str:
        if self._native is None:
            return "Classifier(closed)"
        return f"Classifier({self._native.source!r}: network {self._native.network} on {self._native.device})"

    # What it is.

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of the logits."""
        return self._opened.classes

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The names of the classes as an array, as scikit-learn has it."""
        return np.asarray(self._opened.classes)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The probability from which each class is a label, `[classes]`."""
        return np.asarray(self._opened.thresholds)

    @property
    def network(self) -> str:
        """The name of the network."""
        return self._opened.network

    @property
    def network_leads(self) -> list[str]:
        """The leads in the order of the network's input."""
        return self._opened.leads

    @property
    def network_sampling_rate(self) -> float:
        """The sampling rate in Hz of the network's input."""
        return self._opened.input[0]

    @property
    def network_scale(self) -> float:
        """The standard deviation in mV that the network's input is divided by."""
        return self._opened.input[2]

    @property
    def features(self) -> int:
        """The number of features of an embedding."""
        return self._opened.features

    @property
    def provenance(self) -> str:
        """How the weights were trained, in words."""
        return self._opened.provenance

    @property
    def computes_on(self) -> str:
        """The device that computed last."""
        return self._opened.device

    @property
    def fault(self) -> str | None:
        """Why a GPU is no longer used, if it failed and the CPU has taken over."""
        return self._opened.fault

    def verify(self) -> list[Stage]:
        """Compares every stage of the network on the device with the float64 reference.

        Raises:
            ParityError: A stage differs; the error names it.
        """
        stages = [Stage(*stage) for stage in self._opened.verify()]
        wrong = [stage.name for stage in stages if not stage.passed]
        if wrong:
            cause = f"{self.computes_on} computes something else in {', '.join(wrong)}"
            remedy = "use device='cpu', and report the device and its driver"
            raise ParityError(f"{cause}: {remedy}", cause, remedy)
        return stages

    # Recordings.

    def _stated(self, sampling_rate: float | None, unit: str | None, leads: Sequence[str] | None) -> Stated:
        return stated(
            self.sampling_rate if sampling_rate is None else sampling_rate,
            self.unit if unit is None else unit,
            self.leads if leads is None else leads,
        )

    def classify(
        self,
        source: Any,
        *,
        sampling_rate: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
    ) -> Prediction:
        """Classifies one recording: reads it, orders its leads, resamples, scales, runs the network.

        Args:
            source: A path of any format that ecgpu reads, its bytes, an array `[leads, samples]` or `[samples, leads]`
                of NumPy, PyTorch or any library that speaks DLPack, a `wfdb.Record`, or a `pandas.DataFrame` with a
                column per lead.
            sampling_rate: The sampling rate in Hz, where the source does not state it; overrides it where it does.
            unit: "mV", "uV", "nV" or "V", where the source does not state it; overrides it where it does.
            leads: The leads of an array in their order; the usual twelve if absent.

        Raises:
            FileError: The file cannot be read.
            RecordingError: The recording is damaged, a lead is missing, or it lasts less than a second.
            UsageError: The source holds several recordings: see `classify_many`.
        """
        outcomes = list(self._outcomes(source, self._stated(sampling_rate, unit, leads)))
        if len(outcomes) != 1:
            cause = f"the source holds {len(outcomes)} recordings"
            raise UsageError(f"{cause}: use classify_many", cause, "use classify_many")
        return _raised(outcomes[0])

    def _outcomes(self, source: Any, options: Stated) -> Iterator[Prediction | Error]:
        if is_path(source):
            name, data = os.fspath(source), None
        else:
            name, data = to_file(source)
        try:
            outcomes = self._opened.classify(name, data, options)
        except Error as error:
            error.source = name
            raise
        for outcome in outcomes:
            yield _outcome(name, outcome)

    def classify_many(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = 32,
        on_error: OnError = "raise",
        sampling_rate: float | None = None,
        unit: str | None = None,
        leads: Sequence[str] | None = None,
    ) -> Iterator[Prediction | Error]:
        """Classifies many recordings, one after the other as they are ready, in the order of the sources.

        Files are read and prepared on all cores while the device computes; a file may hold several recordings. No more
        than a few batches are in memory, so that the sources may be endless.

        Args:
            sources: What `classify` takes, one after the other.
            batch_size: Recordings that the device computes at once.
            on_error: "raise" the error of a recording that cannot be classified, "skip" it with a warning, or "return"
                the exception in its place.
            sampling_rate: As for `classify`.
            unit: As for `classify`.
            leads: As for `classify`.
        """
        if on_error not in ("raise", "skip", "return"):
            raise UsageError(f"on_error={on_error!r}: use 'raise', 'skip' or 'return'")
        if is_path(sources):
            raise UsageError(f"one path, {str(sources)!r}: give a list of paths, or use classify")
        if batch_size < 1:
            raise UsageError(f"batch_size={batch_size}: give at least 1")
        options = self._stated(sampling_rate, unit, leads)
        return self._many(iter(sources), batch_size, on_error, options)

    def _many(
        self, sources: Iterator[Any], batch_size: int, on_error: OnError, options: Stated
    ) -> Iterator[Prediction | Error]:
        for paths, group in groupby(sources, is_path):
            if paths:
                outcomes = self._files(group, batch_size, options)
            else:
                outcomes = (outcome for source in group for outcome in self._one(source, options))
            for outcome in outcomes:
                if not isinstance(outcome, Error) or on_error == "return":
                    yield outcome
                elif on_error == "raise":
                    raise outcome
                else:
                    warnings.warn(f"skipped: {outcome}", DataWarning, stacklevel=2)

    def _one(self, source: Any, options: Stated) -> Iterator[Prediction | Error]:
        try:
            yield from self._outcomes(source, options)
        except Error as error:
            yield error

    def _files(
        self, paths: Iterator[str | os.PathLike[str]], batch_size: int, options: Stated
    ) -> Iterator[Prediction | Error]:
        stream = self._opened.stream(batch_size, options)
        under_way: dict[int, str] = {}
        pushed, more = 0, True
        while True:
            while more and len(under_way) < _UNDER_WAY * batch_size:
                path = next(paths, None)
                if path is None:
                    stream.finish()
                    more = False
                else:
                    under_way[pushed] = os.fspath(path)
                    stream.push(pushed, path)
                    pushed += 1
            results = stream.take()
            if results is None:
                return
            for number, outcome in results:
                yield _outcome(under_way.get(number, ""), outcome)
            if results:
                # Results come in the order of the files: what is before the last one is done.
                last = results[-1][0]
                for number in [number for number in under_way if number < last]:
                    del under_way[number]

    # Arrays.

    def run(self, X: ArrayLike, *, embedding: bool = True) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Runs the network on its own input, without resampling or scaling.

        Args:
            X: `[batch, leads, samples]`: the leads in the order of `network_leads`, at `network_sampling_rate`, in mV
                without offset, divided by `network_scale`. A contiguous float32 array is not copied.
            embedding: Whether the embeddings are wanted.

        Returns:
            Logits `[batch, classes]` and embeddings `[batch, features]` or None, float32.

        Raises:
            ShapeError: The shape does not fit the network.
            RecordingError: A number is not finite or too large.
        """
        if type(X) is np.ndarray and X.dtype == np.float32 and X.flags.c_contiguous:
            array = X
        else:
            array = np.ascontiguousarray(to_array(X), np.float32)
        if array.ndim != 3:
            cause = f"an array of shape {list(array.shape)}"
            raise ShapeError(f"{cause}: give [batch, leads, samples]", cause, "give [batch, leads, samples]")
        batch, _, samples = array.shape
        native = self._opened
        classes, features = self._sizes
        logits = np.empty((batch, classes), np.float32)
        features_of = np.empty((batch, features), np.float32) if embedding else None
        if batch:
            native.run(array, batch, samples, logits, features_of)
        return logits, features_of

    def _predict(self, X: Any) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
        array = to_array(X)
        if array.ndim != 3:
            cause = f"an array of shape {list(array.shape)}"
            raise ShapeError(f"{cause}: give [records, leads, samples]", cause, "give [records, leads, samples]")
        native = self._opened
        options = self._stated(None, None, None)
        if array.shape[0] == 0:
            classes = len(native.classes)
            return (
                np.empty((0, classes), np.float32),
                np.empty((0, classes)),
                np.empty((0, native.features), np.float32),
            )
        count, logits, probabilities, embedding, notes = native.predict("X.npy", npy(array), options)
        for note in notes:
            warnings.warn(note, DataWarning, stacklevel=3)
        return (
            np.frombuffer(logits, np.float32).reshape(count, -1),
            np.frombuffer(probabilities, np.float64).reshape(count, -1),
            np.frombuffer(embedding, np.float32).reshape(count, -1),
        )

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Returns the probabilities `[records, classes]` of recordings `[records, leads, samples]`.

        What the array does not state, its sampling rate, unit and leads, is what the classifier was opened with, or is
        assumed as for files, with a `DataWarning`. Classes do not exclude each other: a row does not add up to 1.
        """
        return self._predict(X)[1]

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Returns 1 for each class that is a label, else 0, `[records, classes]`: whether its threshold is reached."""
        return (self._predict(X)[1] >= self.thresholds).astype(np.int64)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Returns the logits `[records, classes]`."""
        return self._predict(X)[0]

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Returns the embeddings `[records, features]`, for a classifier of one's own."""
        return self._predict(X)[2]

    # Conventions of scikit-learn.

    def fit(self, X: Any = None, y: Any = None) -> Classifier:
        """Does nothing, as the network is trained, and returns the classifier. `ecgpu.train` trains networks."""
        return self

    def fit_transform(self, X: ArrayLike, y: Any = None) -> NDArray[np.float32]:
        """Returns the embeddings, as `transform` does."""
        return self.transform(X)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the arguments that the classifier was opened with."""
        names = ("weights", "device", "threads", "precision", "sampling_rate", "unit", "leads")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Classifier:
        """Changes arguments, and opens the classifier anew with them."""
        known = self.get_params()
        unknown = sorted(set(params) - set(known))
        if unknown:
            raise UsageError(f"a classifier has no parameter {', '.join(unknown)}: use {', '.join(known)}")
        self.__dict__.update(params)
        self._open()
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False, multi_output=True),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            classifier_tags=ClassifierTags(multi_label=True),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
            requires_fit=False,
        )


def _outcome(source: str, outcome: Any) -> Prediction | Error:
    """Makes a prediction of what the native part returns; an error says what it is about."""
    if isinstance(outcome, Error):
        outcome.source = source
        return outcome
    return prediction(source, outcome)


def _named(weights: str | os.PathLike[str] | None) -> str | None:
    return None if weights is None else os.fspath(weights)


def _raised(outcome: Prediction | Error) -> Prediction:
    if isinstance(outcome, Error):
        raise outcome
    return outcome
