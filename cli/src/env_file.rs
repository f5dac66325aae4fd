//! Files of variables, as `docker run --env-file` takes them.
//!
//! A line is `NAME=VALUE`, the value as it stands: quotes, blanks at its end and `$` are part of it. `NAME` alone takes the
//! value that this program has. Lines of a shell's file, `export NAME=VALUE`, are read too. Empty lines and those that
//! begin with `#` are none.

use std::path::Path;

use replayer::GivenVariable;

use crate::trouble::Trouble;

/// Longest file that is read, in bytes. A choice: the kernel gives a process 2 MiB of variables by default.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a file of variables.
pub(crate) fn read(path: &Path) -> Result<Vec<GivenVariable>, Trouble> {
    use std::io::Read as _;
    let unread = |error: std::io::Error| {
        Trouble::of(&error)
            .while_doing(format!("cannot read `--env-file {}`", path.display()))
            .help("name a text file with lines `NAME=VALUE`; `retake inspect` lists the variables that were secrets")
    };
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)).map_err(unread)?;
    parse(&text, |name| std::env::var(name).ok()).map_err(|fault| fault.in_file(path))
}

/// A line that is wrong, counted from 1.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    what: String,
    help: String,
}

impl Fault {
    fn in_file(self, path: &Path) -> Trouble {
        Trouble::new(format!("{}:{}: {}", path.display(), self.line, self.what)).help(self.help)
    }
}

/// `of_here` is what this program has in a variable.
fn parse(text: &str, of_here: impl Fn(&str) -> Option<String>) -> Result<Vec<GivenVariable>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| variable(line, &of_here).map_err(|fault| Fault { line: number, ..fault })).collect()
}

fn variable(line: &str, of_here: impl Fn(&str) -> Option<String>) -> Result<GivenVariable, Fault> {
    let fault = |what: String, help: String| Fault { line: 0, what, help };
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (line.trim_end(), of_here(line.trim_end())),
    };
    if name.is_empty() {
        return Err(fault("a value without a name".to_owned(), "write it as NAME=VALUE".to_owned()));
    }
    if name.contains(char::is_whitespace) {
        // The line itself may be part of a secret, and is not repeated.
        return Err(fault(
            "a name with a blank in it".to_owned(),
            "write each variable on one line, as NAME=VALUE without blanks around `=`".to_owned(),
        ));
    }
    let Some(value) = value else {
        let help = format!("write `{name}=VALUE`, set it here, or take the line out");
        return Err(fault(format!("variable `{name}` has no value here"), help));
    };
    Ok(GivenVariable { name: name.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, Fault> {
        let of_here = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        Ok(parse(text, of_here)?.into_iter().map(|given| (given.name, given.value)).collect())
    }

    fn only(text: &str) -> (String, String) {
        parsed(text).unwrap().remove(0)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn values_are_what_stands_behind_the_first_equals_sign_to_the_byte() {
        assert_eq!(only("A=b=c"), pair("A", "b=c"));
        assert_eq!(only("A=\"quoted\" 'x' $HOME  "), pair("A", "\"quoted\" 'x' $HOME  "));
        assert_eq!(only("A="), pair("A", ""));
        assert_eq!(only("A= b"), pair("A", " b"));
        assert_eq!(only("A=# no comment"), pair("A", "# no comment"));
        assert_eq!(only("A=1\r\nB=2\r\n"), pair("A", "1"));
    }

    #[test]
    fn a_name_alone_takes_its_value_from_here_and_a_shells_file_is_read_too() {
        assert_eq!(only("  HOME"), pair("HOME", "/home/me"));
        assert_eq!(only("export A=1"), pair("A", "1"));
        assert_eq!(only("export=1"), pair("export", "1"));
        assert_eq!(parsed("\u{feff}# secrets\n\n   # more\nA=1\nB=2").unwrap(), [pair("A", "1"), pair("B", "2")]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_value() {
        let fault = |text: &str| parsed(text).unwrap_err();
        assert_eq!(fault("A=1\n\n=s3cret").line, 3);
        assert_eq!(fault("A B=s3cret").line, 1);
        assert!(!format!("{:?}", fault("A B=s3cret")).contains("s3cret"));
        let unset = fault("A=1\nNOT_SET");
        assert_eq!((unset.line, unset.what.as_str()), (2, "variable `NOT_SET` has no value here"));
    }
}
