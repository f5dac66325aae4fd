//! Secrets in a recorded command: the recording has their pseudonyms, and a service needs the real ones.

use content::redact::Redactor;
use exchange::{ContainerIdentity, Fingerprint, Subject};

use crate::secrets::Secrets;

/// What stands for secrets in the commands that a fingerprint has.
pub fn pseudonyms_in_commands(fingerprint: &Fingerprint) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut look = |words: &[String]| found.extend(Redactor::found_in_arguments(words).into_iter().map(|it| it.value));
    match &fingerprint.subject {
        Subject::Container(container) => {
            host::secret::each_command(&mut ContainerIdentity::clone(container), |words| look(words));
        }
        Subject::Process(process) => look(&process.arguments),
        Subject::Unknown => {}
    }
    found
}

/// Puts given secrets where a recorded container's commands have their pseudonyms; says which were not given.
pub(crate) fn reveal_commands(recorded: &mut ContainerIdentity, secrets: &Secrets) -> Vec<String> {
    let (config, runtime) = (&recorded.config, &recorded.image.runtime);
    let own = [(&config.entrypoint, &runtime.entrypoint), (&config.command, &runtime.command)];
    // What is the image's own is taken from the image, where it is not recorded by pseudonym.
    let beyond_image: Vec<String> =
        own.into_iter().filter(|(own, of_image)| own != of_image).flat_map(|(own, _)| own.clone()).collect();
    let notes = not_given(&beyond_image, secrets);
    host::secret::each_command(recorded, |words| reveal_words(words, secrets));
    notes
}

/// The same of a process's arguments.
pub(crate) fn reveal_arguments(arguments: &mut [String], secrets: &Secrets) -> Vec<String> {
    let notes = not_given(arguments, secrets);
    reveal_words(arguments, secrets);
    notes
}

fn not_given(words: &[String], secrets: &Secrets) -> Vec<String> {
    let found = Redactor::found_in_arguments(words);
    let missing = found.iter().filter(|found| !secrets.has_all([found.value.as_slice()])).count();
    let note = match missing {
        0 => return Vec::new(),
        1 => "an argument: a stand-in of the same form, as the secret was not given (`--secrets FILE`)".to_owned(),
        _ => {
            format!("{missing} arguments: stand-ins of the same form, as the secrets were not given (`--secrets FILE`)")
        }
    };
    vec![note]
}

fn reveal_words(words: &mut [String], secrets: &Secrets) {
    words.iter_mut().for_each(|word| secrets.reveal_text(word));
}

#[cfg(test)]
mod tests {
    use exchange::{ContainerConfig, HealthCheck, ImageIdentity};

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn recorded() -> ContainerIdentity {
        let config = ContainerConfig {
            command: words("serve --api-key pseudo-nym --port 80"),
            health: Some(HealthCheck { test: words("CMD probe --token=pseudo-nym"), timeout_ns: 0 }),
            ..ContainerConfig::default()
        };
        ContainerIdentity { image: ImageIdentity::default(), config }
    }

    #[test]
    fn a_command_gets_the_secrets_that_were_given_and_says_which_were_not() {
        let fingerprint = Fingerprint {
            subject: Subject::Container(Box::new(recorded())),
            host: exchange::HostEnvironment::default(),
            packages: Vec::new(),
        };
        let known = pseudonyms_in_commands(&fingerprint);
        assert_eq!(known, [b"pseudo-nym"; 2]);

        let mut without = recorded();
        let notes = reveal_commands(&mut without, &Secrets::default());
        assert_eq!(without, recorded());
        assert_eq!(notes, ["an argument: a stand-in of the same form, as the secret was not given (`--secrets FILE`)"]);

        let secrets = Secrets::read("pseudo-nym=real-secret", &known).unwrap();
        let mut with = recorded();
        assert!(reveal_commands(&mut with, &secrets).is_empty());
        assert_eq!(with.config.command, words("serve --api-key real-secret --port 80"));
        assert_eq!(with.config.health.unwrap().test, words("CMD probe --token=real-secret"));
    }

    #[test]
    fn what_the_image_says_itself_is_not_missing() {
        let mut identity = recorded();
        identity.image.runtime.command = identity.config.command.clone();
        assert!(reveal_commands(&mut identity, &Secrets::default()).is_empty());
    }
}
