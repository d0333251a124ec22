#!/usr/bin/env python3
"""A stand-in for AWS: moto's server, with what the tests need and moto leaves out.

    server.py PORT_FILE [HOST]

Listens on a free port of HOST (127.0.0.1) and writes the address to PORT_FILE once it answers. Ends
when its standard input does, so that no test leaves it behind.

Added to moto, each as AWS documents it:
- Batch jobs run, by STANDIN_JOBS: `docker` in containers of the image, `process` as programs of this
  machine, `none` not at all (they stay RUNNABLE). They get their array index, attempt number,
  secrets, an endpoint and credentials; retry strategies, timeouts, exit codes, reasons and one log
  stream per attempt are kept; TerminateJob is SIGTERM, then SIGKILL, for an array for all of its jobs.
- Compute environments without a service role use the service-linked one, can be updated, and can't be
  deleted while a queue uses them or while they are enabled; nor can queues.
- Job queues without a state are enabled.
- Images of repositories are those that were pushed to the registry that keeps its files in
  STANDIN_REGISTRY.

What tests ask of it beside AWS:
- /standin/spot-kill?share=0.5 lets that share of attempts die as spot instances do.
- /standin/ce-invalid?reason=… makes compute environments that are created from now on invalid.
- /standin/faults?share=0.1 throttles, fails, delays or answers to nobody that share of all requests.
- /standin/deny?action=batch:CreateJobQueue refuses an operation, with `code` and `message` in its own
  way; without an action none.
- /standin/fire?schedule=NAME does what EventBridge Scheduler does when the time of a schedule comes.
- /standin/hold?puts=3 leaves all but the next three PUTs to S3 without an answer; puts=-1 lets all pass again.
- /standin/python runs lines of Python, the request's body, with boto3's clients as `client("service")`,
  and answers what they print, for those who send STANDIN_TOKEN as `X-Standin-Token`;
  /standin/everything lists what the account has.
- /standin/requests says how often each operation was asked for, and how many bytes came out of S3.

It is a model of AWS made from its documents: it tests vdeploy's handling and is no evidence about AWS.
"""
import collections
import io
import json
import logging
import os
import random
import re
import socket
import sys
import threading
import time
import traceback
import urllib.parse

# What moto reads of its environment.
SETTINGS = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "1"}
os.environ.update({**SETTINGS, **os.environ})

import moto.server
from werkzeug.serving import make_server

import functions
import jobs
import observer
import queues
import registry
import roles
import schedules
from knobs import KNOBS, PUTS

REQUESTS = collections.Counter()


def operation(environ):
    """`service:Operation`, as IAM calls it where that is known, else the method and path."""
    signed = re.search(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    service = signed.group(1) if signed else "unknown"
    target, path = environ.get("HTTP_X_AMZ_TARGET", ""), environ.get("PATH_INFO", "")
    if target:
        return f"{service}:{target.rsplit('.')[-1]}"
    if service in ("iam", "ec2", "sts"):
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        environ["wsgi.input"] = io.BytesIO(body)
        return f"{service}:{urllib.parse.parse_qs(body.decode()).get('Action', ['?'])[0]}"
    if service == "batch":
        return f"batch:{path.rsplit('/')[-1]}"
    return f"{service}:{environ['REQUEST_METHOD']} {path}"


def refuse(start_response, service, status, code, message):
    """An error in the shape that the service's clients read."""
    if service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        start_response(status, [("Content-Type", "application/xml")])
    elif service in ("iam", "sts", "ec2"):
        error = f"<Code>{code}</Code><Message>{message}</Message>"
        body = (f"<Response><Errors><Error>{error}</Error></Errors><RequestID>r</RequestID></Response>" if service == "ec2"
                else f"<ErrorResponse><Error>{error}</Error><RequestId>r</RequestId></ErrorResponse>")
        start_response(status, [("Content-Type", "text/xml")])
    else:
        body = json.dumps({"__type": code, "message": message})
        start_response(status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)])
    return [body.encode()]


