//! Dependencies that are no HTTP: recorded as bytes both ways, and answered from them. A real Redis, and a mail server that
//! speaks first.

mod login;
mod service;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use bundle::Archive;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command,
    otherwise::{Capturing, Ended, capture_of, free_port, replay_store, wait_until_it_accepts},
    retake,
    shipped::skipped,
    untrue::PATIENCE,
};

const PASSWORD: &str = "hunter22-really-secret";

/// Not a test: the service of the tests here. Run as `EXECUTABLE --exact NAME --ignored`.
#[test]
#[ignore = "the service of the tests beside it"]
fn serve() {
    if let Some(port) = std::env::var("PORT").ok().and_then(|port| port.parse().ok()) {
        service::run(port);
    }
}

/// A Redis of our own with a password, or `None` where there is no Redis on this machine, which is said.
fn redis(folder: &std::path::Path, test: &str) -> Option<(Ended, u16)> {
    let port = free_port();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""]);
    let Ok(child) = server.current_dir(folder).stdout(Stdio::null()).spawn() else {
        assert!(std::env::var_os("RETAKE_REQUIRE_DOCKER").is_none(), "there is no `redis-server`: run scripts/setup");
        skipped(test, "there is no redis-server");
        return None;
    };
    wait_until_it_accepts(port);
    Some((Ended(child), port))
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What the service did with a real Redis under a capture.
struct Recorded {
    folder: TempDir,
}

impl Recorded {
    /// `paths` one after the other, then `at_once` all together.
    fn make(test: &str, paths: &[&str], at_once: &[&str]) -> Option<Self> {
        let folder = tempdir().unwrap();
        let (_redis, cache) = redis(folder.path(), test)?;
        let [port, listens] = [(); 2].map(|()| free_port());
        let upstream = format!("http://127.0.0.1:{port}");
        let dependency = format!("cache=tcp://127.0.0.1:{cache},listen=127.0.0.1:{listens}");
        let own = std::env::current_exe().unwrap().display().to_string();
        let arguments = ["--no-default-dependencies", "--dependency", &dependency, "--"];
        let service = [&own, "--exact", "spoken::serve", "--ignored", "--nocapture"];
        let mut capture = capture_of(folder.path(), &upstream, &[&arguments[..], &service].concat());
        capture.env("PORT", port.to_string()).env("CACHE", format!("127.0.0.1:{listens}"));
        capture.env("CACHE_PASSWORD", PASSWORD).env("PREFIX", "user");
        let capture = Capturing::start(capture);
        wait_until_it_accepts(port);
        for path in paths {
            assert!(!get(&capture.address, path).contains("rror"), "{path}");
        }
        thread::scope(|scope| {
            for path in at_once {
                scope.spawn(|| get(&capture.address, path));
            }
        });
        capture.stop();
        Some(Self { folder })
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(".retake")
    }

    fn replay(&self, more: &[&str]) -> (Ran, Value) {
        replay_store(self.folder.path(), more)
    }

    /// The ids of clients' exchanges whose path begins like this.
    fn ids(&self, path: &str) -> Vec<String> {
        let archive = Archive::open(&self.store()).unwrap();
        let of_path = archive.entries().iter().filter(|it| it.dependency.is_none() && it.title.contains(path));
        of_path.map(|entry| entry.id.to_string()).collect()
    }
}

/// True where any exchange of these files holds the text, or a file's name does.
fn holds(folder: &std::path::Path, text: &str) -> bool {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "retake")).any(|path| {
        let archive = Archive::open(&path).unwrap();
        archive.entries().iter().any(|entry| {
            let exchange = archive.exchange(&entry.id).unwrap();
            let said = archive.body(&exchange.request.body, 1 << 26).unwrap();
            let answered = exchange.response.as_ref().map(|it| archive.body(&it.body, 1 << 26).unwrap());
            let heard = [said, answered.unwrap_or_default()].concat();
            heard.windows(text.len()).any(|window| window == text.as_bytes())
        }) || format!("{:?}", archive.runs().unwrap()).contains(text)
    })
}

