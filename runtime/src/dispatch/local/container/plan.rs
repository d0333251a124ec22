//! What a container for a worker is asked for: what it may see, and how much it may use.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use serde_json::Value;

use super::LABEL_HOME;
use crate::engine::EngineAddress;

/// Processes that one container may have.
const PIDS: i64 = 4096;
/// What `/tmp` holds beside the scratch folder.
const TMP: &str = "rw,nosuid,nodev,mode=1777,size=268435456";
/// The function that a container serves.
const LABEL_FUNCTION: &str = "dev.vdeploy.function";

/// What is needed to start a container for a worker.
#[derive(Clone, Debug)]
pub(crate) struct ContainerPlan {
    /// The engine.
    pub(crate) engine: EngineAddress,
    /// The image.
    pub(crate) image: String,
    /// The root of the local target, for those who look for what was left behind.
    pub(crate) home: PathBuf,
    /// The function, `app/name`.
    pub(crate) function: String,
    /// The folder that both sides see; its name is the container's.
    pub(crate) room: PathBuf,
    /// The schema by which files are found in arguments.
    pub(crate) schema: Option<Value>,
    /// Folders of this machine, by where they are in the container.
    pub(crate) mounts: Vec<Bind>,
    /// `uid:gid` of whoever runs calls.
    pub(crate) user: String,
    /// CPU cores.
    pub(crate) cpu: f64,
    /// Bytes of memory, if there is a limit.
    pub(crate) memory: Option<u64>,
    /// Where the scratch folder is, and its size in bytes, if it has one of its own.
    pub(crate) scratch: Option<(PathBuf, u64)>,
    /// It gets a GPU.
    pub(crate) gpu: bool,
    /// It reaches the network.
    pub(crate) network: bool,
}

/// A folder of this machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

impl ContainerPlan {
    /// What the engine is asked for.
    pub(super) fn body(
        &self,
        environment: Vec<String>,
        command: Vec<String>,
    ) -> ContainerCreateBody {
        let labels = [
            (LABEL_HOME, self.home.display().to_string()),
            (LABEL_FUNCTION, self.function.clone()),
        ];
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(command),
            cmd: Some(Vec::new()),
            env: Some(environment),
            user: Some(self.user.clone()),
            working_dir: Some("/tmp".into()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            host_config: Some(self.limits()),
            ..Default::default()
        }
    }

    fn limits(&self) -> HostConfig {
        let memory = self.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        let gpu = DeviceRequest {
            count: Some(1),
            capabilities: Some(vec![
                ["gpu", "compute", "video", "utility"].map(str::to_owned).to_vec(),
            ]),
            ..Default::default()
        };
        let log = HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([("max-size".into(), "1m".into())])),
        };
        HostConfig {
            mounts: Some(self.binds().collect()),
            tmpfs: Some(self.tmpfs()),
            nano_cpus: Some((self.cpu * 1e9) as i64),
            memory,
            // Else a call over its limit fills the machine's swap.
            memory_swap: memory,
            pids_limit: Some(PIDS),
            device_requests: self.gpu.then(|| vec![gpu]),
            network_mode: (!self.network).then(|| "none".into()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            init: Some(true),
            log_config: Some(log),
            ..Default::default()
        }
    }

    fn binds(&self) -> impl Iterator<Item = Mount> {
        let room = Bind { source: self.room.clone(), target: self.room.clone(), read_only: false };
        std::iter::once(room).chain(self.mounts.iter().cloned()).map(|bind| Mount {
            source: Some(bind.source.display().to_string()),
            target: Some(bind.target.display().to_string()),
            read_only: Some(bind.read_only),
            typ: Some(MountType::BIND),
            ..Default::default()
        })
    }

    fn tmpfs(&self) -> HashMap<String, String> {
        let scratch = self.scratch.iter().map(|(path, bytes)| {
            let options = format!("rw,nosuid,nodev,mode=1777,size={bytes}");
            (path.display().to_string(), options)
        });
        [("/tmp".to_owned(), TMP.to_owned())].into_iter().chain(scratch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> ContainerPlan {
        ContainerPlan {
            engine: EngineAddress::default(),
            image: "vdeploy/demo-cpu:1".into(),
            home: "/home/ada/.vdeploy".into(),
            function: "demo/blur".into(),
            room: "/home/ada/.vdeploy/containers/w-1".into(),
            schema: None,
            mounts: vec![Bind {
                source: "/v/footage".into(),
                target: "/videos".into(),
                read_only: false,
            }],
            user: "1000:1000".into(),
            cpu: 1.5,
            memory: Some(1 << 30),
            scratch: Some(("/scratch".into(), 1 << 20)),
            gpu: false,
            network: false,
        }
    }

    #[test]
    fn a_container_gets_nothing_that_it_was_not_given() {
        let body = plan().body(vec!["A=1".into()], vec!["run".into()]);
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.cap_drop, Some(vec!["ALL".into()]));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".into()]));
        assert_eq!((host.nano_cpus, host.memory), (Some(1_500_000_000), Some(1 << 30)));
        assert_eq!((host.privileged, host.device_requests), (None, None));
        let targets: Vec<_> = host.mounts.unwrap().into_iter().map(|m| m.target.unwrap()).collect();
        assert_eq!(targets, ["/home/ada/.vdeploy/containers/w-1", "/videos"]);
        assert!(host.tmpfs.unwrap()["/scratch"].ends_with("size=1048576"));
        assert_eq!(body.user.as_deref(), Some("1000:1000"));
    }
}
