"""Looks at the stand-in's account, and changes it, with boto3 alone: an observer of what vdeploy made."""
import functools
import io
import json

import boto3

REGION = "us-east-1"


def client(address, service):
    return boto3.client(service, endpoint_url=address, region_name=REGION, aws_access_key_id="observer",
                        aws_secret_access_key="observer")


def run(address, lines):
    """Runs lines of Python that find clients in `client("service")`; what they print."""
    printed = io.StringIO()
    place = {"boto3": boto3, "json": json, "client": functools.partial(client, address),
             "print": functools.partial(print, file=printed)}
    exec(lines, place)
    return printed.getvalue()


def everything(address):
    """All that the account has, one line each."""
    lines = []

    def show(kind, names):
        lines.extend(f"{kind} {name}" for name in sorted(names))

    batch, iam, s3 = (client(address, service) for service in ("batch", "iam", "s3"))
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    show("bucket", buckets)
    for bucket in buckets:
        show("object", (f"{bucket}/{entry['Key']}" for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])))
    show("queue", (queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]))
    show("compute", (one["computeEnvironmentName"] for one in batch.describe_compute_environments()["computeEnvironments"]))
    show("definition", (f"{one['jobDefinitionName']}:{one['revision']}" for one in
                        batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]))
    show("lambda", (one["FunctionName"] for one in client(address, "lambda").list_functions()["Functions"]))
    show("role", (role["RoleName"] for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")))
    show("profile", (one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]))
    show("template", (one["LaunchTemplateName"] for one in client(address, "ec2").describe_launch_templates()["LaunchTemplates"]))
    show("repository", (one["repositoryName"] for one in client(address, "ecr").describe_repositories()["repositories"]))
    show("log_group", (one["logGroupName"] for one in client(address, "logs").describe_log_groups()["logGroups"]))
    show("schedule", (one["Name"] for one in client(address, "scheduler").list_schedules()["Schedules"]))
    show("secret", (one["Name"] for one in client(address, "secretsmanager").list_secrets()["SecretList"]))
    return "".join(f"{line}\n" for line in lines)
