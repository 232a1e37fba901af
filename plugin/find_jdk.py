"""Print the home of a JDK that can build the plugin: a Java of version 21 or newer with its compiler."""

from __future__ import annotations

import sys

from opensearch_multimodal.errors import EnvironmentProblem
from opensearch_multimodal.server import find_java

if __name__ == "__main__":
    try:
        print(find_java(lambda java: (java.parent / "javac").exists()))
    except EnvironmentProblem as error:
        sys.exit(f"{error} (building the plugin takes a JDK: a Java with 'javac')")
