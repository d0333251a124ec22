"""Schedules that fire, for the stand-in: moto keeps them, and never calls anything.

What is called is what the schedule says, as AWS documents it: an operation of an SDK with parameters in
PascalCase ("universal target"), or a Lambda function with the input as its event.
"""
import json
import re

import boto3


def fire(address, name):
    """Calls the target of a schedule, with the role that it names."""
    def client(service):
        return boto3.client(service, endpoint_url=address, region_name="us-east-1", aws_access_key_id="scheduler",
                            aws_secret_access_key="scheduler")

    schedule = client("scheduler").get_schedule(Name=name)
    target = schedule["Target"]
    trust = client("iam").get_role(RoleName=target["RoleArn"].rsplit("/")[-1])["Role"]["AssumeRolePolicyDocument"]
    if "scheduler.amazonaws.com" not in json.dumps(trust):
        return {"error": "the role doesn't trust the scheduler"}
    universal = re.fullmatch(r"arn:aws:scheduler:::aws-sdk:(\w+):(\w+)", target["Arn"])
    if not universal:
        *_, function, alias = target["Arn"].split(":")
        answer = client("lambda").invoke(FunctionName=function, Qualifier=alias, InvocationType="Event", Payload=target.get("Input", "{}"))
        return {"status": answer["StatusCode"]}
    service, operation = universal.groups()
    parameters = {key[0].lower() + key[1:]: value for key, value in json.loads(target["Input"]).items() if key[0].isupper()}
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    return {"job": getattr(client(service), method)(**parameters)["jobId"]}
