"""Images of ECR, for the stand-in: moto knows repositories, and what is in them is what was pushed to the
registry that tests/standin/docker serves on port 80, whose files are read here.
"""
import pathlib
import shutil

from moto.ecr.exceptions import ImageNotFoundException
from moto.ecr.models import ECRBackend, Image


def install(root):
    """Has images be those that the registry keeps below `root`."""
    repositories = pathlib.Path(root) / "docker/registry/v2/repositories"
    usual_create, usual_delete = ECRBackend.create_repository, ECRBackend.delete_repository

    def forget(repository_name):
        shutil.rmtree(repositories / repository_name, ignore_errors=True)

    def create_repository(self, repository_name, *args, **kwargs):
        created = usual_create(self, repository_name, *args, **kwargs)
        forget(repository_name)
        return created

    def describe_images(self, repository_name, registry_id=None, image_ids=None):
        repository = self._get_repository(repository_name, registry_id)
        tags = repositories / repository_name / "_manifests/tags"
        kept = [tag.name for tag in tags.iterdir()] if tags.is_dir() else []
        found = []
        for asked in image_ids or [{"imageTag": tag} for tag in kept]:
            if asked.get("imageTag") not in kept:
                raise ImageNotFoundException(image_id=str(asked), repository_name=repository_name, registry_id=repository.registry_id)
            digest = (tags / asked["imageTag"] / "current/link").read_text()
            found.append(Image(self.account_id, asked["imageTag"], "{}", repository_name, digest=digest))
        return found

    def delete_repository(self, repository_name, registry_id=None, force=False):
        deleted = usual_delete(self, repository_name, registry_id, force)
        forget(repository_name)
        return deleted

    ECRBackend.create_repository = create_repository
    ECRBackend.describe_images = describe_images
    ECRBackend.delete_repository = delete_repository
