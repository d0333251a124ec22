#!/usr/bin/env python3
"""Lists everything that an account has, one line each, with boto3 alone: an observer of what vdeploy
made and of what it left. usage: left.py ENDPOINT REGION"""
import sys

import boto3

endpoint, region = sys.argv[1:3]


def client(service):
    return boto3.client(service, endpoint_url=endpoint, region_name=region, aws_access_key_id="observer",
                        aws_secret_access_key="observer")


def show(kind, names):
    for name in sorted(names):
        print(f"{kind} {name}")


batch, iam = client("batch"), client("iam")
s3 = client("s3")
buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
show("bucket", buckets)
for bucket in buckets:
    show("object", (f"{bucket}/{entry['Key']}" for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])))
show("queue", (queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]))
show("compute", (one["computeEnvironmentName"] for one in batch.describe_compute_environments()["computeEnvironments"]))
show("definition", (f"{one['jobDefinitionName']}:{one['revision']}" for one in
                    batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]))
show("lambda", (one["FunctionName"] for one in client("lambda").list_functions()["Functions"]))
show("role", (role["RoleName"] for role in iam.list_roles()["Roles"] if not role["Path"].startswith("/aws-service-role/")))
show("profile", (one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]))
show("template", (one["LaunchTemplateName"] for one in client("ec2").describe_launch_templates()["LaunchTemplates"]))
show("repository", (one["repositoryName"] for one in client("ecr").describe_repositories()["repositories"]))
show("log_group", (one["logGroupName"] for one in client("logs").describe_log_groups()["logGroups"]))
show("schedule", (one["Name"] for one in client("scheduler").list_schedules()["Schedules"]))
show("secret", (one["Name"] for one in client("secretsmanager").list_secrets()["SecretList"]))
