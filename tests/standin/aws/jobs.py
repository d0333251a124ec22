"""Jobs of AWS Batch that run, as programs of this machine or in containers: moto runs none without Docker."""
import datetime
import fnmatch
import json
import os
import random
import subprocess
import threading
import time
import uuid

from moto.batch import models, responses
from moto.secretsmanager.models import secretsmanager_backends

from knobs import KNOBS

GRACE = 5  # seconds from SIGTERM to SIGKILL; 30 on AWS


def mode():
    """How jobs run: `none`, `process` or `docker`."""
    return os.environ.get("STANDIN_JOBS", "none")


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
        while mode() == "none" and not self.stop:
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
        started = (Container if mode() == "docker" else Process)(job, command, variables(job, number))
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
