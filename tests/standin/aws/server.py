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
- /standin/requests says how often each operation was asked for, and how many bytes came out of S3.

It is a model of AWS made from its documents: it tests vdeploy's handling and is no evidence about AWS.
"""
import collections, datetime, io, json, os, random, re, socket, subprocess, sys, threading, time, urllib.parse, uuid

os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
os.environ.setdefault("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "1")

import fnmatch
import logging

import functions
import registry
import schedules
import moto.server
from moto.batch import models, responses
from moto.batch.exceptions import ClientException
from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.serving import make_server

MODE = os.environ.get("STANDIN_JOBS", "none")
KNOBS = {"spot_kill": 0.0, "ce_invalid": None, "faults": 0.0, "deny": None, "deny_code": None, "deny_message": None, "address": None,
         "puts": -1}
PUTS = threading.Condition()
REQUESTS = collections.Counter()
GRACE = 5  # seconds from SIGTERM to SIGKILL; 30 on AWS


# ---- Compute environments and queues

SERVICE_ROLE = "AWSServiceRoleForBatch"


def service_linked_role(backend):
    iam = backend.iam_backend
    found = [role for role in iam.roles.values() if role.name == SERVICE_ROLE]
    if not found:
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "batch.amazonaws.com"}}]}
        path = "/aws-service-role/batch.amazonaws.com/"
        found = [iam.create_role(SERVICE_ROLE, json.dumps(trust), path, None, "", [], "3600", linked_service="batch.amazonaws.com")]
    return found[0].arn


original_create = models.BatchBackend.create_compute_environment


def create_compute_environment(self, compute_environment_name, _type, state, compute_resources, service_role, tags=None):
    role = service_role or service_linked_role(self)
    environment = original_create(self, compute_environment_name, _type, state or "ENABLED", compute_resources, role, tags)
    if KNOBS["ce_invalid"]:
        environment.status_override = ("INVALID", KNOBS["ce_invalid"])
    return environment


def update_compute_environment(self, compute_environment_name, state, compute_resources, service_role):
    environment = self.get_compute_environment(compute_environment_name)
    if environment is None:
        raise ClientException(f"{compute_environment_name} does not exist")
    environment.state = state or environment.state
    environment.compute_resources.update(compute_resources or {})
    return environment.name, environment.arn


original_delete = models.BatchBackend.delete_compute_environment


def delete_compute_environment(self, compute_environment_name):
    environment = self.get_compute_environment(compute_environment_name)
    if environment is None:
        return
    if environment.state == "ENABLED":
        raise ClientException("Cannot delete, state has to be DISABLED")
    if any(environment in queue.environments for queue in self._job_queues.values()):
        raise ClientException("Cannot delete, found existing JobQueue relationship")
    original_delete(self, compute_environment_name)


original_describe = models.BatchBackend.describe_compute_environments


def describe_compute_environments(self, environments=None):
    described = original_describe(self, environments)
    for one in described:
        environment = self.get_compute_environment(one["computeEnvironmentArn"])
        status = getattr(environment, "status_override", None)
        if status:
            one["status"], one["statusReason"] = status
    return described


models.BatchBackend.create_compute_environment = create_compute_environment
models.BatchBackend.update_compute_environment = update_compute_environment
models.BatchBackend.delete_compute_environment = delete_compute_environment
models.BatchBackend.describe_compute_environments = describe_compute_environments

original_create_queue = models.BatchBackend.create_job_queue
original_delete_queue = models.BatchBackend.delete_job_queue


def create_job_queue(self, queue_name, priority, schedule_policy, state, compute_env_order, tags=None):
    return original_create_queue(self, queue_name, priority, schedule_policy, state or "ENABLED", compute_env_order, tags)


def delete_job_queue(self, queue_name):
    queue = self.get_job_queue(queue_name)
    if queue is not None and queue.state == "ENABLED":
        raise ClientException("Cannot delete, state has to be DISABLED")
    original_delete_queue(self, queue_name)


models.BatchBackend.create_job_queue = create_job_queue
models.BatchBackend.delete_job_queue = delete_job_queue


original_definitions = models.BatchBackend.get_job_definitions


def get_job_definitions(self, identifier):
    """Definitions by name, by ARN, and by `name:revision`, which moto doesn't know in this place."""
    named = identifier.rsplit("/")[-1]
    if ":" not in named:
        return original_definitions(self, identifier)
    name, revision = named.rsplit(":", 1)
    found = self.get_job_definition_by_name_revision(name, revision)
    return [found] if found else []


models.BatchBackend.get_job_definitions = get_job_definitions


# ---- Jobs

def properties(job):
    return job.job_definition.container_properties


def merged(job, name, key="name"):
    """The definition's entries of a list, with those of the job laid over them."""
    entries = {entry[key]: entry for entry in properties(job).get(name, [])}
    entries.update({entry[key]: entry for entry in job.container_overrides.get(name, [])})
    return list(entries.values())


def container_property(self, name, default):
    if name in ("environment", "resourceRequirements"):
        return merged(self, name, "name" if name == "environment" else "type")
    return original_container_property(self, name, default)


