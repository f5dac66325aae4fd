//! Runs inside the container: reaps, forwards signals, serves the bridge.
