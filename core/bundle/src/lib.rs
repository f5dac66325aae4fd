//! The .retake file format and the store.
