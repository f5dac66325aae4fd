//! One renderer of every result.
