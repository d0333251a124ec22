//! Functions that were deployed to an account, and a program that calls them.

use std::fmt::Write as _;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use vdeploy_runtime::aws::layout::default_bucket;
use vdeploy_runtime::client::Client;
use vdeploy_runtime::function::Entry;

use super::standin::{ACCOUNT, Aws, REGION};
use crate::env::TestEnv;

/// A stand-in with the app `demo`.
pub struct Deployed {
    aws: Aws,
}

impl Deployed {
    /// Deploys functions, each with what it runs and how often it is tried again; none where there is
    /// no stand-in.
    pub fn start(env: &TestEnv, functions: &[(&str, Entry, u32)]) -> Option<Self> {
        let aws = Aws::serving(env)?;
        let mut manifest =
            String::from("[app]\nname = \"demo\"\n[image.own]\nuri = \"registry.example/own:1\"\n");
        for (name, entry, retries) in functions {
            let Entry::Command { argv } = entry else { panic!("{name} isn't a program") };
            write!(
                manifest,
                "[function.{name}]\ncommand = {argv:?}\nimage = \"own\"\nengine = \"batch\"\n\
                 retries = {{ max = {retries}, initial_delay = \"10ms\" }}\n"
            )
            .unwrap();
        }
        env.write("vdeploy.toml", manifest);
        aws.vdeploy(env, "deploy -y").exits(0);
        Some(Deployed { aws })
    }

    /// A client of it, in this process.
    pub fn client(&self) -> Client {
        let variables = self.aws.variables();
        let value = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).expect("it is set").1.to_owned()
        };
        let (id, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
        let credentials = Credentials::new(id, secret, None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(value("AWS_ENDPOINT_URL"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let aws = vdeploy_runtime::aws::Aws::of(config);
        Client::on_aws(&aws, &default_bucket(ACCOUNT, REGION), "main")
    }
}
