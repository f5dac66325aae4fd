//! The variables that the service gets: recorded, given, or stood in for.

use std::collections::BTreeMap;

use exchange::{ContainerIdentity, RuntimeConfig, Variable, VariableValue};

use super::Addresses;

/// A variable given for the replay: `--env NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Variables for the service, and what was done to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    /// Name and value, sorted by name.
    pub(crate) values: BTreeMap<String, String>,
    /// What was given and is what was recorded, each in words.
    pub(crate) supplied: Vec<String>,
    /// What differs from the recording, each in words.
    pub(crate) replacements: Vec<String>,
}

/// The variables of a recorded container for an image: what its own image set comes from the image that runs, the rest
/// from the recording.
pub(crate) fn container_variables(
    recorded: &ContainerIdentity,
    runs: &RuntimeConfig,
    given: &[GivenVariable],
) -> Variables {
    let of_image = |variable: &&Variable| recorded.image.runtime.variables.contains(variable);
    let beyond_image = recorded.config.variables.iter().filter(|variable| !of_image(variable));
    let mut variables = Variables::default();
    runs.variables.iter().chain(beyond_image).for_each(|variable| variables.take(variable, given));
    variables.add_given(given, &recorded.config.variables);
    variables
}

/// The recorded variables of a process.
pub(crate) fn process_variables(recorded: &[Variable], given: &[GivenVariable]) -> Variables {
    let mut variables = Variables::default();
    recorded.iter().for_each(|variable| variables.take(variable, given));
    variables.add_given(given, recorded);
    variables
}

impl Variables {
    /// Writes the addresses that exist inside over those that do not, and says so.
    pub(crate) fn move_addresses(&mut self, addresses: &Addresses) {
        for (name, value) in &mut self.values {
            let (moved, notes) = addresses.replace_in(value);
            *value = moved;
            self.replacements.extend(notes.into_iter().map(|note| format!("{name}: {note}")));
        }
    }

    /// Hosts and ports that stand in two variables, such as `DB_HOST` and `DB_PORT`, as `HOST:PORT`.
    pub(crate) fn in_two_parts(&self) -> Vec<String> {
        let pair = |(name, host): (&String, &String)| {
            let prefix = name.strip_suffix("HOSTNAME").or_else(|| name.strip_suffix("HOST"))?;
            let port = self.values.get(&format!("{prefix}PORT"))?;
            Some(format!("{host}:{port}"))
        };
        self.values.iter().filter_map(pair).collect()
    }

    fn take(&mut self, variable: &Variable, given: &[GivenVariable]) {
        let name = &variable.name;
        let given = given.iter().rev().find(|given| given.name == *name);
        self.forget(name);
        let value = match (&variable.value, given) {
            (VariableValue::Plain(value), None) => value.clone(),
            (VariableValue::Plain(value), Some(given)) if *value == given.value => value.clone(),
            (VariableValue::Plain(_), Some(given)) => {
                self.replacements.push(format!("{name}: given, not the recorded value"));
                given.value.clone()
            }
            (VariableValue::Secret { stand_in, .. }, None) => {
                self.replacements.push(format!("{name}: a stand-in of the same form, as the secret was not given"));
                stand_in.clone()
            }
            (VariableValue::Secret { salt, hash, .. }, Some(given)) => {
                if host::secret::is_same_secret(&given.value, salt, hash) {
                    self.supplied.push(format!("{name}: given, and the recorded secret"));
                } else {
                    self.replacements.push(format!("{name}: given, and not the recorded secret"));
                }
                given.value.clone()
            }
        };
        self.values.insert(name.clone(), value);
    }

    /// A variable that is set again counts as it is set last.
    fn forget(&mut self, name: &str) {
        let is_of_it = |line: &String| line.starts_with(&format!("{name}: "));
        self.supplied.retain(|line| !is_of_it(line));
        self.replacements.retain(|line| !is_of_it(line));
    }

    fn add_given(&mut self, given: &[GivenVariable], recorded: &[Variable]) {
        for given in given.iter().filter(|given| recorded.iter().all(|variable| variable.name != given.name)) {
            self.values.insert(given.name.clone(), given.value.clone());
            self.replacements.push(format!("{}: given, not in the recording", given.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use exchange::{ContainerConfig, ImageIdentity};

    use super::*;

    fn plain(name: &str, value: &str) -> Variable {
        Variable { name: name.to_owned(), value: VariableValue::Plain(value.to_owned()) }
    }

    fn recorded(of_image: &[(&str, &str)], in_force: &[(&str, &str)]) -> ContainerIdentity {
        let variables =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| plain(name, value)).collect::<Vec<_>>();
        let runtime = RuntimeConfig { variables: variables(of_image), ..RuntimeConfig::default() };
        ContainerIdentity {
            image: ImageIdentity { runtime, ..ImageIdentity::default() },
            config: ContainerConfig { variables: variables(in_force), ..ContainerConfig::default() },
        }
    }

    #[test]
    fn another_image_keeps_its_own_variables_and_gets_those_that_were_given_at_its_start() {
        let container = recorded(&[("RULES", "1")], &[("RULES", "1"), ("PORT", "8000")]);
        let other = RuntimeConfig { variables: vec![plain("RULES", "2")], ..RuntimeConfig::default() };
        let variables = container_variables(&container, &other, &[]);
        assert_eq!(variables.values["RULES"], "2");
        assert_eq!(variables.values["PORT"], "8000");
        assert!(variables.replacements.is_empty());
    }

    #[test]
    fn what_was_given_at_the_recorded_start_beats_what_the_image_says() {
        let container = recorded(&[("RULES", "1")], &[("RULES", "3")]);
        let same = container.image.runtime.clone();
        assert_eq!(container_variables(&container, &same, &[]).values["RULES"], "3");
    }

    #[test]
    fn a_host_and_a_port_in_two_variables_belong_together_by_their_names() {
        let recorded =
            [plain("DB_HOST", "db"), plain("DB_PORT", "5432"), plain("HOST", "0.0.0.0"), plain("X_PORT", "1")];
        assert_eq!(process_variables(&recorded, &[]).in_two_parts(), ["db:5432"]);
    }

    #[test]
    fn a_secret_that_is_not_given_is_stood_in_for_and_said() {
        let value = VariableValue::Secret { salt: "00".repeat(16), hash: "00".to_owned(), stand_in: "xyz".to_owned() };
        let secret = Variable { name: "API_KEY".to_owned(), value };
        let variables = process_variables(std::slice::from_ref(&secret), &[]);
        assert_eq!(variables.values["API_KEY"], "xyz");
        assert_eq!(variables.replacements, ["API_KEY: a stand-in of the same form, as the secret was not given"]);
        let given = GivenVariable { name: "API_KEY".to_owned(), value: "abc".to_owned() };
        let variables = process_variables(&[secret], &[given]);
        assert_eq!(variables.replacements, ["API_KEY: given, and not the recorded secret"]);
    }
}
