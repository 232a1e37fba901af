"""The plugin's MaxSim kernels alone, by JMH: rescoring 100 pages of 1,030 vectors with 20 query vectors.

One thread, so the time is CPU time; each page is copied from its doc value as a search does. In turns: the
Vector API as this processor allows, the Vector API held to AVX2 (16 registers of 256 bits), and plain Java.
Needs Maven and a JDK 21 or newer, like the plugin itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import common

from opensearch_multimodal.server.java import find_java

PLUGIN = common.CHECKOUT / "plugin"
VECTOR = "--add-modules=jdk.incubator.vector"
JVMS = {"Vector API": [VECTOR], "Vector API, AVX2": [VECTOR, "-XX:UseAVX=2"], "plain Java": []}
ENCODINGS = ("FLOAT32", "INT8", "BIT")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dimensions", default="128", help="with commas between (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (default: %(default)s)")
    arguments = parser.parse_args()
    home = find_java()
    environment = {**os.environ, "JAVA_HOME": str(home)}
    classpath = PLUGIN / "target" / "classpath"
    maven = ["mvn", "-q", "-B", "-f", str(PLUGIN / "pom.xml"), "test-compile", "dependency:build-classpath"]
    common.say("compiling …")
    subprocess.run([*maven, f"-Dmdep.outputFile={classpath}"], env=environment, check=True, stdout=sys.stderr)
    parts = [str(PLUGIN / "target" / name) for name in ("test-classes", "classes")]
    path = os.pathsep.join([*parts, classpath.read_text().strip()])
    print(common.machine())
    rows = []
    for name, options in JVMS.items():
        common.say(f"{name} …")
        found = measure(home / "bin" / "java", path, options, arguments.dimensions, arguments.seconds)
        for dimension in arguments.dimensions.split(","):
            cells = [found[encoding, dimension] for encoding in ENCODINGS]
            rows.append([name, dimension, *(f"{mean:.1f} ± {error:.1f}" for mean, error in cells)])
    print("\n" + common.table(["kernel", "dimension", *(f"{e.lower()} ms" for e in ENCODINGS)], rows))


def measure(
    java: Path, classpath: str, options: list[str], dimensions: str, seconds: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Run JMH in JVMs with these options; return (encoding, dimension) → mean and error in ms per query."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [str(java), *options, "-cp", classpath, "org.openjdk.jmh.Main", "MaxSimBenchmark"]
        command += ["-p", f"dimension={dimensions}", "-r", str(seconds), "-wi", "5", "-i", "5"]
        command += ["-rf", "json", "-rff", str(result), "-jvmArgs", " ".join(["-Xmx2g", *options])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not result.exists():
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        runs = json.loads(result.read_text())
    return {
        (run["params"]["encoding"], run["params"]["dimension"]): (
            run["primaryMetric"]["score"],
            float(run["primaryMetric"]["scoreError"]),
        )
        for run in runs
    }


if __name__ == "__main__":
    main()
