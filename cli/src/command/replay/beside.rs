//! `--beside NAME=IMAGE,…`: a real server that runs beside the replayed service, in one line.

use replayer::GivenBeside;

use super::given_variable;
use crate::trouble::Trouble;

/// How it is written.
const FORM: &str = "write it as `--beside db=postgres:16,port=5432,dump=dump.sql,env=POSTGRES_PASSWORD=x`; only NAME=IMAGE is needed, \
                    `env=` may be repeated, and a comma in a value is written twice";

/// Reads all of them; no two have one name.
pub(super) fn given(texts: &[String]) -> Result<Vec<GivenBeside>, Trouble> {
    let mut all: Vec<GivenBeside> = Vec::new();
    for text in texts {
        let one = read(text)?;
        if all.iter().any(|other| other.name.eq_ignore_ascii_case(&one.name)) {
            let twice = Trouble::new(format!("`--beside {}=…` is given twice", one.name));
            return Err(twice.help("give each server a name of its own, the one that the service calls it by"));
        }
        all.push(one);
    }
    Ok(all)
}

fn read(text: &str) -> Result<GivenBeside, Trouble> {
    let mut parts = parts_of(text).into_iter();
    let first = parts.next().unwrap_or_default();
    let wrong = || Trouble::new(format!("`--beside {text}` is no name, `=` and an image")).help(FORM);
    let (name, image) = first.split_once('=').filter(|(_, image)| !image.is_empty()).ok_or_else(wrong)?;
    if !is_name(name) {
        return Err(Trouble::new(format!("`--beside {text}`: `{name}` is no name of a host"))
            .help("take the name that the service calls it by, such as `db`: letters, digits, `-`, `_` and dots"));
    }
    let mut one = GivenBeside { name: name.to_owned(), image: image.to_owned(), ..GivenBeside::default() };
    for part in parts {
        take(&mut one, &part)
            .map_err(|reason| reason.while_doing(format!("cannot use `--beside {name}={image},…`")))?;
    }
    if one.at.is_some() && one.dump.is_none() {
        return Err(Trouble::new(format!("`--beside {name}={image},…` says with `at=` where no dump is to be"))
            .help("name the dump as well: `dump=FILE`"));
    }
    Ok(one)
}

/// One part behind the image.
fn take(one: &mut GivenBeside, part: &str) -> Result<(), Trouble> {
    let unknown = || Trouble::new(format!("`{part}` is none of port=, dump=, at= and env=")).help(FORM);
    let (key, value) = part.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(unknown)?;
    match key {
        "port" => {
            let port = value.parse().ok().filter(|port| *port > 0);
            one.port =
                Some(port.ok_or_else(|| Trouble::new(format!("`{value}` is no port")).help("a port is 1 to 65535"))?);
        }
        "dump" => one.dump = Some(value.into()),
        "at" if value.starts_with('/') => one.at = Some(value.to_owned()),
        "at" => {
            return Err(
                Trouble::new(format!("`{value}` is no path in a container")).help("a path there begins with `/`")
            );
        }
        "env" => one.variables.push(given_variable(value)?),
        _ => return Err(unknown()),
    }
    Ok(())
}

/// Split at commas; two of them are one that is meant.
fn parts_of(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        if next == ',' && rest.next_if_eq(&',').is_none() {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(next);
        }
    }
    parts
}

/// True for what can stand in a hosts file.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len())
        && name.bytes().all(is_part)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.parse::<std::net::IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_and_an_image_and_what_else_it_needs() {
        let one =
            read("db=reg:5000/pg:16@sha256:00,port=5433,dump=./a b.sql,at=/seed/,env=A=b=c,env=P=x,,y,,").unwrap();
        assert_eq!((one.name.as_str(), one.image.as_str(), one.port), ("db", "reg:5000/pg:16@sha256:00", Some(5433)));
        assert_eq!((one.dump, one.at.as_deref()), (Some("./a b.sql".into()), Some("/seed/")));
        let variables: Vec<_> = one.variables.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
        assert_eq!(variables, ["A=b=c", "P=x,y,"]);
        assert_eq!(read("cache=redis").unwrap().port, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| read(text).unwrap_err().to_string();
        for text in ["db", "db=", "=postgres", "d b=postgres", "10.0.0.1=postgres", ""] {
            assert!(!wrong(text).is_empty(), "{text}");
        }
        insta::assert_snapshot!(wrong("db=postgres,ports=1"), @r"
        error: cannot use `--beside db=postgres,…`
          because: `ports=1` is none of port=, dump=, at= and env=
        help: write it as `--beside db=postgres:16,port=5432,dump=dump.sql,env=POSTGRES_PASSWORD=x`; only NAME=IMAGE is needed, `env=` may be repeated, and a comma in a value is written twice
        ");
        insta::assert_snapshot!(wrong("db=postgres,port=0"), @r"
        error: cannot use `--beside db=postgres,…`
          because: `0` is no port
        help: a port is 1 to 65535
        ");
        insta::assert_snapshot!(wrong("db=postgres,dump=x,at=seed"), @r"
        error: cannot use `--beside db=postgres,…`
          because: `seed` is no path in a container
        help: a path there begins with `/`
        ");
        insta::assert_snapshot!(wrong("db=postgres,at=/seed"), @r"
        error: `--beside db=postgres,…` says with `at=` where no dump is to be
        help: name the dump as well: `dump=FILE`
        ");
        let twice = given(&["db=a".to_owned(), "DB=b".to_owned()]).unwrap_err().to_string();
        insta::assert_snapshot!(twice, @r"
        error: `--beside DB=…` is given twice
        help: give each server a name of its own, the one that the service calls it by
        ");
    }
}
