//! How calls get to workers.
