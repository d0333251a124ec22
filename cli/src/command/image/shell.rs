//! `vdeploy image shell`.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
    ResizeContainerTTYOptionsBuilder,
};
use futures::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::error::{CliError, Exit, Result};
use crate::settings::Settings;

/// Look around in an image, or run a command in it
///
/// Starts a container that is gone afterwards, with no network and none of this machine's files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An image of the manifest
    #[arg(value_name = "NAME")]
    name: String,
    /// The command [default: a shell]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    let docker = super::docker(settings).await?;
    let job = super::built(settings, &docker, &args.name).await?;
    let command = match args.command.as_slice() {
        [] => vec!["/bin/sh".to_owned()],
        words => words.to_vec(),
    };
    let terminal = settings.interactive && args.command.is_empty();
    let body = ContainerCreateBody {
        image: Some(job.reference),
        entrypoint: Some(command),
        cmd: Some(Vec::new()),
        tty: Some(terminal),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            init: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let created = docker.create_container(None::<CreateContainerOptions>, body).await;
    let id = created.map_err(super::engine_failed)?.id;
    let ended = attached(&docker, &id, terminal).await;
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(&id, Some(options)).await.map_err(super::engine_failed)?;
    match ended? {
        0 => Ok(Exit::Ok),
        code => Err(CliError::failed(format!("the command ended with status {code}"))),
    }
}

/// Runs the container with this terminal, or this pipe, as its own; its exit status.
async fn attached(docker: &bollard::Docker, id: &str, terminal: bool) -> Result<i64> {
    let options = AttachContainerOptionsBuilder::default()
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .stream(true)
        .build();
    let attached = docker.attach_container(id, Some(options)).await;
    let bollard::container::AttachContainerResults { mut output, mut input } =
        attached.map_err(super::engine_failed)?;
    docker.start_container(id, None).await.map_err(super::engine_failed)?;
    let raw = if terminal { Some(Raw::enter()?) } else { None };
    if terminal && let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout()) {
        let (w, h) = (i32::from(size.ws_col), i32::from(size.ws_row));
        let options = ResizeContainerTTYOptionsBuilder::default().w(w).h(h).build();
        // A terminal of another size is still one.
        let _ = docker.resize_container_tty(id, options).await;
    }
    let typed = tokio::spawn(async move {
        // The container may end before all is typed.
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut input).await;
        let _ = input.shutdown().await;
    });
    let mut out = tokio::io::stdout();
    while let Some(Ok(piece)) = output.next().await {
        out.write_all(&piece.into_bytes()).await?;
        out.flush().await?;
    }
    typed.abort();
    drop(raw);
    let found = docker.inspect_container(id, None).await.map_err(super::engine_failed)?;
    Ok(found.state.and_then(|state| state.exit_code).unwrap_or(0))
}

/// The terminal as it was, to be put back.
struct Raw(rustix::termios::Termios);

impl Raw {
    /// Hands every key to the container.
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Now, &raw)
            .map_err(std::io::Error::from)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let now = rustix::termios::OptionalActions::Now;
        let _ = rustix::termios::tcsetattr(std::io::stdin(), now, &self.0);
    }
}
