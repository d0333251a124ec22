"""Functions of AWS Lambda from images, for the stand-in: each environment is a program of this machine or
a container, and has a Runtime API of its own to ask for requests (AWS: "Lambda runtime API").

One request at a time in each; a free one is used again, as Lambda does. A function that ends, fails or takes
too long answers with `FunctionError`, and more requests at a time than reserved are refused.
"""
import http.server, json, os, queue, subprocess, threading, time, uuid

from moto.awslambda import responses

LARGEST = 6 * 1024 * 1024


class Environment:
    """One copy of a function, and the Runtime API that it asks."""

    def __init__(self, function, start):
        self.requests, self.answers = queue.Queue(), queue.Queue()
        self.api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.api.daemon_threads = True
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        env = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}",
               "AWS_LAMBDA_FUNCTION_NAME": function.function_name, "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
               "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size), "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda",
               "AWS_LAMBDA_LOG_STREAM_NAME": uuid.uuid4().hex}
        self.program = start(function, {**env, **(function.environment_vars or {})})

    def handler(environment):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, code, body=b"", headers={}):
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def body(self):
                if "Content-Length" in self.headers:
                    return self.rfile.read(int(self.headers["Content-Length"]))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def do_GET(self):
                request, payload, deadline, arn = environment.requests.get()
                self.reply(200, payload, {
                    "Lambda-Runtime-Aws-Request-Id": request, "Lambda-Runtime-Deadline-Ms": str(deadline),
                    "Lambda-Runtime-Invoked-Function-Arn": arn, "Content-Type": "application/json"})

            def do_POST(self):
                body, failed = self.body(), not self.path.endswith("/response")
                if not failed and len(body) > LARGEST:
                    failed, body = True, json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "too large"}).encode()
                self.reply(202)
                environment.answers.put((failed, body))

        return Handler

    def invoke(self, function, payload):
        """Whether it failed, and what it answered; fails when it ends or takes too long."""
        seconds = float(function.timeout)
        deadline = time.time() + seconds
        self.requests.put((str(uuid.uuid4()), payload, int(deadline * 1000), function.function_arn))
        while time.time() < deadline:
            try:
                return self.answers.get(timeout=0.1)
            except queue.Empty:
                if self.program.poll() is not None:
                    return True, json.dumps({"errorType": "Runtime.ExitError", "errorMessage": f"exit status {self.program.poll()}"}).encode()
        self.close()
        return True, json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": f"Task timed out after {seconds} seconds"}).encode()

    def alive(self):
        return self.program.poll() is None

    def close(self):
        self.program.kill()
        self.api.shutdown()


free, running, lock = {}, {}, threading.Lock()


def run(function, payload, start):
    key = (function.function_arn, function.code_sha_256)
    with lock:
        kept = [environment for environment in free.get(key, []) if environment.alive()]
        environment = kept.pop() if kept else None
        free[key] = kept
    environment = environment or Environment(function, start)
    answer = environment.invoke(function, payload)
    if environment.alive():
        with lock:
            free[key].append(environment)
    return answer


def install(start):
    """Has invocations of image functions run by what `start(function, variables)` starts."""
    usual = responses.LambdaResponse.invoke

    def invoke(self):
        name, qualifier = self.path.split("?")[0].rsplit("/", 2)[-2], self._get_param("qualifier") or self._get_param("Qualifier")
        function = self.backend.get_function(name, qualifier)
        if function.package_type != "Image":
            return usual(self)
        body = self.body.encode() if isinstance(self.body, str) else self.body or b"{}"
        if len(body) > LARGEST:
            return 413, {"status": "413", "x-amzn-errortype": "RequestTooLargeException"}, "{}"
        if self.headers.get("X-Amz-Invocation-Type") == "Event":
            threading.Thread(target=run, args=(function, body, start), daemon=True).start()
            return 202, {"status": "202"}, ""
        limit = function.reserved_concurrency
        with lock:
            if limit is not None and running.get(function.function_arn, 0) >= int(limit):
                refusal = {"status": "429", "x-amzn-errortype": "TooManyRequestsException"}
                return 429, refusal, json.dumps({"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"})
            running[function.function_arn] = running.get(function.function_arn, 0) + 1
        try:
            failed, answer = run(function, body, start)
        finally:
            with lock:
                running[function.function_arn] -= 1
        headers = {"status": "200", "x-amz-executed-version": str(function.version)}
        if failed:
            headers["x-amz-function-error"] = "Unhandled"
        return 200, headers, answer.decode("utf-8", "replace")

    responses.LambdaResponse.invoke = invoke


def process(address):
    """Environments that are programs of this machine: `$VDEPLOY_WORKER lambda`."""
    def start(function, variables):
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        env.update({"AWS_ENDPOINT_URL": address(), "AWS_REGION": function.region, "AWS_ACCESS_KEY_ID": "function",
                    "AWS_SECRET_ACCESS_KEY": "function"})
        command = [os.environ.get("VDEPLOY_WORKER", "vdeploy-runtime"), "lambda"]
        return subprocess.Popen(command, env={**env, **variables}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return start
