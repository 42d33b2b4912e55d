"""The attempt contract for programs in Python: what a job is given, and what it
says and leaves. Needs numpy; deploy/README.md describes the contract itself.

    import foldfarm_attempt

    def train(attempt):
        epoch, state = attempt.resume()            # (0, None) from scratch
        attempt.started(epochs=10, resumed_epoch=epoch)
        while epoch < 10:
            epoch += 1
            ...
            attempt.epoch(epoch, log_loss=0.5)
            attempt.checkpoint(epoch, {"w": w}, due=epoch % 5 == 0)
        attempt.finish(probabilities)              # [validation samples, labels]

    foldfarm_attempt.run(train)
"""

import json
import math
import os
import signal
import struct
import sys

try:
    import numpy as np
except ImportError as missing:
    os.write(3, (json.dumps({
        "event": "failed", "code": "INVALID_ARGUMENT",
        "message": f"{sys.executable} on {os.uname().nodename}: {missing}; "
                   "install python3-numpy there, or name a Python that has "
                   "numpy in exec.command"}) + "\n").encode())
    sys.exit(64)

DONE, BAD_CONFIGURATION, FAILED, OUT_OF_MEMORY, STOPPED = 0, 64, 70, 71, 75

# safetensors' names of numpy's types; both little-endian.
_DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4",
           "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


class BadConfiguration(Exception):
    """The job can never work as it is written: exit 64, not tried again."""


class _Stopped(Exception):
    """The worker asked, and the checkpoint is written: exit 75."""