original_container_property = models.Job._get_container_property
models.Job._get_container_property = container_property

original_describe_job = models.Job.describe


def describe_job(self):
    described = original_describe_job(self)
    container = described.get("container")
    if isinstance(container, dict):
        for key, value in (("exitCode", self.exit_code), ("reason", getattr(self, "exit_reason", None))):
            if value is not None:
                container[key] = value
    if ":" in self.job_id:
        described["arrayProperties"] = {"index": int(self.job_id.rsplit(":")[-1])}
    if self._child_jobs:
        counts = described["arrayProperties"]["statusSummary"]
        ended = counts["SUCCEEDED"] + counts["FAILED"]
        state = "PENDING" if ended < len(self._child_jobs) else "FAILED" if counts["FAILED"] else "SUCCEEDED"
        described["status"] = self.status = state
    return described


models.Job.describe = describe_job


class Retry:
    """A retry strategy; that of SubmitJob goes before the job definition's."""

    def __init__(self, job):
        strategy = getattr(job, "retry_override", None) or job.job_definition.retry_strategy or {}
        self.attempts = int(strategy.get("attempts", 1))
        self.rules = strategy.get("evaluateOnExit", [])

    def again(self, code, status_reason, reason):
        seen = {"onExitCode": "" if code is None else str(code), "onStatusReason": status_reason or "", "onReason": reason or ""}
        for rule in self.rules:
            if all(fnmatch.fnmatchcase(seen[key], rule[key]) for key in seen if key in rule):
                return rule["action"].upper() == "RETRY"
        return True


submitting = threading.local()
original_init = models.Job.__init__
original_submit = responses.BatchResponse.submitjob


def job_init(self, *args, **kwargs):
    original_init(self, *args, **kwargs)
    self.retry_override = getattr(submitting, "retry", None)
    self.exit_reason = None


def submit_job(self):
    submitting.retry = self._get_param("retryStrategy")
    return original_submit(self)


models.Job.__init__ = job_init
responses.BatchResponse.submitjob = submit_job


def run(self):
    try:
        self.status = "SUBMITTED"
        if self.depends_on and not self._wait_for_dependencies():
            return
        self.status = "RUNNABLE"
        while MODE == "none" and not self.stop:
            time.sleep(0.05)
        retry = Retry(self)
        for number in range(1, retry.attempts + 1):
            if self.stop:
                break
            code, status_reason, reason = attempt(self, number)
            self.exit_code, self.exit_reason = code, reason
            self.job_stopped_reason = self.job_stopped_reason or status_reason
            if code == 0 and not self.stop:
                self._mark_stopped(success=True)
                return
            if self.stop or status_reason == TIMED_OUT or number == retry.attempts:
                break
            if not retry.again(code, status_reason, reason):
                break
            self.status, self.job_stopped_reason = "RUNNABLE", None
        self._mark_stopped(success=False)
    except Exception as error:
        self.job_stopped_reason = f"{type(error).__name__}: {error}"
        self._mark_stopped(success=False)


models.Job.run = run
models.Job._stop_attempt = lambda self: None

original_terminate = models.Job.terminate


def terminate(self, reason):
    original_terminate(self, reason)
    # An array ends with all of its jobs.
    for name, job in list(self.all_jobs.items()):
        if name.startswith(f"{self.job_id}:"):
            original_terminate(job, reason)


models.Job.terminate = terminate

ENDED, TIMED_OUT = "Essential container in task exited", "Job attempt duration exceeded timeout"


