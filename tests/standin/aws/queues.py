"""Compute environments, queues and job definitions of AWS Batch, where moto differs from what AWS documents."""
import json

from moto.batch import models
from moto.batch.exceptions import ClientException

from knobs import KNOBS

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