#[test]
fn a_service_on_a_real_redis_is_the_same_again_without_one_and_its_password_is_nowhere() {
    let sequence = ["/set/a/1", "/get/a", "/set/a/2", "/get/a", "/many/50", "/large/3000000", "/get/b"];
    let Some(recorded) = Recorded::make("a service on a real Redis", &sequence, &[]) else { return };
    assert!(!holds(&recorded.store().join("segments"), PASSWORD), "the password is on the disk");
    let mut outcomes = Vec::new();
    for more in [&[][..], &["--env", &format!("CACHE_PASSWORD={PASSWORD}")]] {
        let (ran, document) = recorded.replay(more);
        let receipt = &document["receipt"];
        assert_eq!((ran.code, &receipt["tally"]["same"]), (0, &7.into()), "{}{}", ran.out, ran.err);
        let answers = &receipt["answers"];
        // Each connection also logs in and asks whether the other side lives.
        assert_eq!((&answers["served_by_connection"], &answers["missed"]), (&59.into(), &0.into()), "{answers}");
        assert_eq!(answers["never_asked"], 0);
        outcomes.push(receipt["outcome_digest"].clone());
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(!holds(&recorded.folder.path().join("runs/runs"), PASSWORD), "the password is in a run");
}

#[test]
fn connections_that_a_pool_deals_out_otherwise_answer_parallel_exchanges_the_same() {
    let writes: Vec<String> = (0..12).map(|number| format!("/set/{number}/{number}")).collect();
    let writes: Vec<&str> = writes.iter().map(String::as_str).collect();
    let Some(recorded) = Recorded::make("parallel exchanges on a real Redis", &["/set/x/1"], &writes) else { return };
    for _ in 0..3 {
        let (ran, document) = recorded.replay(&[]);
        assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &13.into()), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn one_exchange_alone_gets_the_answers_that_were_its_own() {
    let sequence = ["/set/a/1", "/get/a", "/set/a/2", "/get/a"];
    let Some(recorded) = Recorded::make("one exchange alone on a real Redis", &sequence, &[]) else { return };
    let second = &recorded.ids("/get/a")[1];
    let (ran, document) = recorded.replay(&["--only", second]);
    assert_eq!((ran.code, &document["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
    let sealed = recorded.folder.path().join("one.retake");
    let store = recorded.store();
    let exported =
        retake(recorded.folder.path(), &["export", store.to_str().unwrap(), second, "-o", sealed.to_str().unwrap()]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let ran = retake(recorded.folder.path(), &["replay", sealed.to_str().unwrap(), "--json", "--store", "runs"]);
    assert_eq!((ran.code, &ran.json()["receipt"]["tally"]["same"]), (0, &1.into()), "{}{}", ran.out, ran.err);
}

#[test]
fn a_service_that_asks_another_key_has_diverged_at_the_byte_that_says_so() {
    let Some(recorded) = Recorded::make("another key on a real Redis", &["/set/a/1", "/get/a"], &[]) else { return };
    let (ran, document) = recorded.replay(&["--env", "PREFIX=uzer"]);
    assert_eq!((ran.code, &document["receipt"]["tally"]["diverged"]), (1, &2.into()), "{}{}", ran.out, ran.err);
    let result = &document["results"][1];
    let missed = &result["missed"][0];
    assert_eq!(missed["asked"], "cache GET uzer:a");
    let nearest = missed["nearest"].as_str().unwrap();
    let expected = "(turn 4, GET user:a): byte 18: recorded \"…T\\r\\n$6\\r\\nuser:a\\r\\n\", said \"…T\\r\\n$6\\r\\nuzer:a\\r\\n\"";
    assert!(nearest.ends_with(expected), "{nearest}");
    let never = result["never_asked"][0].as_str().unwrap();
    assert!(never.starts_with("cache GET user:a ("), "{never}");
    assert_eq!(document["receipt"]["answers"]["never_asked"], 2);
}

/// A mail server that greets, takes every password, repeats every other line, and hangs up on `QUIT`, without a word on `DIE`.
fn mail_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                stream.write_all(b"220 ready\r\n").unwrap();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    match line.unwrap().as_str() {
                        "QUIT" => return stream.write_all(b"221 bye\r\n").unwrap(),
                        "DIE" => return,
                        line if line.starts_with("AUTH") => stream.write_all(b"235 welcome\r\n").unwrap(),
                        line => stream.write_all(format!("250 {line}\r\n").as_bytes()).unwrap(),
                    }
                }
            });
        }
    });
    port
}

