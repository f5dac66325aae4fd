//! Docker, processes, fingerprints.
