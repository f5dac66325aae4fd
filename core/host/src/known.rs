//! The values of a service's secrets, so that they can be taken out of what it logs. They are never kept.

use content::redact::Redactor;

use crate::{docker::Docker, error::DockerError};

/// Shortest value that is looked for, in bytes. A choice: what is shorter stands in any log.
const SECRET_LEN_MIN: usize = 6;

/// The values of secret variables, those that `more_names` has among them, and of the secrets in a command.
pub fn secret_values(
    command: &[String],
    variables: impl IntoIterator<Item = (String, String)>,
    more_names: &[String],
) -> Vec<String> {
    let is_secret = |name: &String| Redactor::is_secret_name(name) || more_names.contains(name);
    let named = variables.into_iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    let found = Redactor::found_in_arguments(command).into_iter();
    let found = found.filter_map(|found| String::from_utf8(found.value).ok());
    let mut values: Vec<_> = named.chain(found).filter(|value| value.len() >= SECRET_LEN_MIN).collect();
    // One may be part of another: the longest is looked for first.
    values.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    values.dedup();
    values
}

impl Docker {
    /// [`secret_values`] of a container, its health check's command included.
    ///
    /// # Errors
    /// `NoContainer` when there is none of that name.
    pub async fn secret_values(&self, name: &str, more_names: &[String]) -> Result<Vec<String>, DockerError> {
        let config = self.inspect_container(name).await?.config.unwrap_or_default();
        let check = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
        let command = [config.entrypoint.unwrap_or_default(), config.cmd.unwrap_or_default(), check].concat();
        let variables = config.env.unwrap_or_default();
        let variables = variables.iter().filter_map(|variable| variable.split_once('='));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(secret_values(&command, variables, more_names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_count_by_name_and_arguments_by_what_they_are_given_for_the_longest_first() {
        let command = ["serve", "--api-key", "from-the-command", "--port", "8000"].map(str::to_owned);
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = [
            variable("DB_PASSWORD", "lamp-black-7"),
            variable("HOME", "/home/service"),
            variable("OURS", "given-by-name"),
            variable("PIN_TOKEN", "1234"),
        ];
        let values = secret_values(&command, variables, &["OURS".to_owned()]);
        assert_eq!(values, ["from-the-command", "given-by-name", "lamp-black-7"]);
    }
}
