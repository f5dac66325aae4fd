//! The service of these tests: it answers over HTTP what it reads from and writes to a cache that speaks Redis' protocol,
//! over connections that it pools.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    thread,
};

/// What it is told by variables.
struct Settings {
    cache: String,
    password: String,
    prefix: String,
}

/// A connection to the cache.
struct Connection {
    stream: BufReader<TcpStream>,
}

/// Serves for ever.
pub(super) fn run(port: u16) {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let settings =
        Settings { cache: variable("CACHE"), password: variable("CACHE_PASSWORD"), prefix: variable("PREFIX") };
    let (settings, pool) = (&settings, &Mutex::new(Vec::new()));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::scope(|scope| {
        for stream in listener.incoming() {
            // A probe that connects and says nothing is no client.
            scope.spawn(move || drop(serve(stream.unwrap(), settings, pool)));
        }
    });
}

fn serve(mut stream: TcpStream, settings: &Settings, pool: &Mutex<Vec<Connection>>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let Some(line) = lines.next().transpose()? else { return Ok(()) };
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = match answer(&path, settings, pool) {
        Ok(body) => ("200 OK", body),
        Err(error) => ("500 Internal Server Error", error.to_string()),
    };
    let len = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
}

/// `/set/K/V`, `/get/K`, `/many/N` (N commands at once), `/large/N` (a value of N bytes, there and back).
fn answer(path: &str, settings: &Settings, pool: &Mutex<Vec<Connection>>) -> io::Result<String> {
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let key = |name: &str| format!("{}:{name}", settings.prefix);
    let commands = match words[..] {
        ["set", name, value] => vec![vec!["SET".to_owned(), key(name), value.to_owned()]],
        ["get", name] => vec![vec!["GET".to_owned(), key(name)]],
        ["many", count] => (0..count.parse().unwrap()).map(|_| vec!["INCR".to_owned(), key("count")]).collect(),
        ["large", count] => {
            let value = "v".repeat(count.parse().unwrap());
            vec![vec!["SET".to_owned(), key("large"), value], vec!["GET".to_owned(), key("large")]]
        }
        _ => Vec::new(),
    };
    let pooled = pool.lock().unwrap().pop();
    let mut connection = match pooled {
        Some(connection) => connection,
        None => Connection::open(settings)?,
    };
    let replies = connection.ask(&commands)?;
    pool.lock().unwrap().push(connection);
    Ok(replies
        .iter()
        .map(|reply| if reply.len() > 99 { format!("{} bytes\n", reply.len()) } else { format!("{reply}\n") })
        .collect())
}

impl Connection {
    fn open(settings: &Settings) -> io::Result<Self> {
        let stream = TcpStream::connect(&settings.cache)?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream: BufReader::new(stream) };
        let login = vec!["AUTH".to_owned(), settings.password.clone()];
        connection.ask(&[login, vec!["PING".to_owned()]])?;
        Ok(connection)
    }

    /// Says all commands at once, then hears all replies.
    fn ask(&mut self, commands: &[Vec<String>]) -> io::Result<Vec<String>> {
        let bulk = |word: &String| format!("${}\r\n{word}\r\n", word.len());
        let said: String = commands
            .iter()
            .map(|words| format!("*{}\r\n{}", words.len(), words.iter().map(bulk).collect::<String>()))
            .collect();
        self.stream.get_mut().write_all(said.as_bytes())?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        match line.strip_prefix('$') {
            Some("-1") => Ok("nothing".to_owned()),
            Some(len) => {
                let mut value = vec![0; len.parse::<usize>().map_err(io::Error::other)? + 2];
                self.stream.read_exact(&mut value)?;
                value.truncate(value.len() - 2);
                String::from_utf8(value).map_err(io::Error::other)
            }
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None if line.starts_with('-') => Err(io::Error::other(line.to_owned())),
            None => Ok(line.to_owned()),
        }
    }
}
