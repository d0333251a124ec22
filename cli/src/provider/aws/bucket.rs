//! S3: the bucket, and the records of volumes in it.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging,
    VersioningConfiguration,
};
use vdeploy_runtime::aws::layout::{EXPIRING, ROOT};
use vdeploy_runtime::storage::{Contents, VolumeRecord};

use super::error::{missing_is_fine, missing_is_none};
use super::session::{Doing, Session};
use super::tags::STORE;
use super::{AwsProvider, CloudError, CloudResult, seen};
use crate::plan::Seen;
use crate::resource::{Resource, Store, Volume};

/// Days that replaced and deleted objects can be brought back.
const UNDO_DAYS: i32 = 7;
/// Days after which an upload that nobody completes is thrown away.
const UPLOAD_DAYS: i32 = 7;

/// As much of an app's state as says whether it has anything.
#[derive(serde::Deserialize)]
struct Remembered {
    records: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

/// What a bucket is to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BucketUse {
    /// It isn't there.
    Missing,
    /// It is there, and may be used.
    Usable,
}

impl Session {
    /// Whether the bucket is there and the account's own.
    pub(crate) async fn look_for_bucket(&self) -> CloudResult<BucketUse> {
        let name = &self.bucket;
        let head = self.s3().head_bucket().bucket(name).send().await;
        let found = missing_is_none(head.doing(|| format!("look at bucket `{name}`")))?;
        match found {
            Some(found) if found.bucket_region().is_some_and(|at| at != self.region) => {
                let at = found.bucket_region().unwrap_or_default();
                Err(CloudError::ElsewhereBucket { bucket: name.clone(), region: at.into() })
            }
            Some(_) => Ok(BucketUse::Usable),
            None if self.own_bucket => Err(CloudError::Missing(format!("bucket `{name}`"))),
            None => Ok(BucketUse::Missing),
        }
    }

    /// Refuses to go on without the bucket.
    pub(crate) async fn require_bucket(&self) -> CloudResult<()> {
        match self.look_for_bucket().await? {
            BucketUse::Usable => Ok(()),
            BucketUse::Missing => Err(CloudError::Missing(format!("bucket `{}`", self.bucket))),
        }
    }

    /// Makes the bucket and puts it as it should be: private, encrypted, versioned, and rid of old
    /// calls.
    pub(crate) async fn put_bucket(&self, bucket: &Store) -> CloudResult<()> {
        let name = &bucket.name;
        let location = (self.region != "us-east-1").then(|| {
            let region = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(region).build()
        });
        let request =
            self.s3().create_bucket().bucket(name).set_create_bucket_configuration(location);
        match request.send().await.doing(|| format!("create bucket `{name}`")) {
            Ok(_) => {}
            Err(error) if error.says("BucketAlreadyOwnedByYou") => {}
            Err(error) if error.says("BucketAlreadyExists") => {
                return Err(CloudError::NotOurs(format!("bucket `{name}`")));
            }
            Err(error) => return Err(error),
        }
        self.set_bucket_access(name).await?;
        self.set_bucket_history(bucket).await?;
        self.set_bucket_tags(name).await
    }

    async fn set_bucket_access(&self, name: &str) -> CloudResult<()> {
        let private = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let request = self.s3().put_public_access_block().bucket(name);
        let sent = request.public_access_block_configuration(private).send().await;
        sent.doing(|| format!("make bucket `{name}` private"))?;
        let default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::Aes256)
            .build()
            .expect("the algorithm is given");
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(default)
            .build();
        let encryption = ServerSideEncryptionConfiguration::builder()
            .rules(rule)
            .build()
            .expect("there is a rule");
        let request = self.s3().put_bucket_encryption().bucket(name);
        let sent = request.server_side_encryption_configuration(encryption).send().await;
        sent.doing(|| format!("encrypt bucket `{name}`")).map(drop)
    }

    async fn set_bucket_history(&self, bucket: &Store) -> CloudResult<()> {
        let name = &bucket.name;
        let versioning =
            VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let request = self.s3().put_bucket_versioning().bucket(name);
        let sent = request.versioning_configuration(versioning).send().await;
        sent.doing(|| format!("version bucket `{name}`"))?;
        let request = self.s3().put_bucket_lifecycle_configuration().bucket(name);
        let sent = request.lifecycle_configuration(lifecycle(bucket)).send().await;
        sent.doing(|| format!("set the lifecycle of bucket `{name}`")).map(drop)
    }

    async fn set_bucket_tags(&self, name: &str) -> CloudResult<()> {
        let tag = Tag::builder().key(STORE.0).value(STORE.1).build().expect("key and value");
        let tagging = Tagging::builder().tag_set(tag).build().expect("there is a tag");
        let sent = self.s3().put_bucket_tagging().bucket(name).tagging(tagging).send().await;
        sent.doing(|| format!("tag bucket `{name}`")).map(drop)
    }

    /// Removes the bucket with all that is in it, if this program made it.
    pub(crate) async fn remove_bucket(&self) -> CloudResult<()> {
        let name = &self.bucket;
        if self.own_bucket || !self.is_made_by_us(name).await? {
            return Ok(());
        }
        self.delete_versions("").await?;
        let sent = self.s3().delete_bucket().bucket(name).send().await;
        missing_is_fine(sent.doing(|| format!("delete bucket `{name}`")))
    }

    async fn is_made_by_us(&self, name: &str) -> CloudResult<bool> {
        let tags = self.s3().get_bucket_tagging().bucket(name).send().await;
        let tags = missing_is_none(tags.doing(|| format!("read tags of bucket `{name}`")))?;
        let tags = tags.map(|tags| tags.tag_set).unwrap_or_default();
        Ok(tags.iter().any(|tag| (tag.key(), tag.value()) == STORE))
    }

    /// Deletes all versions of everything below a prefix.
    pub(super) async fn delete_versions(&self, prefix: &str) -> CloudResult<()> {
        use aws_sdk_s3::types::{Delete, ObjectIdentifier};
        let name = &self.bucket;
        loop {
            let sent = self.s3().list_object_versions().bucket(name).prefix(prefix).send().await;
            let page = missing_is_none(sent.doing(|| format!("list bucket `{name}`")))?;
            let Some(page) = page else { return Ok(()) };
            let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
            let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
            let objects: Vec<_> = versions
                .chain(markers)
                .filter_map(|(key, version)| {
                    let object = ObjectIdentifier::builder().key(key?);
                    object.set_version_id(version.map(str::to_owned)).build().ok()
                })
                .collect();
            if objects.is_empty() {
                return Ok(());
            }
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
            let delete = delete.expect("there are objects");
            let sent = self.s3().delete_objects().bucket(name).delete(delete).send().await;
            sent.doing(|| format!("empty bucket `{name}`"))?;
        }
    }
}

