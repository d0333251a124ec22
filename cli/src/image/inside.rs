//! Running a command in an image: no network, no capabilities, and no container left.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures::StreamExt;

/// What a command in an image printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) stdout: String,
    /// And why it couldn't be started.
    pub(super) stderr: String,
}

/// Runs `command` in `image`, a name or an id.
pub(super) async fn run(
    docker: &Docker,
    image: &str,
    command: &[&str],
) -> Result<Printed, BollardError> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(command.iter().copied().map(str::to_owned).collect()),
        cmd: Some(Vec::new()),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let id = docker.create_container(None::<CreateContainerOptions>, body).await?.id;
    let printed = printed(docker, &id).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(&id, Some(options)).await?;
    printed
}

async fn printed(docker: &Docker, id: &str) -> Result<Printed, BollardError> {
    match docker.start_container(id, None).await {
        // It is the image that can't be started, not the engine.
        Err(BollardError::DockerResponseServerError { message, .. }) => {
            return Ok(Printed { stderr: message, ..Printed::default() });
        }
        started => started?,
    }
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut logs = docker.logs(id, Some(options));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(piece) = logs.next().await {
        match piece? {
            LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
            piece => stdout.extend_from_slice(&piece.into_bytes()),
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Printed { stdout: text(stdout), stderr: text(stderr) })
}