/// What is heard until the other side hangs up.
fn talk(address: &str, said: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut heard = String::new();
    lines.read_line(&mut heard).unwrap();
    for line in said {
        if stream.write_all(line.as_bytes()).is_err() || lines.read_line(&mut heard).is_err() {
            return heard + "(broken)";
        }
    }
    heard
}

/// `retake serve` of a store; gives what it says of where it listens.
fn serving(folder: &std::path::Path, name: &str) -> (Ended, String) {
    let listen = format!("{name}=127.0.0.1:0");
    let mut child: Child =
        command(folder, &["serve", ".retake", "--listen", &listen]).stdout(Stdio::piped()).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    (Ended(child), line)
}

#[test]
fn a_recorded_mail_server_is_served_with_its_greeting_as_often_as_it_is_asked() {
    let folder = tempdir().unwrap();
    let listens = free_port();
    let dependency = format!("mail=tcp://127.0.0.1:{},listen=127.0.0.1:{listens}", mail_server());
    let capture = ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"];
    let capture = Capturing::start(command(folder.path(), &[&capture[..], &["--dependency", &dependency]].concat()));
    let address = format!("127.0.0.1:{listens}");
    let said = ["EHLO me\r\n", "AUTH PLAIN AGFubgBodW50ZXIyMg==\r\n", "QUIT\r\n"];
    let heard = talk(&address, &said);
    assert_eq!(heard.lines().count(), 4);
    assert_eq!(talk(&address, &["DIE\r\n"]), "220 ready\r\n");
    capture.stop();

    let (_serving, line) = serving(folder.path(), "mail");
    let address = line.strip_prefix("mail at tcp://").unwrap();
    for _ in 0..2 {
        // Another password is answered as the recorded one.
        assert_eq!(talk(address, &["EHLO me\r\n", "AUTH PLAIN AGFubgBPVEhFUjIyMg==\r\n", "QUIT\r\n"]), heard);
    }
    assert_eq!(talk(address, &["EHLO you\r\n", "QUIT\r\n"]), "220 ready\r\n(broken)");
    assert_eq!(talk(address, &["DIE\r\n"]), "220 ready\r\n", "it hangs up where it did");
    assert_eq!(talk(address, &["EH"]), "220 ready\r\n(broken)", "the rest is not waited for for ever");

    let listed = retake(folder.path(), &["ls", ".retake"]);
    assert!(listed.out.contains("→ mail: (raw stream)"), "{}", listed.out);
    let id = listed.out.lines().find(|line| line.contains("→ mail")).unwrap().split(' ').next().unwrap().to_owned();
    let shown = retake(folder.path(), &["show", &id]);
    assert!(shown.out.contains("a connection of the service to `mail`"), "{}", shown.out);
    assert!(!shown.out.contains("AGFubgBodW50ZXIyMg"), "{}", shown.out);
    assert!(shown.out.contains("turn 1") && shown.out.contains("EHLO me"), "{}", shown.out);
}