fn lifecycle(bucket: &Store) -> BucketLifecycleConfiguration {
    let rule = |id: String, prefix: &str| {
        let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
        LifecycleRule::builder().id(id).filter(filter).status(ExpirationStatus::Enabled)
    };
    let days = i32::try_from(bucket.call_retention_days).unwrap_or(i32::MAX);
    let expiring = EXPIRING.iter().enumerate().map(|(at, prefix)| {
        let expiration = LifecycleExpiration::builder().days(days).build();
        rule(format!("calls-{at}"), prefix).expiration(expiration).build()
    });
    let old = NoncurrentVersionExpiration::builder().noncurrent_days(UNDO_DAYS).build();
    let uploads =
        AbortIncompleteMultipartUpload::builder().days_after_initiation(UPLOAD_DAYS).build();
    let undo = rule("undo".into(), ROOT)
        .noncurrent_version_expiration(old)
        .abort_incomplete_multipart_upload(uploads)
        .build();
    let rules: Result<Vec<_>, _> = expiring.chain([undo]).collect();
    let rules = rules.expect("every rule has a status");
    let lifecycle = BucketLifecycleConfiguration::builder().set_rules(Some(rules));
    lifecycle.build().expect("there are rules")
}

impl AwsProvider<'_> {
    pub(super) async fn see_bucket(&self, name: &str) -> CloudResult<Option<Seen>> {
        if self.session.look_for_bucket().await? == BucketUse::Missing {
            return Ok(None);
        }
        let days = self.days_of_a_bucket_as_it_should_be(name).await?;
        let resource = days.map(|call_retention_days| {
            Resource::Bucket(Store { name: name.to_owned(), call_retention_days })
        });
        let apps = self.others_in_bucket().await?;
        Ok(Some(Seen { used_by_others: apps, made_by_app: true, ..seen(resource) }))
    }

    /// Days that calls are kept in a bucket that has all its settings; none when it lacks some.
    async fn days_of_a_bucket_as_it_should_be(&self, name: &str) -> CloudResult<Option<u32>> {
        let s3 = self.session.s3();
        let reading = || format!("read the settings of bucket `{name}`");
        let access = s3.get_public_access_block().bucket(name).send().await;
        let access = missing_is_none(access.doing(reading))?;
        let private = access
            .and_then(|access| access.public_access_block_configuration)
            .is_some_and(|access| {
                [
                    access.block_public_acls,
                    access.block_public_policy,
                    access.ignore_public_acls,
                    access.restrict_public_buckets,
                ] == [Some(true); 4]
            });
        let versioning = s3.get_bucket_versioning().bucket(name).send().await.doing(reading)?;
        let versioned = versioning.status() == Some(&BucketVersioningStatus::Enabled);
        let encryption = s3.get_bucket_encryption().bucket(name).send().await;
        let encryption = encryption.doing(reading);
        let encrypted = match encryption {
            Err(error) if error.says("ServerSideEncryptionConfigurationNotFound") => false,
            found => missing_is_none(found)?.is_some(),
        };
        let lifecycle = s3.get_bucket_lifecycle_configuration().bucket(name).send().await;
        let lifecycle = missing_is_none(lifecycle.doing(reading))?;
        let rules = lifecycle.and_then(|found| found.rules).unwrap_or_default();
        let days = rules.iter().find(|rule| rule.id() == Some("calls-0"));
        let days = days.and_then(|rule| rule.expiration()).and_then(LifecycleExpiration::days);
        let complete = rules.len() == EXPIRING.len() + 1
            && rules.iter().all(|rule| rule.status() == &ExpirationStatus::Enabled)
            && rules.iter().any(|rule| rule.abort_incomplete_multipart_upload().is_some());
        let days = days.filter(|_| private && versioned && encrypted && complete);
        Ok(days.and_then(|days| u32::try_from(days).ok()))
    }

    /// Whether other apps, of any environment, keep something in the bucket.
    async fn others_in_bucket(&self) -> CloudResult<bool> {
        let objects = self.session.objects();
        for environment in self.environments().await? {
            if self.others_in(&environment).await? {
                return Ok(true);
            }
            let records = format!("{environment}volume-records/");
            let found = objects.page(&records, None, true).await?;
            if records != self.keys.volume_records() && !found.objects.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The prefixes of all environments.
    async fn environments(&self) -> CloudResult<Vec<String>> {
        let objects = self.session.objects();
        Ok(objects.page(&format!("{ROOT}environments/"), None, true).await?.prefixes)
    }

    /// Whether an app other than this one has resources in an environment. One that is destroyed
    /// leaves its state, which holds none.
    async fn others_in(&self, environment: &str) -> CloudResult<bool> {
        let objects = self.session.objects();
        let states = objects.page(&format!("{environment}state/"), None, true).await?.prefixes;
        for state in states.into_iter().filter(|state| *state != self.keys.state(self.app)) {
            let found = objects.get_json::<Remembered>(&format!("{state}state.json")).await?;
            if found.is_some_and(|(state, _)| !state.records.is_empty()) {
                return Ok(true);
            }
        }
        self.others_deployed_in(environment).await
    }

    /// Whether an app other than this one has functions or images there: its state may be kept on
    /// somebody's machine.
    async fn others_deployed_in(&self, environment: &str) -> CloudResult<bool> {
        let objects = self.session.objects();
        let own = format!("{}{}/", self.keys.apps(), self.app);
        let apps = objects.page(&format!("{environment}apps/"), None, true).await?.prefixes;
        for app in apps.into_iter().filter(|app| *app != own) {
            if !objects.page(&app, None, false).await?.objects.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nobody keeps anything in the bucket: no app, no volume, no deployed function.
    pub(crate) async fn bucket_is_unused(&self) -> CloudResult<bool> {
        if self.session.look_for_bucket().await? == BucketUse::Missing {
            return Ok(false);
        }
        for environment in self.environments().await? {
            let page = self.session.objects().page(&environment, None, true).await?;
            let state = format!("{environment}state/");
            let kept = page.objects.iter().any(|object| object.key != self.keys.lock());
            if kept || self.others_in(&environment).await? {
                return Ok(false);
            }
            for prefix in page.prefixes.iter().filter(|prefix| **prefix != state) {
                // A prefix may be listed of which only deleted versions are left.
                let below = self.session.objects().page(prefix, None, false).await?;
                if !below.objects.is_empty() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Takes out of the bucket what no state is about; the state and the bucket itself go when that
    /// the app is gone has been recorded.
    pub(super) async fn empty_bucket(&self) -> CloudResult<()> {
        for prefix in EXPIRING {
            self.session.delete_versions(prefix).await?;
        }
        Ok(())
    }

    pub(super) async fn see_volume(&self, name: &str) -> CloudResult<Option<Seen>> {
        let objects = self.session.objects();
        let found = missing_is_none(
            objects
                .get_json::<VolumeRecord>(&self.keys.volume_record(name))
                .await
                .map_err(Into::into),
        )?;
        let Some((record, _)) = found.flatten() else { return Ok(None) };
        let files = objects.page(&self.keys.volume(name), None, false).await?;
        Ok(Some(Seen {
            resource: Some(Resource::Volume(Volume { name: name.to_owned() })),
            holds_files: !files.objects.is_empty(),
            made_by_app: record.created_by.as_deref() == Some(self.app),
            used_by_others: false,
        }))
    }

    pub(super) async fn put_volume(&self, name: &str) -> CloudResult<()> {
        let (created_by, created) = (Some(self.app.to_owned()), Some(self.deployment.now));
        let record = VolumeRecord { name: name.to_owned(), created_by, created };
        // Whoever was first made it.
        self.session.objects().put_json_once(&self.keys.volume_record(name), &record).await?;
        Ok(())
    }

    pub(super) async fn take_volume(&self, name: &str) -> CloudResult<()> {
        if self.deployment.contents == Contents::Delete {
            self.session.delete_versions(&self.keys.volume(name)).await?;
        }
        self.session.objects().delete(&[self.keys.volume_record(name)]).await?;
        Ok(())
    }
}
