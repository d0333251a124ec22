//! ECR: one repository per image.

use aws_sdk_ecr::types::{ImageTagMutability, Tag};

use super::error::{missing_is_fine, missing_is_none};
use super::session::Doing;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{Repository, Resource};

impl AwsProvider<'_> {
    pub(super) async fn see_repository(&self, image: &str) -> CloudResult<Option<Seen>> {
        let name = self.names.repository(image);
        let request = self.session.ecr().describe_repositories().repository_names(&name);
        let sent = request.send().await.doing(|| format!("look at repository `{name}`"));
        let found = missing_is_none(sent)?.and_then(|found| found.repositories?.pop());
        Ok(found.map(|found| {
            let as_made = found.image_tag_mutability() == Some(&ImageTagMutability::Immutable);
            let repository = Repository { image: image.to_owned(), name };
            seen(as_made.then_some(Resource::Repository(repository)))
        }))
    }

    pub(super) async fn put_repository(&self, repository: &Repository) -> CloudResult<()> {
        let (ecr, name) = (self.session.ecr(), &repository.name);
        let tags = self.tags(&Resource::Repository(repository.clone()).id());
        let list: Result<Vec<_>, _> =
            tags.pairs().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let request = ecr.create_repository().repository_name(name).set_tags(list.ok());
        let request = request.image_tag_mutability(ImageTagMutability::Immutable);
        match request.send().await.doing(|| format!("create repository `{name}`")) {
            Ok(_) => return Ok(()),
            Err(error) if error.exists() => {}
            Err(error) => return Err(error),
        }
        let found = ecr.list_tags_for_resource().resource_arn(self.repository_arn(name));
        let found = found.send().await.doing(|| format!("read tags of repository `{name}`"))?;
        if !tags.own(found.tags().iter().map(|tag| (tag.key(), tag.value()))) {
            return Err(CloudError::NotOurs(format!("repository `{name}`")));
        }
        let request = ecr.put_image_tag_mutability().repository_name(name);
        let request = request.image_tag_mutability(ImageTagMutability::Immutable);
        request.send().await.doing(|| format!("keep tags of repository `{name}`")).map(drop)
    }

    fn repository_arn(&self, name: &str) -> String {
        self.session.arn("ecr", &format!("repository/{name}"))
    }

    pub(super) async fn take_repository(&self, repository: &Repository) -> CloudResult<()> {
        let name = &repository.name;
        let request = self.session.ecr().delete_repository().repository_name(name).force(true);
        missing_is_fine(request.send().await.doing(|| format!("delete repository `{name}`")))
    }
}