#[test]
fn whatever_is_said_to_a_recorded_server_it_takes_neither_much_memory_nor_much_time() {
    let folder = tempdir().unwrap();
    let listens = free_port();
    let dependency = format!("mail=tcp://127.0.0.1:{},listen=127.0.0.1:{listens}", mail_server());
    let capture = ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"];
    let capture = Capturing::start(command(folder.path(), &[&capture[..], &["--dependency", &dependency]].concat()));
    let long = format!("{}\r\n", "x".repeat(1 << 20));
    let heard = talk(&format!("127.0.0.1:{listens}"), &["EHLO me\r\n", &long, "QUIT\r\n"]);
    assert_eq!(heard.len(), 11 + 13 + 6 + long.len() - 2 + 9);
    capture.stop();
    let (serving, line) = serving(folder.path(), "mail");
    let address = line.strip_prefix("mail at tcp://").unwrap();
    assert_eq!(talk(address, &["EHLO me\r\n", &long, "QUIT\r\n"]), heard);
    let flood = "y".repeat(1 << 26);
    assert!(talk(address, &[&flood]).ends_with("(broken)"));
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| assert_eq!(talk(address, &["EHLO me\r\n"]), heard[..24]));
        }
    });
    let status = fs::read_to_string(format!("/proc/{}/status", serving.0.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let most_kib: u64 = most.strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(most_kib < 200 << 10, "{most}");
}

/// Most reads each way that are kept of one connection.
const READS_MAX: usize = 32_768;

#[test]
fn what_no_replay_can_answer_is_named_while_it_is_recorded_and_afterwards_and_what_was_kept_is_answered() {
    let folder = tempdir().unwrap();
    let (mail, news) = (free_port(), free_port());
    let of = |name: &str, port| format!("{name}=tcp://127.0.0.1:{},listen=127.0.0.1:{port}", mail_server());
    let capture = ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"];
    let dependencies = ["--dependency", &of("mail", mail), "--dependency", &of("news", news)];
    let mut capture = command(folder.path(), &[&capture[..], &dependencies].concat());
    let warned = folder.path().join("warned");
    capture.stderr(fs::File::create(&warned).unwrap());
    let capture = Capturing::start(capture);
    let long: Vec<String> = (0..READS_MAX + 10).map(|number| format!("NOOP {number:05}\r\n")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let heard = talk(&format!("127.0.0.1:{mail}"), &long);
    assert_eq!(heard.lines().count(), 1 + long.len());
    talk(&format!("127.0.0.1:{news}"), &["EHLO me\r\n", "STARTTLS\r\n", "\u{16}\u{3}\u{1}\n"]);
    capture.stop();
    let warned = fs::read_to_string(warned).unwrap();
    assert!(warned.contains("a connection to `mail` is recorded no further"), "{warned}");
    assert!(warned.contains("what is said to `news` cannot be answered from this recording"), "{warned}");

    let inspected = retake(folder.path(), &["inspect"]).out;
    for line in [
        "dependency   mail, 1 connection: it was cut where more passed than is kept of one; for what came later `--target URL`\n",
        "dependency   news, 1 connection: it is encrypted, which differs with every connection; `--target URL`\n",
    ] {
        assert!(inspected.contains(line), "{inspected}");
    }
    let doctor = retake(folder.path(), &["doctor", "--no-container"]).out;
    assert!(doctor.contains("`news` is encrypted, which differs with every connection"), "{doctor}");
    assert!(doctor.contains("`--beside news=IMAGE`") && !doctor.contains("--beside mail"), "{doctor}");

    let (_serving, line) = serving(folder.path(), "mail");
    let address = line.strip_prefix("mail at tcp://").unwrap();
    let kept = READS_MAX - 10;
    let again = talk(address, &long[..kept]);
    assert!(heard.starts_with(&again) && again.lines().count() == 1 + kept, "{}", again.len());
    assert!(talk(address, &long[READS_MAX + 5..]).ends_with("(broken)"), "what was not kept is not made up");
}
