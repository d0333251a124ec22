"""Roles of IAM, where moto differs from what AWS documents: a role that isn't in a profile can't be taken out
of it, which moto answers by failing."""
from moto.iam.exceptions import NotFoundException
from moto.iam.models import IAMBackend

usual_remove = IAMBackend.remove_role_from_instance_profile


def remove_role_from_instance_profile(self, profile_name, role_name):
    if self.get_role(role_name) not in self.get_instance_profile(profile_name).roles:
        raise NotFoundException(f"Instance Profile {profile_name} does not contain role {role_name}.")
    return usual_remove(self, profile_name, role_name)


IAMBackend.remove_role_from_instance_profile = remove_role_from_instance_profile
