//! What can go wrong with an object, with what to do next.

use std::path::PathBuf;

use crate::Address;

/// Characters of what the storage said that are shown. A choice.
const SAID_CHARS_MAX: usize = 600;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// A text begins like an address and is none.
    #[error("`{text}` is no address of an object: {what}")]
    NoAddress {
        /// The text.
        text: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There are no credentials.
    #[error("there are no credentials for `{address}`")]
    NoCredentials {
        /// The object.
        address: Address,
    },
    /// The endpoint would get the credentials' signatures and the content in the clear.
    #[error("the endpoint for `{address}` is `{endpoint}`, which is neither https nor this machine")]
    InTheClear {
        /// The object.
        address: Address,
        /// As the variable says.
        endpoint: String,
    },
    /// The settings for the storage are wrong.
    #[error("the storage of `{address}` cannot be set up")]
    Settings {
        /// The object.
        address: Address,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// There is no such object, or no such bucket.
    #[error("there is no `{address}`")]
    NotFound {
        /// The object.
        address: Address,
        /// In the storage's words.
        #[source]
        source: Cause,
    },
    /// There is no store at this prefix.
    #[error("there is no store at `{address}`")]
    NoStore {
        /// The prefix.
        address: Address,
    },
    /// The storage refuses these credentials.
    #[error("`{address}` is refused: the credentials are wrong, or do not go as far")]
    Refused {
        /// The object.
        address: Address,
        /// In the storage's words.
        #[source]
        source: Cause,
    },
    /// The object is another one than when it was opened.
    #[error("`{address}` was replaced while it was read")]
    Replaced {
        /// The object.
        address: Address,
    },
    /// The storage cannot be reached, or fails.
    #[error("`{address}` cannot be reached")]
    Storage {
        /// The object.
        address: Address,
        /// In the storage's words.
        #[source]
        source: Cause,
    },
    /// The file that is to become the object cannot be read.
    #[error("`{path}` cannot be read while it is sent to `{address}`")]
    Local {
        /// The file.
        path: PathBuf,
        /// The object.
        address: Address,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl RemoteError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoAddress { .. } => Some("write it as `s3://BUCKET/KEY`, or `s3://BUCKET/PREFIX/` for a store"),
            Self::NoCredentials { .. } => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN where they are temporary; \
                 AWS_SKIP_SIGNATURE=true reads what is public",
            ),
            Self::InTheClear { .. } => Some("use https, or allow it with AWS_ALLOW_HTTP=true"),
            Self::Settings { .. } => Some("look at the variables that begin with AWS_"),
            Self::NotFound { .. } => Some("check bucket and key, AWS_REGION and AWS_ENDPOINT_URL"),
            Self::NoStore { .. } => Some(
                "`retake export … -o s3://BUCKET/PREFIX/` makes one; the address of a bundle has no slash at its end",
            ),
            Self::Refused { .. } => Some("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and the clock"),
            Self::Replaced { .. } => Some("start again: what was read before is of the object as it was"),
            Self::Storage { .. } => Some("check AWS_ENDPOINT_URL, and whether the storage answers"),
            Self::Local { .. } => None,
        }
    }

    /// What the storage said about this object.
    pub(crate) fn of(address: &Address, error: object_store::Error) -> Self {
        use object_store::Error;
        let address = address.clone();
        match error {
            Error::NotFound { source, .. } => Self::NotFound { address, source: said(&*source) },
            Error::PermissionDenied { source, .. } | Error::Unauthenticated { source, .. } => {
                Self::Refused { address, source: said(&*source) }
            }
            Error::Precondition { .. } => Self::Replaced { address },
            error => Self::Storage { address, source: said(&error) },
        }
    }
}

/// What the storage said, in one line that does nothing to a terminal.
fn said(error: &dyn std::error::Error) -> Cause {
    let words = error.to_string();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|char| !char.is_control()).take(SAID_CHARS_MAX).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_storage_says_is_one_line_without_controls_and_ends() {
        let wild = format!("<Error>\n  <Message>\u{1b}[2Jgone</Message>{}", "x".repeat(1 << 20));
        let said = said(&*Cause::from(wild)).to_string();
        assert!(said.starts_with("<Error> <Message>[2Jgone</Message>xxx"), "{}", &said[..60]);
        assert_eq!(said.len(), SAID_CHARS_MAX);
    }
}
