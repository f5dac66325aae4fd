//! HTTP in and out, the streaming proxy with its tee, the container bridge.
