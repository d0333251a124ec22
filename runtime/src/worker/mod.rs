//! The doors through which an invocation reaches a handler.
