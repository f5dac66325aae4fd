//! Logins by SASL `PLAIN`, in which the password stands as it is: recorded without it, answered whatever it is.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use tempfile::tempdir;

use super::{PATIENCE, holds, serving};
use crate::{
    command,
    otherwise::{Capturing, free_port},
};

const PASSWORD: &str = "hunter22-really-secret";
const OTHER: &str = "another-one-as-long-ok";

/// A server that answers each message with how long it is.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let (mut stream, mut read) = (stream.unwrap(), [0; 4096]);
                // It ends with its client.
                while let Ok(len @ 1..) = stream.read(&mut read) {
                    stream.write_all(format!("{len:04}").as_bytes()).unwrap();
                }
            });
        }
    });
    port
}

/// What is answered to each of these.
fn ask(address: &str, said: &[Vec<u8>]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = |message: &Vec<u8>| {
        let mut answer = [0; 4];
        stream.write_all(message).unwrap();
        let heard = stream.read_exact(&mut answer);
        heard.map_or_else(|error| error.kind().to_string(), |()| String::from_utf8_lossy(&answer).into_owned())
    };
    said.iter().map(&mut ask).collect()
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let len = u32::try_from(value.len() + 1).unwrap().to_le_bytes();
    [&b"\x02"[..], name.as_bytes(), b"\0", &len, value.as_bytes(), b"\0"].concat()
}

/// MongoDB's `OP_MSG` with a document of these elements.
fn mongodb(elements: &[Vec<u8>]) -> Vec<u8> {
    let elements = elements.concat();
    let len = u32::try_from(elements.len() + 5).unwrap();
    let numbers = [len + 21, 7, 0, 2013, 0].map(u32::to_le_bytes).concat();
    [&numbers[..], b"\0", &len.to_le_bytes(), &elements, b"\0"].concat()
}

/// A login to MongoDB and a query; to RabbitMQ and what it is asked then; to memcached and a value.
fn said(password: &str) -> [Vec<Vec<u8>>; 3] {
    let response = format!("\0ann\0{password}");
    let len = u32::try_from(response.len()).unwrap();
    let payload = [&b"\x05payload\0"[..], &len.to_le_bytes(), b"\0", response.as_bytes()].concat();
    let login =
        [b"\x10saslStart\0\x01\0\0\0".to_vec(), string("mechanism", "PLAIN"), payload, string("$db", "$external")];
    let arguments = [&[0, 0, 0, 0, 5][..], b"PLAIN", &len.to_be_bytes(), response.as_bytes(), b"\x05en_US"].concat();
    let frame_len = u32::try_from(arguments.len() + 4).unwrap().to_be_bytes();
    let start_ok = [&[1, 0, 0][..], &frame_len, &[0, 10, 0, 11], &arguments, &[0xce]].concat();
    let sasl = [&[0x80, 0x21, 0, 5, 0, 0, 0, 0][..], &(len + 5).to_be_bytes(), &[0; 12], b"PLAIN", response.as_bytes()];
    let get = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 12], b"k"].concat();
    [
        vec![mongodb(&login), mongodb(&[string("find", "people")])],
        vec![b"AMQP\0\0\x09\x01".to_vec(), start_ok, vec![1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xce]],
        vec![sasl.concat(), get],
    ]
}

#[test]
fn what_mongodb_rabbitmq_and_memcached_log_in_with_is_nowhere_and_is_answered_whatever_it_is() {
    for (number, name) in ["documents", "queue", "cache"].into_iter().enumerate() {
        let folder = tempdir().unwrap();
        let listens = free_port();
        let dependency = format!("{name}=tcp://127.0.0.1:{},listen=127.0.0.1:{listens}", server());
        let capture = ["capture", "--json", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1"];
        let capture =
            Capturing::start(command(folder.path(), &[&capture[..], &["--dependency", &dependency]].concat()));
        let heard = ask(&format!("127.0.0.1:{listens}"), &said(PASSWORD)[number]);
        capture.stop();
        let segments = folder.path().join(".retake/segments");
        assert!(!holds(&segments, PASSWORD) && holds(&segments, "PLAIN"), "{name}: the password is on the disk");
        let (_serving, line) = serving(folder.path(), name);
        let address = line.strip_prefix(&format!("{name} at tcp://")).unwrap();
        for password in [PASSWORD, OTHER] {
            assert_eq!(ask(address, &said(password)[number]), heard, "{name}");
        }
    }
}