def variables(job, number):
    definition = job.job_definition
    account, region = definition.backend.account_id, definition._region
    # Where containers are, this machine's own address may be another.
    address = KNOBS["address"].replace("127.0.0.1", os.environ.get("STANDIN_INSIDE", "127.0.0.1"))
    env = {"AWS_ENDPOINT_URL": address, "AWS_REGION": region, "AWS_ACCESS_KEY_ID": "job",
           "AWS_SECRET_ACCESS_KEY": "job", "AWS_BATCH_JOB_ID": job.job_id, "AWS_BATCH_JOB_ATTEMPT": str(number),
           "AWS_BATCH_JQ_NAME": job.job_queue.name}
    for secret in properties(job).get("secrets", []):
        env[secret["name"]] = secret_value(account, region, secret["valueFrom"])
    env.update({entry["name"]: entry["value"] for entry in merged(job, "environment")})
    if ":" in job.job_id:
        parent, index = job.job_id.rsplit(":", 1)
        env["AWS_BATCH_JOB_ARRAY_INDEX"] = index
        env["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.all_jobs[parent].array_properties.get("size", 0))
    return env


def secret_value(account, region, reference):
    parts = reference.split(":")
    arn, key = ":".join(parts[:7]), parts[7] if len(parts) > 7 else ""
    text = secretsmanager_backends[account][region].get_secret_value(arn, None, None)["SecretString"]
    return json.loads(text)[key] if key else text


def attempt(job, number):
    job.status, stream = "STARTING", f"{job.job_definition.name}/default/{uuid.uuid4().hex}"
    record = {"container": {"logStreamName": stream, "networkInterfaces": []}, "startedAt": int(time.time() * 1000)}
    command = job._add_parameters_to_command(container_property(job, "command", []))
    limit = job._get_attempt_duration()
    try:
        started = (Container if MODE == "docker" else Process)(job, command, variables(job, number))
    except Exception as error:
        return ended(job, record, None, "Task failed to start", f"CannotPullContainerError: {str(error)[:200]}")
    job.log_stream_name, job.job_started_at, job.status = stream, datetime.datetime.now(), "RUNNING"
    logs = threading.Thread(target=pump, args=(job, started, stream), daemon=True)
    logs.start()
    spot, begun, why = random.random() < KNOBS["spot_kill"], time.time(), None
    while started.runs():
        past = time.time() - begun
        if why is None and (job.stop or (limit and past > limit)):
            why = "stopped" if job.stop else TIMED_OUT
            threading.Thread(target=started.stop, daemon=True).start()
        if why is None and spot and past > 0.3:
            why = "spot"
            started.kill()
        time.sleep(0.02)
    code, out_of_memory = started.close()
    logs.join(5)
    if why == "spot":
        return ended(job, record, None, f"Host EC2 (instance i-{uuid.uuid4().hex[:17]}) terminated.", None)
    if why:
        return ended(job, record, code, job.job_stopped_reason if why == "stopped" else why, None)
    reason = "OutOfMemoryError: Container killed due to memory usage" if out_of_memory else None
    return ended(job, record, code, ENDED, reason)


def ended(job, record, code, status_reason, reason):
    record.update(stoppedAt=int(time.time() * 1000), statusReason=status_reason)
    record["container"].update({key: value for key, value in (("exitCode", code), ("reason", reason)) if value is not None})
    job.attempts.append(record)
    return code, status_reason, reason


def log_group(job):
    return properties(job).get("logConfiguration", {}).get("options", {}).get("awslogs-group", "/aws/batch/job")


def pump(job, started, stream):
    backend, group = job._log_backend, log_group(job)
    backend.ensure_log_group(group)
    backend.ensure_log_stream(group, stream)
    for line in started.lines():
        now = int(time.time() * 1000)
        backend.put_log_events(group, stream, [{"timestamp": now, "message": line}])


class Process:
    """A job's command as a program of this machine; its image is not looked at."""

    def __init__(self, job, command, env):
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "VDEPLOY_WORKER") if name in os.environ}
        self.child = subprocess.Popen(command, env={**keep, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, start_new_session=True, text=True, errors="replace")

    def lines(self):
        return (line.rstrip("\n") for line in self.child.stdout)

    def runs(self):
        return self.child.poll() is None

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        try:
            os.killpg(self.child.pid, 9)
        except ProcessLookupError:
            pass

    def close(self):
        code = self.child.wait()
        self.kill()
        return (128 - code if code < 0 else code), False


class Container:
    """A job's command in a container of its image, by the Docker Engine that DOCKER_HOST names."""

    def __init__(self, job, command, env):
        import docker
        needs = {entry["type"].upper(): entry["value"] for entry in merged(job, "resourceRequirements", "type")}
        memory = f"{needs.get('MEMORY', '512')}m"
        options = properties(job).get("linuxParameters") or {}
        shared = {"shm_size": f"{options['sharedMemorySize']}m"} if options.get("sharedMemorySize") else {}
        engine, image = docker.from_env(), properties(job)["image"]
        if ".dkr.ecr." in image:
            password = f"{job.job_definition.backend.account_id}-auth-token"
            engine.api.pull(image, auth_config={"username": "AWS", "password": password})
        self.container = engine.containers.run(
            image, command or None, environment=env, detach=True, network_mode="host",
            mem_limit=memory, memswap_limit=memory, init=options.get("initProcessEnabled", False),
            labels={"standin": "batch"}, **shared)

    def lines(self):
        rest = b""
        for chunk in self.container.logs(stream=True, follow=True):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
        if rest:
            yield rest.decode("utf-8", "replace")

    def runs(self):
        self.container.reload()
        return self.container.status in ("created", "running")

    def stop(self):
        self.container.stop(timeout=GRACE)

    def kill(self):
        self.container.kill()

    def close(self):
        code = self.container.wait()["StatusCode"]
        self.container.reload()
        out_of_memory = self.container.attrs["State"]["OOMKilled"]
        self.container.remove(force=True)
        return code, out_of_memory


# ---- The server

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
            said = json.dumps(ask(path, query)).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(said)))])
            return [said]
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


def ask(path, query):
    if path == "/standin/requests":
        return dict(REQUESTS)
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
    logging.getLogger("werkzeug").setLevel("ERROR")
    app = moto.server.DomainDispatcherApplication(moto.server.create_backend_app)
    server = make_server(host, 0, application(app), threaded=True)
    KNOBS["address"] = f"http://{host}:{server.server_port}"
    if "STANDIN_REGISTRY" in os.environ:
        registry.install(os.environ["STANDIN_REGISTRY"])
    if MODE == "process":
        functions.install(functions.process(lambda: KNOBS["address"]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(port_file + ".new", "w") as file:
        file.write(KNOBS["address"])
    os.rename(port_file + ".new", port_file)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
