"""The services of compose.yaml as processes in clean roots, in a network of their own that leads nowhere else."""

import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.clean_root import Root

__all__ = ["Cluster", "resolved"]

_WORKERS = 2
_PREPARE = """
import json, pyarrow as pa, pyarrow.parquet as parquet, s3fs, shutil
from quantlab.demo import MODEL
from quantlab.demo.digits import samples
shutil.copy(MODEL, "model.keras")
x, y = samples()
parquet.write_table(pa.table({"x": x.tolist(), "y": y}), "digits.parquet")
store = s3fs.S3FileSystem()
store.mkdir("samples")
store.put("digits.parquet", "samples/digits.parquet")
print(*store.ls("samples"))
"""
_ANALYZE = (
    "analyze",
    "model.keras",
    "--data",
    "s3://samples/digits.parquet",
    "--no-costs",
    "--no-layers",
    "--settings",
)
_SETTINGS = "tfjs-uint8,tflite-dynamic"
_TIMES = {"ms_per_sample", "convert_seconds"}


def resolved(text: str) -> str:
    """A value of a compose file where no variable is set.

    >>> resolved("${QUANTLAB_USER:-1000:1000}")
    '1000:1000'
    """
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)


def _service_root(service: Mapping[str, Any], roots: Mapping[str, Root]) -> Root:
    root = roots[service["build"].get("target", "")]
    told = {name: resolved(value) for name, value in service.get("environment", {}).items()}
    return replace(root, environment={**root.environment, **told}, user=resolved(service.get("user", root.user)))


@dataclass(slots=True)
class Cluster:
    """The services that `docker compose up --scale worker=2` starts; use it as `with Cluster(…) as cluster`."""

    compose: Mapping[str, Any]
    roots: Mapping[str, Root]
    """By the name of the stage; that of quantlab has none."""
    commands: Mapping[str, Sequence[str]]
    """What a container runs, by the same names."""
    study: Path
    """The folder of the host that all services share."""
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __enter__(self) -> "Cluster":
        (self.study.parent / "hosts").write_text("127.0.0.1 localhost scheduler store worker quantlab\n")
        alone = ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && exec sleep infinity"]
        self.running.append(subprocess.Popen(alone))
        time.sleep(1)
        for name, count in (("scheduler", 1), ("store", 1), ("worker", _WORKERS)):
            for number in range(count):
                words = self._entering(name, self._words(name))
                log = (self.study.parent / f"{name}-{number}.log").open("wb")
                self.running.append(subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT))
            self._wait(name)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in reversed(self.running):
            process.kill()
            process.wait()

    def _words(self, name: str) -> list[str]:
        service = self.compose["services"][name]
        if "command" not in service:
            return [*self.commands[service["build"].get("target", "")]]
        return [*service.get("entrypoint", self.commands[""]), *service["command"]]

    def _entering(self, name: str, words: Sequence[str]) -> list[str]:
        service = self.compose["services"][name]
        binds = {volume["target"]: self.study for volume in service.get("volumes", ())}
        binds["/etc/hosts"] = self.study.parent / "hosts"
        network = ["nsenter", f"--net=/proc/{self.running[0].pid}/ns/net", "--"]
        return [*network, *_service_root(service, self.roots).entering(words, binds=binds)]

    def _wait(self, name: str) -> None:
        """Wait until a service is healthy, as long as compose.yaml does."""
        check = self.compose["services"][name]["healthcheck"]
        words = self._entering(name, check["test"][1:])
        for _ in range(check["retries"]):
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(int(check["interval"].removesuffix("s")))
        log = (self.study.parent / f"{name}-0.log").read_text(errors="replace")
        raise RuntimeError(f"the service {name} is not healthy; it printed:\n{log}")

    def compare(self) -> None:
        """Run a study here and by the workers, on samples in the store; raises RuntimeError if they differ."""
        self._python(_PREPARE)
        self._quantlab(*_ANALYZE, _SETTINGS, "--out", "here.study")
        engine = ("--engine", "dask", "--address", "tcp://scheduler:8786")
        self._quantlab(*_ANALYZE, _SETTINGS, "--out", "cluster.study", *engine)
        here, there = (self._told(name) for name in ("here.study", "cluster.study"))
        if not here[0] or here != there:
            raise RuntimeError("the study by the workers differs from that without them")
        shards = json.loads((self.study / "cluster.study" / "shards.json").read_bytes())
        print(f"{len(here[0])} files of outputs are equal, of {len(shards['shards'])} shards by {_WORKERS} workers")

    def _python(self, code: str) -> None:
        subprocess.run(self._entering("quantlab", ["python", "-c", code]), check=True)

    def _quantlab(self, *words: str) -> None:
        subprocess.run(self._entering("quantlab", [*self.commands[""], *words]), check=True)

    def _told(self, name: str) -> tuple[dict[str, bytes], list[dict[str, object]]]:
        """The bytes of every output file, and the table without times."""
        outputs = self.study / name / "outputs"
        files = {str(file.relative_to(outputs)): file.read_bytes() for file in sorted(outputs.rglob("*.npy"))}
        words = self._entering("quantlab", [*self.commands[""], "show", name, "--format", "json"])
        rows = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
        return files, [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]
