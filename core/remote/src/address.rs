//! Addresses on object storage: `s3://BUCKET/KEY` of an object, `s3://BUCKET/PREFIX/` of a store.

use std::fmt;

use bundle::{EXTENSION, STORE_MARKER, STORE_SEGMENTS};
use exchange::Digest;

use crate::RemoteError;

/// The scheme that addresses begin with.
const SCHEME: &str = "s3://";

/// A bucket and a key, or the prefix of many keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// The object's key, without a slash before it; of a store what its keys begin with, a slash after it or nothing.
    pub key: String,
}

impl Address {
    /// The address that `text` is; `None` where it is none, but a path.
    ///
    /// # Errors
    /// `NoAddress` where it begins like one and has no bucket.
    pub fn of(text: &str) -> Result<Option<Self>, RemoteError> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return Ok(None) };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(RemoteError::NoAddress { text: text.to_owned(), what: "it names no bucket" });
        }
        Ok(Some(Self { bucket: bucket.to_owned(), key: key.to_owned() }))
    }

    /// True for the address of a store: a bucket, or a prefix with a slash at its end.
    pub fn is_store(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// What makes this prefix a store, as a file of that name does with a folder.
    pub(crate) fn marker(&self) -> Self {
        self.with(&format!("{}{STORE_MARKER}", self.key))
    }

    /// What the keys of this store's bundles begin with.
    pub(crate) fn segments(&self) -> Self {
        self.with(&format!("{}{STORE_SEGMENTS}/", self.key))
    }

    /// Where the bundle with this digest lies in this store.
    pub(crate) fn segment(&self, digest: &Digest) -> Self {
        self.with(&format!("{}{STORE_SEGMENTS}/{digest}.{EXTENSION}", self.key))
    }

    /// Another key of the same bucket.
    pub(crate) fn with(&self, key: &str) -> Self {
        Self { bucket: self.bucket.clone(), key: key.to_owned() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bucket_and_a_key_and_a_path_is_none() {
        let address = Address::of("s3://cases/a/b.retake").unwrap().unwrap();
        assert_eq!((&address.bucket[..], &address.key[..]), ("cases", "a/b.retake"));
        assert_eq!(address.to_string(), "s3://cases/a/b.retake");
        assert!(!address.is_store());
        assert_eq!(Address::of("cases/a.retake").unwrap(), None);
        for wrong in ["s3://", "s3:///a"] {
            assert!(Address::of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_store_is_a_bucket_or_a_prefix_that_ends_in_a_slash_and_has_its_bundles_below() {
        for (text, below) in [("s3://cases", ""), ("s3://cases/", ""), ("s3://cases/team/a/", "team/a/")] {
            let address = Address::of(text).unwrap().unwrap();
            assert!(address.is_store(), "{text}");
            assert_eq!(address.marker().key, format!("{below}retake-store"));
            let segment = format!("{below}segments/{}.retake", "00".repeat(32));
            assert_eq!(address.segment(&Digest([0; 32])).key, segment);
        }
    }
}
