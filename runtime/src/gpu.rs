//! What this machine can really do, proven by encoding a frame.
