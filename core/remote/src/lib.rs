//! Bundles on S3-compatible object storage: read by ranges, written whole or not at all.
//!
//! In: the address of an object or of a store (`s3://BUCKET/KEY`, `s3://BUCKET/PREFIX/`), and the variables that other tools
//! read as well (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`). Out:
//! something that `bundle` reads, and objects. What storage asks for is `object_store`'s; how its requests get there is
//! `wire`'s, with its names, its TLS and its trust.

mod address;
mod error;
mod folder;
mod object;
mod place;
mod transport;
mod upload;
mod windows;

pub use address::Address;
pub use error::RemoteError;
pub use folder::{add, open_store};
pub use object::Object;
pub use upload::{exists, upload};