def application(inner):
    def answer(environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/standin/"):
            query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
            token = os.environ.get("STANDIN_TOKEN")
            if path == "/standin/python" and environ.get("HTTP_X_STANDIN_TOKEN") != (token or object()):
                return refuse(start_response, "standin", "403 Forbidden", "AccessDenied", "who are you?")
            return answered(start_response, path, query, body)
        asked = operation(environ)
        REQUESTS[asked.split(" ")[0]] += 1
        service = asked.split(":")[0]
        if KNOBS["deny"] and KNOBS["deny"].lower() == asked.lower():
            usual = "AccessDenied" if service in ("s3", "iam", "sts") else "AccessDeniedException"
            code = KNOBS["deny_code"] or usual
            who = "arn:aws:iam::123456789012:user/ci"
            message = KNOBS["deny_message"] or f"User: {who} is not authorized to perform: {KNOBS['deny']} on resource: *"
            return refuse(start_response, service, "400 Bad Request" if KNOBS["deny_message"] else "403 Forbidden", code, message)
        if random.random() < KNOBS["faults"]:
            return fault(inner, environ, start_response, service)
        if service == "s3" and environ.get("QUERY_STRING", "").startswith("versioning"):
            return renamed(inner, environ, start_response, b"GetBucketVersioningResponse", b"VersioningConfiguration")
        if asked.startswith("s3:GET") and "uploadId=" in environ.get("QUERY_STRING", ""):
            return renamed(inner, environ, start_response, b"ListPartsResponse", b"ListPartsResult")
        if asked.startswith("s3:PUT"):
            held()
        if asked.startswith("s3:GET"):
            body = b"".join(inner(environ, start_response))
            REQUESTS["s3:bytes"] += len(body)
            return [body]
        return inner(environ, start_response)

    return answer


def renamed(inner, environ, start_response, old, new):
    """An answer whose root element is called as AWS calls it."""
    kept = []
    body = b"".join(inner(environ, lambda *args: kept.append(args))).replace(old, new)
    status, headers = kept[-1][:2]
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start_response(status, headers + [("Content-Length", str(len(body)))])
    return [body]


def held():
    """Waits while no more PUTs are to be answered."""
    with PUTS:
        PUTS.wait_for(lambda: KNOBS["puts"] != 0)
        KNOBS["puts"] -= KNOBS["puts"] > 0


def answered(start_response, path, query, body):
    """What a test asked for, or the error that Python raised at it."""
    status, kind = "200 OK", "text/plain"
    try:
        said = ask(path, query, body)
    except Exception:
        status, said = "500 Internal Server Error", traceback.format_exc()
    if not isinstance(said, str):
        kind, said = "application/json", json.dumps(said)
    said = said.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(said)))])
    return [said]


def ask(path, query, body):
    if path == "/standin/requests":
        return dict(REQUESTS)
    if path == "/standin/python":
        return observer.run(KNOBS["address"], body)
    if path == "/standin/everything":
        return observer.everything(KNOBS["address"])
    if path in ("/standin/spot-kill", "/standin/faults"):
        KNOBS[path.rsplit("/")[-1].replace("-", "_")] = float(query["share"])
    if path == "/standin/hold":
        with PUTS:
            KNOBS["puts"] = int(query["puts"])
            PUTS.notify_all()
    if path == "/standin/ce-invalid":
        KNOBS["ce_invalid"] = query.get("reason")
    if path == "/standin/deny":
        KNOBS["deny"], KNOBS["deny_code"], KNOBS["deny_message"] = query.get("action"), query.get("code"), query.get("message")
    if path == "/standin/fire":
        return schedules.fire(KNOBS["address"], query["schedule"])
    return "ok"


def fault(inner, environ, start_response, service):
    kind = random.choice(["throttle", "fail", "delay", "drop"])
    if kind == "throttle":
        code = "SlowDown" if service == "s3" else "Throttling" if service in ("iam", "sts", "ec2") else "ThrottlingException"
        return refuse(start_response, service, "503 Slow Down" if service == "s3" else "400 Bad Request", code, "Rate exceeded")
    if kind == "fail":
        return refuse(start_response, service, "500 Internal Server Error", "InternalError", "We encountered an internal error.")
    if kind == "delay":
        time.sleep(0.3)
        return inner(environ, start_response)
    # It is done, and nobody hears of it.
    list(inner(environ, lambda *_: None))
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("200 OK", [])
    return []


def main():
    port_file, host = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    serve(moto.server.DomainDispatcherApplication(moto.server.create_backend_app), port_file, host)


def serve(app, port_file, host="127.0.0.1"):
    """Serves what `app` answers until standard input ends."""
    logging.getLogger("werkzeug").setLevel("ERROR")
    server = make_server(host, 0, application(app), threaded=True)
    KNOBS["address"] = f"http://{host}:{server.server_port}"
    if "STANDIN_REGISTRY" in os.environ:
        registry.install(os.environ["STANDIN_REGISTRY"])
    if jobs.mode() == "process":
        functions.install(functions.process(lambda: KNOBS["address"]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(port_file + ".new", "w") as file:
        file.write(KNOBS["address"])
    os.rename(port_file + ".new", port_file)
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
