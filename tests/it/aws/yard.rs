//! An account with a registry, and an engine that builds for it.

use std::ffi::OsStr;
use std::process::Command;

use super::standin::{Aws, discreet};
use crate::env::{Ran, TestEnv, ran, repository};
use crate::examples::stripped;

/// Where the stand-in's registry is, seen from the Docker daemon of tests.
pub const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// An account with a registry, and an engine that pushes to it.
pub struct Yard {
    pub env: TestEnv,
    pub aws: Aws,
    pub engine: String,
    app: &'static str,
}

impl Yard {
    /// One for `app`, whose name no other test has: they share the registry.
    pub fn new(app: &'static str) -> Option<Yard> {
        let engine = super::calls::docker()?;
        let env = TestEnv::new();
        let registry = repository().join("target/standin/registry-80");
        let [jobs, host, inside] = super::calls::contained(OsStr::new(&engine));
        let registry = ("STANDIN_REGISTRY", registry.as_os_str());
        let aws = Aws::start_with(&env, &[jobs, host, inside, registry])?;
        Some(Yard { env, aws, engine, app })
    }

    /// Writes the manifest of the app.
    pub fn manifest(&self, text: &str) {
        self.env.write("vdeploy.toml", format!("[app]\nname = \"{}\"\n{text}", self.app));
    }

    /// A `vdeploy` command, where there is no engine.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.aws.command(&self.env, line);
        command.env("VDEPLOY_WORKER", stripped("vdeploy-runtime"));
        command
    }

    /// Runs `vdeploy` where there is none, with words split at spaces.
    #[track_caller]
    pub fn alone(&self, line: &str) -> Ran {
        discreet(self.command(line).output().unwrap())
    }

    /// Runs `vdeploy` where there is one.
    #[track_caller]
    pub fn vdeploy(&self, line: &str) -> Ran {
        discreet(self.command(line).env("DOCKER_HOST", &self.engine).output().unwrap())
    }

    /// Runs `docker` with words split at spaces.
    pub fn docker(&self, line: &str) -> Ran {
        let mut docker = Command::new("docker");
        docker.args(line.split_whitespace()).env("DOCKER_HOST", &self.engine);
        ran(docker.output().unwrap())
    }

    /// The engine's names of images that were built for the app.
    pub fn built(&self) -> Vec<String> {
        let filter = format!("--filter=reference=vdeploy/{}-*", self.app);
        let listed =
            self.docker(&format!("images {filter} --format={{{{.Repository}}}}:{{{{.Tag}}}}"));
        listed.exits(0).stdout.lines().map(str::to_owned).collect()
    }

    /// The images that job definitions and Lambda functions name.
    pub fn named(&self) -> Vec<String> {
        let named = self.aws.boto3(
            "for one in client('batch').describe_job_definitions(status='ACTIVE')['jobDefinitions']:\n    \
                 print(one['containerProperties']['image'])\n\
             for one in client('lambda').list_functions()['Functions']:\n    \
                 print(client('lambda').get_function(FunctionName=one['FunctionName'])['Code']['ImageUri'])\n",
        );
        named.lines().map(str::to_owned).collect()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for image in self.built() {
            self.docker(&format!("rmi --force {image}"));
        }
    }
}
