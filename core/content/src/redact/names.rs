//! Names whose values are secrets.

/// Header fields that carry credentials, in lower case.
pub(crate) const CREDENTIAL_HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
];

/// Words of a header's name that make it one, such as `X-Auth-Token` or `X-Amz-Security-Token`.
const CREDENTIAL_WORDS: &[&str] =
    &["APIKEY", "AUTHORIZATION", "CREDENTIAL", "CREDENTIALS", "PASSWORD", "PASSWD", "SECRET", "TOKEN"];

/// In lower case, parts of all of these words and of `key`.
const CREDENTIAL_HINTS: &[&str] = &["auth", "credential", "key", "passw", "secret", "token"];

/// How the names of the CORS protocol begin (Fetch standard, section 3.3), in lower case: `Access-Control-Allow-Credentials`
/// says `true`, and never a credential.
const CORS_PREFIX: &str = "access-control-";

/// Words before `KEY` that make a header's name one, such as `Ocp-Apim-Subscription-Key`; not `Idempotency-Key`.
const CREDENTIAL_KEY_WORDS: &[&str] = &["ACCESS", "API", "AUTH", "FUNCTIONS", "MASTER", "PRIVATE", "SUBSCRIPTION"];

/// Keys of queries whose values are secrets, in lower case.
const QUERY_KEYS: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "auth_token",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "jwt",
    "key",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "session_token",
    "sig",
    "signature",
    "subscription-key",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
    "x-goog-credential",
    "x-goog-signature",
];

/// Words that make the name of a variable, option or member a secret's, wherever they stand in it.
const SECRET_WORDS: &[&str] = &[
    "APIKEY",
    "AUTHORIZATION",
    "BEARER",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "JWT",
    "KEY",
    "KEYS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORDS",
    "SECRET",
    "SECRETS",
    "TOKEN",
];

/// Words that do so only as the last one: `BASIC_AUTH`, but not `AUTH_ENABLED`; `DB_PASS`, but not `PASS_THROUGH`.
const SECRET_LAST_WORDS: &[&str] = &["AUTH", "COOKIE", "PASS", "PAT", "PWD"];

/// Last words by which a name speaks about a secret, or about tokens of text, rather than giving one.
const INNOCENT_LAST_WORDS: &[&str] = &[
    "ALGORITHM",
    "BUDGET",
    "COUNT",
    "DIR",
    "DISABLED",
    "ENABLED",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "LEN",
    "LENGTH",
    "LIMIT",
    "NAME",
    "PATH",
    "PREFIX",
    "REMAINING",
    "RESET",
    "SEPARATOR",
    "SIZE",
    "SUFFIX",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "USAGE",
];

/// Words before `TOKEN` by which it is one of a tokenizer.
const TEXT_TOKEN_WORDS: &[&str] =
    &["BOS", "CLS", "EOS", "MASK", "MAX", "MIN", "NUM", "PAD", "PER", "SEP", "STOP", "UNK"];

/// Whole names that only look like a secret's: working folders, and the public key's name in Python's official images.
const INNOCENT_NAMES: &[&str] = &["GPG_KEY", "OLDPWD", "PWD"];

/// True for the name of a header field that carries a credential, whatever its case: those that are known, and any with
/// a word such as `token`, `secret` or `password`, or one such as `api` before `key`.
pub fn is_credential_header(name: &str) -> bool {
    if CREDENTIAL_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return true;
    }
    // Every head's every name comes by here: most are dismissed before they are taken apart.
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(CORS_PREFIX) || !CREDENTIAL_HINTS.iter().any(|hint| lower.contains(hint)) {
        return false;
    }
    let words = words(name);
    let is_credential_word = |word: &String| CREDENTIAL_WORDS.contains(&word.as_str());
    let is_credential_key = |pair: &[String]| pair[1] == "KEY" && CREDENTIAL_KEY_WORDS.contains(&pair[0].as_str());
    (words.iter().any(is_credential_word) || words.windows(2).any(is_credential_key)) && !ends_innocently(&words)
}

/// True for the key of a query whose value is a secret, whatever its case, percent-encoding taken off.
pub fn is_secret_query_key(key: &str) -> bool {
    QUERY_KEYS.contains(&key.to_ascii_lowercase().as_str())
}

/// See [`super::Redactor::is_secret_name`].
pub(super) fn is_secret(name: &str) -> bool {
    if INNOCENT_NAMES.iter().any(|innocent| name.eq_ignore_ascii_case(innocent)) {
        return false;
    }
    let words = words(name);
    let is_text_token = words.windows(2).any(|pair| pair[1] == "TOKEN" && TEXT_TOKEN_WORDS.contains(&pair[0].as_str()));
    let is_secret_word = |word: &String| SECRET_WORDS.contains(&word.as_str());
    let is_secret_ending = |word: &String| SECRET_LAST_WORDS.contains(&word.as_str());
    (words.iter().any(is_secret_word) || words.last().is_some_and(is_secret_ending))
        && !is_text_token
        && !ends_innocently(&words)
}

fn ends_innocently(words: &[String]) -> bool {
    words.last().is_some_and(|last| INNOCENT_LAST_WORDS.contains(&last.as_str()))
}

/// The words of a name in upper case: between `_`, `-`, `.` and other marks, and where a capital follows a small letter.
/// A number at a word's end is no part of it.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for character in name.chars() {
        if !character.is_alphanumeric() || (character.is_uppercase() && before_is_lower) {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_uppercase());
        }
        before_is_lower = character.is_lowercase();
    }
    let words = words.iter().map(|word| word.trim_end_matches(|character: char| character.is_ascii_digit()).to_owned());
    words.filter(|word| !word.is_empty()).collect()
}
