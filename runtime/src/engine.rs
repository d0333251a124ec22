//! The container engine of this machine: Docker, or Podman behind the same interface.

use std::io;
use std::path::PathBuf;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Seconds after which a request that should be answered at once has failed; streams, such as
/// those of a build, may go on for longer.
const TIMEOUT: u64 = 600;
/// Where Docker listens when nobody says otherwise.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where Podman does for root, and below a user's `XDG_RUNTIME_DIR`.
const PODMAN_SOCKET: &str = "podman/podman.sock";

/// Where a container engine listens: `DOCKER_HOST`, or the usual sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineAddress {
    /// `DOCKER_HOST`, if it is set.
    pub host: Option<String>,
    /// `XDG_RUNTIME_DIR`, if it is set.
    pub runtime_dir: Option<PathBuf>,
}

/// A connection of one's own to an engine, for what bollard can't ask it.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Why there is no container engine to use.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing is there.
    #[error("no container engine listens at `{0}`")]
    Missing(String),
    /// It is there and isn't for this user.
    #[error("this user may not use the container engine at `{0}`")]
    Forbidden(String),
    /// It is there and doesn't answer.
    #[error("the container engine at `{address}` doesn't answer")]
    Silent {
        /// Where.
        address: String,
        /// What came instead.
        #[source]
        source: Box<bollard::errors::Error>,
    },
}

impl EngineError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(_) => "install and start Docker (`sudo apt-get install docker.io`), or \
                 name an engine: `export DOCKER_HOST=unix:///path/to/docker.sock`"
                .into(),
            Self::Forbidden(_) => {
                "join the group `docker` and log in again: `sudo usermod -aG docker $USER`".into()
            }
            Self::Silent { .. } => "see whether it runs: `docker info`".into(),
        }
    }
}

impl EngineAddress {
    /// Connects, and agrees on a version of the interface.
    pub async fn connect(&self) -> Result<Docker, EngineError> {
        let address = self.find();
        let docker = match address.contains("://") && !address.starts_with("unix://") {
            true => Docker::connect_with_http(&address, TIMEOUT, API_DEFAULT_VERSION),
            false => {
                let path = address.trim_start_matches("unix://");
                reachable(path)?;
                Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION)
            }
        };
        let silent = |source| EngineError::Silent { address: address.clone(), source };
        let docker = docker.map_err(|error| silent(Box::new(error)))?;
        docker.negotiate_version().await.map_err(|error| silent(Box::new(error)))
    }

    /// Opens a connection that nothing has been said on.
    pub async fn dial(&self) -> io::Result<Box<dyn Connection>> {
        let address = self.find();
        match address.split_once("://") {
            Some(("unix", path)) => Ok(Box::new(UnixStream::connect(path).await?)),
            Some((_, host)) => Ok(Box::new(TcpStream::connect(host.trim_end_matches('/')).await?)),
            None => Ok(Box::new(UnixStream::connect(address).await?)),
        }
    }

    /// The address that is tried: what was named, else the first socket that is there.
    fn find(&self) -> String {
        if let Some(host) = &self.host {
            return host.clone();
        }
        let podman = self.runtime_dir.iter().map(|folder| folder.join(PODMAN_SOCKET));
        let known = [PathBuf::from(DOCKER_SOCKET)].into_iter().chain(podman);
        let found = known.chain([PathBuf::from("/run").join(PODMAN_SOCKET)]).find(|s| s.exists());
        found.unwrap_or_else(|| DOCKER_SOCKET.into()).display().to_string()
    }
}

/// A socket that something listens at and this user may write to; bollard's own errors don't tell.
fn reachable(path: &str) -> Result<(), EngineError> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(EngineError::Forbidden(path.into()))
        }
        Err(_) => Err(EngineError::Missing(path.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_at_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let host = Some(format!("unix://{}", path.display()));
        let error = EngineAddress { host, runtime_dir: None }.connect().await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Missing(named) if *named == path.display().to_string())
        );
    }

    #[test]
    fn podman_is_found_where_there_is_no_docker() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(PODMAN_SOCKET);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(&socket, "").unwrap();
        let address =
            EngineAddress { host: None, runtime_dir: Some(folder.path().to_owned()) }.find();
        if !std::path::Path::new(DOCKER_SOCKET).exists() {
            assert_eq!(address, socket.display().to_string());
        }
    }
}
