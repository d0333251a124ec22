//! What BuildKit says while it builds: messages of `github.com/moby/buildkit`, `api/services/control`,
//! with the fields that are read here.

/// `StatusResponse`: what has changed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(message, repeated, tag = "1")]
    pub(super) vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    pub(super) logs: Vec<Log>,
}

/// A piece of work, such as one instruction.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Vertex {
    /// What it is known by.
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    /// `[2/9] RUN …`, or `[internal] …` for what no instruction asked for.
    #[prost(string, tag = "3")]
    pub(super) name: String,
    /// It was done before.
    #[prost(bool, tag = "4")]
    pub(super) cached: bool,
    /// When it began.
    #[prost(message, optional, tag = "5")]
    pub(super) started: Option<Timestamp>,
    /// Why it failed.
    #[prost(string, tag = "7")]
    pub(super) error: String,
}

/// `google.protobuf.Timestamp`, of which only counts that it is there.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Timestamp {}

/// What a piece of work prints.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Log {
    /// The digest of its vertex.
    #[prost(string, tag = "1")]
    pub(super) vertex: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) text: Vec<u8>,
}
