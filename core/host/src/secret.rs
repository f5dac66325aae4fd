//! What is kept of a secret variable: enough to recognise it again, not enough to find it out.
//!
//! argon2id (RFC 9106) with a random salt of 16 bytes. The parameters are those that OWASP's password storage cheat sheet
//! names as its smallest: 19 MiB, 2 passes, 1 lane; about 20 ms for each guess.

use argon2::{Algorithm, Argon2, Params, Version};
use content::redact::Redactor;
use exchange::{ContainerIdentity, Variable, VariableValue};

/// Memory of one hash in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Length of a hash in bytes.
const HASH_LEN: usize = 32;

/// The variable as it may be kept: in plain, or as a salted hash where its name or its form says that it is a secret, or
/// `more_names` has it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn variable(name: &str, value: &str, more_names: &[String]) -> std::io::Result<Variable> {
    let named = Redactor::is_secret_name(name) || more_names.iter().any(|more| more == name);
    let stand_ins = stand_ins()?;
    let (in_its_form, count) = stand_ins.text(value);
    let by_form = count > 0;
    let value = if value.is_empty() || !(named || by_form) {
        VariableValue::Plain(value.to_owned())
    } else {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
        // A URL with a password in it goes on being one: whoever needs its address finds it.
        let all = || String::from_utf8_lossy(&stand_ins.pseudonym(value.as_bytes())).into_owned();
        let stand_in = if named { all() } else { in_its_form };
        VariableValue::Secret { salt: hex(&salt), hash: hex(&hash(value.as_bytes(), &salt)), stand_in }
    };
    Ok(Variable { name: name.to_owned(), value })
}

/// Replaces the secrets in the command of a container, in that of its image and in its health check, as they are replaced in
/// requests: a replay that is given them by pseudonym has the real ones again.
pub fn conceal_arguments(identity: &mut ContainerIdentity, redactor: &Redactor) {
    each_command(identity, |words| *words = redactor.arguments(words).0);
}

/// Every command of a container: its own and its image's, entrypoint and arguments as one, and its health check's.
pub fn each_command(identity: &mut ContainerIdentity, mut change: impl FnMut(&mut Vec<String>)) {
    let (config, runtime) = (&mut identity.config, &mut identity.image.runtime);
    in_one(&mut config.entrypoint, &mut config.command, &mut change);
    in_one(&mut runtime.entrypoint, &mut runtime.command, &mut change);
    if let Some(health) = &mut config.health {
        change(&mut health.test);
    }
}

/// An option may end the entrypoint, and its value begin the command.
fn in_one(entrypoint: &mut Vec<String>, command: &mut Vec<String>, mut change: impl FnMut(&mut Vec<String>)) {
    let len = entrypoint.len();
    let mut words = [std::mem::take(entrypoint), std::mem::take(command)].concat();
    change(&mut words);
    *command = words.split_off(len.min(words.len()));
    *entrypoint = words;
}

/// True when `value` is the secret that was hashed to `hash_hex` with `salt_hex`.
pub fn is_same_secret(value: &str, salt_hex: &str, hash_hex: &str) -> bool {
    unhex(salt_hex)
        .is_some_and(|salt| salt.len() >= 8 && hex(&hash(value.as_bytes(), &salt)) == hash_hex.to_ascii_lowercase())
}

/// Stand-ins are of the same length and alphabet, and made with a key that nobody keeps.
fn stand_ins() -> std::io::Result<Redactor> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    Ok(Redactor::new(key, &content::redact::Extra::default()))
}

/// The slow hash. `salt` has 8 bytes or more.
pub(crate) fn hash(value: &[u8], salt: &[u8]) -> [u8; HASH_LEN] {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_LEN)).expect("the constants are within argon2's limits");
    let mut hash = [0; HASH_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(value, salt, &mut hash)
        .expect("salt and output have lengths that argon2 allows, and no variable reaches 4 GiB");
    hash
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The salt of a mount, as it was kept.
pub fn mount_salt(hex: &str) -> Option<[u8; 16]> {
    unhex(hex)?.try_into().ok()
}

/// At most 64 bytes: a salt from a stranger's file is no longer than that.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2));
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok());
    if text.len() > 128 { None } else { bytes.collect() }
}

#[cfg(test)]
mod tests {
    use exchange::ContainerConfig;

    use super::*;

    #[test]
    fn a_secret_is_recognised_and_its_value_is_nowhere_in_what_is_kept() {
        let kept = variable("OPENAI_API_KEY", "sk-live-0123456789abcdef", &[]).unwrap();
        let VariableValue::Secret { salt, hash, stand_in } = &kept.value else { panic!("kept in plain") };
        assert!(is_same_secret("sk-live-0123456789abcdef", salt, hash));
        assert!(!is_same_secret("sk-live-0123456789abcdeg", salt, hash));
        assert_eq!(stand_in.len(), "sk-live-0123456789abcdef".len());
        assert!(!serde_json::to_string(&kept).unwrap().contains("0123456789abcdef"));
    }

    #[test]
    fn a_command_keeps_its_words_and_not_its_secrets() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut config = ContainerConfig {
            entrypoint: words("serve --api-key"),
            command: words("hunter2hunter2 --port 80"),
            ..ContainerConfig::default()
        };
        config.health = Some(exchange::HealthCheck {
            test: vec!["CMD-SHELL".to_owned(), "probe --token hunter2hunter2".to_owned()],
            timeout_ns: 0,
        });
        let mut identity = ContainerIdentity { image: exchange::ImageIdentity::default(), config };
        let redactor = Redactor::new([7; 32], &content::redact::Extra::default());
        conceal_arguments(&mut identity, &redactor);
        let text = serde_json::to_string(&identity).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!((identity.config.entrypoint, identity.config.command.len()), (words("serve --api-key"), 3));
        let pseudonym = String::from_utf8(redactor.pseudonym(b"hunter2hunter2")).unwrap();
        assert_eq!(identity.config.command[0], pseudonym);
        assert!(identity.config.health.unwrap().test[1].ends_with(&pseudonym));
    }

    #[test]
    fn the_same_secret_is_kept_differently_each_time() {
        let kept = || variable("TOKEN", "hunter2hunter2", &[]).unwrap();
        assert_ne!(kept(), kept());
    }

    #[test]
    fn an_ordinary_variable_stays_readable_and_one_that_is_named_does_not() {
        assert_eq!(variable("PORT", "8080", &[]).unwrap().value, VariableValue::Plain("8080".to_owned()));
        let named = variable("TENANT", "acme", &["TENANT".to_owned()]).unwrap();
        assert!(matches!(named.value, VariableValue::Secret { .. }));
    }

    #[test]
    fn a_salt_from_a_strangers_file_is_refused_and_nothing_panics() {
        for salt in ["", "zz", "0", "é", &"00".repeat(1_000), "0001"] {
            assert!(!is_same_secret("x", salt, "00"), "{salt}");
        }
    }
}