def read_safetensors(path):
    """Returns ({name: array}, {key: text}); the arrays are read-only views."""
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    data = np.memmap(path, mode="r", offset=8 + size) if os.path.getsize(
        path) > 8 + size else np.zeros(0, "u1")
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = data[begin:end].view(
            _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def write_safetensors(path, tensors, metadata=None):
    """Writes arrays by name and texts by key; `path` appears whole."""
    header = {"__metadata__": {k: str(v) for k, v in (metadata or {}).items()}}
    chunks, offset = [], 0
    # Large elements first, so that all lie aligned.
    for name, array in sorted(tensors.items(),
                              key=lambda item: -np.asarray(item[1]).itemsize):
        array = np.asarray(array)
        array = np.ascontiguousarray(array).reshape(array.shape)
        chunks.append(array.tobytes())
        header[name] = {"dtype": _NAMES[array.dtype],
                        "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))
    os.replace(path + ".tmp", path)


def log_loss(probabilities, targets, clip=1e-3):
    """The farm's score: mean over samples and labels, clipped."""
    p = np.clip(probabilities, clip, 1 - clip)
    return float(-np.mean(np.where(targets > 0, np.log(p), np.log(1 - p))))


class Dataset:
    """dataset.safetensors: every sample's scans; see prepared_dataset.h."""

    def __init__(self, path):
        self.tensors, metadata = read_safetensors(path)
        self.labels = json.loads(metadata["labels"])
        self.samples = json.loads(metadata["samples"])
        self._row = {s["id"]: i for i, s in enumerate(self.samples)}

    def scans(self, sample):
        """(temperature [scans] in C, abundance [scans, 100]; NaN: no reading)"""
        row = self._row[sample]
        begin, end = self.tensors["scan_offset"][row:row + 2]
        return (self.tensors["temperature"][begin:end],
                self.tensors["abundance"][begin:end])

    def targets(self, samples, labels):
        """[samples, labels] of 0 and 1."""
        columns = [self.labels.index(label) for label in labels]
        rows = [self._row[sample] for sample in samples]
        return self.tensors["labels"][rows][:, columns].astype(np.float64)


class Attempt:
    """One attempt in the current folder.

    spec        attempt.json: job, fold, seed, model, device, threads...
    config      config.json: the sweep file's arch.exec.config
    train       sample ids to learn from; validation: those to predict
    labels      names, in the order of the predictions' columns
    """

    def __init__(self):
        with open("attempt.json") as file:
            self.spec = json.load(file)
        with open("config.json") as file:
            self.config = json.load(file)
        self.dataset = Dataset("dataset.safetensors")
        self.train = self.spec["trainSamples"]
        self.validation = self.spec["validationSamples"]
        own = self.spec["model"].get("labels")
        # The dataset's order, whatever the sweep file's is.
        self.labels = [label for label in self.dataset.labels
                       if not own or label in own]
        self.seed = self.spec["seed"]
        self.threads = self.spec["threads"]
        self._stop = False
        signal.signal(signal.SIGTERM, self._on_stop)

    def _on_stop(self, number, frame):
        self._stop = True

    def option(self, name, default, low, high):
        """A number of config.json, checked."""
        value = self.config.get(name, default)
        if isinstance(value, bool) or not isinstance(
                value, (int, float)) or not low <= value <= high:
            raise BadConfiguration(
                f"config.{name} is {value!r}, expected {low} to {high}")
        return type(default)(value)

    def started(self, epochs, resumed_epoch=0):
        _say("started", epochs=epochs, resumed_epoch=resumed_epoch,
             device=self.spec["device"])

    def epoch(self, epoch, **metrics):
        """Ends an epoch (1, 2...). log_loss and seconds are shown by status."""
        _say("epoch", epoch=epoch, metrics=_finite(metrics))

    def resume(self):
        """(epoch, arrays) of the checkpoint to go on from, or (0, None)."""
        path = "checkpoint/state.safetensors"
        if not os.path.exists(path):
            return 0, None
        tensors, metadata = read_safetensors(path)
        return int(metadata["epoch"]), {k: v.copy() for k, v in tensors.items()}

    def checkpoint(self, epoch, tensors, due=True):
        """Call after each epoch: leaves a checkpoint where one is due, and ends
        the attempt when the worker has asked for that."""
        stop = self._stop
        if not (due or stop):
            return
        # A name of its own each time: the worker takes the folder away.
        name = f"checkpoint-{epoch:06d}"
        os.makedirs(name, exist_ok=True)
        write_safetensors(f"{name}/state.safetensors", tensors,
                          {"epoch": epoch})
        _say("checkpoint", epoch=epoch, path=name)
        if stop:
            raise _Stopped

    def finish(self, probabilities, weights=None, **metrics):
        """Ends the attempt with its predictions [validation, labels]."""
        p = np.asarray(probabilities, np.float32)
        shape = (len(self.validation), len(self.labels))
        if p.shape != shape:
            raise ValueError(f"probabilities are {p.shape}, expected {shape}")
        write_safetensors(
            "oof.safetensors", {"probabilities": p, "draws": p[np.newaxis]},
            {"format": "foldfarm-oof", "format_version": "1",
             "sample_ids": json.dumps(self.validation),
             "labels": json.dumps(self.labels)})
        files = ["oof.safetensors"]
        if weights is not None:
            write_safetensors("weights.safetensors", weights)
            files.append("weights.safetensors")
        targets = self.dataset.targets(self.validation, self.labels)
        metrics.setdefault("log_loss", log_loss(p, targets))
        # What `foldfarm ensemble` says of it.
        metrics.setdefault("log_loss_shrink_0002",
                           log_loss(p * (1 - 2 * 0.002) + 0.002, targets))
        _say("finished", files=files, metrics=_finite(metrics))


def _finite(metrics):
    # JSON has no NaN.
    return {name: float(value) if math.isfinite(value) else None
            for name, value in metrics.items()}


def _say(event, **fields):
    line = (json.dumps({"event": event, **fields}) + "\n").encode()
    while line:
        line = line[os.write(3, line):]


def run(train):
    """Runs train(Attempt()) and exits as the contract says."""
    try:
        train(Attempt())
    except _Stopped:
        sys.exit(STOPPED)
    except BadConfiguration as error:
        _say("failed", code="INVALID_ARGUMENT", message=str(error))
        sys.exit(BAD_CONFIGURATION)
    except MemoryError as error:
        _say("failed", code="RESOURCE_EXHAUSTED", message=str(error))
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:
        _say("failed", code="INTERNAL",
             message=f"{type(error).__name__}: {error}")
        raise  # The traceback goes to the log; Python exits with 1.
    sys.exit(DONE)
