#!/usr/bin/env python3
"""Stand-ins for AWS at once: moto is loaded one time, and each that is asked for is a fork of that.

    warm.py SOCKET

Listens on SOCKET, a Unix socket. A client sends one line of JSON, `{"env": {…}, "port_file": "…"}`, and
gets the stand-in that `server.py PORT_FILE` with these variables would be; it ends when the client closes
the connection. When nobody has asked for a minute, or the stand-in's own code was changed, it ends.
"""
import gc
import json
import os
import pathlib
import random
import select
import signal
import socket
import sys

SOURCES = pathlib.Path(__file__).parent


def newest():
    """When the stand-in's own code was changed last."""
    return max(file.stat().st_mtime_ns for file in SOURCES.glob("*.py"))


LOADED = newest()

import server  # first: it says what of moto is loaded

import docker
import moto.server
from moto.moto_api._internal import mock_random

import observer

IDLE = 60  # seconds
SERVICES = ("batch", "ec2", "ecr", "iam", "lambda", "logs", "s3", "scheduler", "secretsmanager", "sts")


def main():
    path = pathlib.Path(sys.argv[1])
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    own = path.stat().st_ino
    # Clients may come while this is loading.
    listener.listen(64)
    app = load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while newest() == LOADED and waiting(listener, IDLE):
        fork(listener, app)
    # Another may have taken its place.
    if path.exists() and path.stat().st_ino == own:
        path.unlink()
    # Whoever came before that isn't left without one.
    while waiting(listener, 0):
        fork(listener, app)


def waiting(listener, seconds):
    return bool(select.select([listener], [], [], seconds)[0])


def load():
    """moto with the services that are used, and what boto3 knows of each."""
    app = moto.server.DomainDispatcherApplication(moto.server.create_backend_app)
    for service in SERVICES:
        app.get_application({
            "HTTP_HOST": "127.0.0.1", "PATH_INFO": "/", "REQUEST_METHOD": "GET", "wsgi.input": None,
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=t/20200101/us-east-1/{service}/aws4_request",
        })
        observer.client("http://127.0.0.1:1", service)
    gc.freeze()
    return app


def fork(listener, app):
    connection, _ = listener.accept()
    if os.fork():
        connection.close()
        return
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked = json.loads(connection.makefile().readline())
    # The stand-in ends with its standard input, which is the connection.
    os.dup2(connection.fileno(), 0)
    os.environ.clear()
    os.environ.update({**server.SETTINGS, **asked["env"]})
    if newest() != LOADED:
        os.execv(sys.executable, [sys.executable, str(SOURCES / "server.py"), asked["port_file"]])
    mock_random.seed()
    random.seed()
    server.serve(app, asked["port_file"])


if __name__ == "__main__":
    main()
