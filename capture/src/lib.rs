//! The recording policy on top of the proxy: what to keep, queue, session.
