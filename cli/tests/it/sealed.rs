//! Bundles that are encrypted and signed, and handed on: `export --encrypt-to --sign`, and whatever reads them.

use std::{fs, path::Path, process::Command};

use tempfile::{TempDir, tempdir};

use crate::{
    Ran, command,
    recordings::{Told, store},
    retake,
    shipped::skipped,
};

/// A store, and keys in files `key.txt` (age), `other.txt`, `id` and `id.pub` (SSH).
struct Desk {
    folder: TempDir,
    recipient: String,
}

impl Desk {
    fn new(test: &str) -> Option<Self> {
        let has = |tool: &str| Command::new(tool).arg("--no-such-option").output().is_ok();
        if let Some(tool) = ["age", "age-keygen", "ssh-keygen"].into_iter().find(|tool| !has(tool)) {
            assert!(std::env::var_os("RETAKE_REQUIRE_DOCKER").is_none(), "there is no `{tool}`: run scripts/setup");
            skipped(test, &format!("there is no {tool}"));
            return None;
        }
        let folder = tempdir().unwrap();
        let call = Told { number: 2, path: "/v1/chat", call: Some(("model", 1)), ..Told::default() };
        store(&folder.path().join(".retake"), &[Told::default(), call]);
        let run = |tool: &str, arguments: &[&str]| run(folder.path(), tool, arguments);
        run("age-keygen", &["-o", "key.txt"]);
        run("age-keygen", &["-o", "other.txt"]);
        run("ssh-keygen", &["-q", "-N", "", "-t", "ed25519", "-f", "id"]);
        let recipient = run("age-keygen", &["-y", "key.txt"]).trim().to_owned();
        Some(Self { folder, recipient })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn retake(&self, arguments: &[&str]) -> Ran {
        retake(self.path(), arguments)
    }

    /// Writes `case.retake.age` for the key in `key.txt`, signed with `id`.
    fn export(&self) {
        let to = ["export", ".retake", "-o", "case.retake", "--encrypt-to", &self.recipient, "--sign", "id"];
        let ran = self.retake(&to);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.starts_with("`case.retake.age`: 2 exchanges, "), "{}", ran.out);
        assert!(ran.out.contains("encrypted to 1 recipient"), "{}", ran.out);
    }

    /// A refusal: exit code 2, and what it says.
    fn refused(&self, arguments: &[&str]) -> String {
        let ran = self.retake(arguments);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains("help: "), "it says what to do: {}", ran.err);
        ran.err
    }
}

fn run(folder: &Path, tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_encrypted_bundle_is_read_by_every_command_with_its_key_and_is_the_same_that_age_decrypts() {
    let Some(desk) = Desk::new("an_encrypted_bundle_is_read_by_every_command_with_its_key") else { return };
    desk.export();
    let sealed = fs::read(desk.path().join("case.retake.age")).unwrap();
    assert!(!sealed.windows(8).any(|bytes| bytes == b"/tickets"));
    run(desk.path(), "age", &["-d", "-i", "key.txt", "-o", "plain.retake", "case.retake.age"]);
    assert_eq!(desk.retake(&["export", ".retake", "-o", "direct.retake"]).code, 0);
    let read = |name: &str| fs::read(desk.path().join(name)).unwrap();
    assert!(read("plain.retake") == read("direct.retake"), "the same bundle, whether it was encrypted or not");
    let key = ["--identity", "key.txt"];
    let of = |command: &[&str], rest: &[&str]| desk.retake(&[command, &["case.retake.age"], rest, &key].concat());
    for (command, rest, said) in [
        (&["ls"][..], &[][..], "/v1/chat"),
        (&["show"], &["0101"], "no light"),
        (&["inspect"], &[], "retake replay case.retake.age --identity KEYFILE"),
        (&["verify"], &[], "whole"),
        (&["diff", "plain.retake"], &[], "same"),
        (&["export"], &["-o", "again.retake"], "2 exchanges"),
    ] {
        let ran = of(command, rest);
        assert_eq!(ran.code, 0, "{command:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(said), "{command:?}: {}", ran.out);
    }
    assert!(read("again.retake") == read("plain.retake"));
    let by_variable = command(desk.path(), &["ls", "case.retake.age"]).env("RETAKE_IDENTITY", "key.txt").output();
    assert_eq!(by_variable.unwrap().status.code(), Some(0));
    fs::write(desk.path().join("retake.toml"), "identity = [\"other.txt\", \"key.txt\"]\n").unwrap();
    assert_eq!(desk.retake(&["ls", "case.retake.age"]).code, 0);
}

#[test]
fn what_age_encrypted_to_a_key_of_ssh_is_read_with_it() {
    let Some(desk) = Desk::new("what_age_encrypted_to_a_key_of_ssh_is_read_with_it") else { return };
    assert_eq!(desk.retake(&["export", ".retake", "-o", "case.retake"]).code, 0);
    run(desk.path(), "age", &["-a", "-R", "id.pub", "-o", "theirs.age", "case.retake"]);
    assert_eq!(desk.retake(&["verify", "theirs.age", "--identity", "id"]).code, 0);
    let ran = desk.retake(&["export", "theirs.age", "--identity", "id", "-o", "ours.age", "--encrypt-to", "@id.pub"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    run(desk.path(), "age", &["-d", "-i", "id", "-o", "plain.retake", "ours.age"]);
    assert_eq!(desk.retake(&["verify", "plain.retake"]).code, 0);
}

#[test]
fn without_its_key_it_says_for_whom_it_is_and_who_signed_it_and_nothing_else() {
    let Some(desk) = Desk::new("without_its_key_it_says_for_whom_it_is_and_who_signed_it") else { return };
    desk.export();
    let ran = desk.retake(&["inspect", "case.retake.age"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for said in ["encrypted with age", "1 × age key (age1…)", "case.retake.age.sig: it holds, by ssh-ed25519 SHA256:"]
    {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    let document = desk.retake(&["inspect", "case.retake.age", "--json"]).json();
    assert_eq!((&document["schema"], &document["recipients"][0]["count"]), (&"retake.sealed/0".into(), &1.into()));
    for command in [&["ls"][..], &["verify"], &["replay"], &["diff", "case.retake.age"], &["serve"]] {
        let said = desk.refused(&[command, &["case.retake.age"]].concat());
        assert!(said.contains("is encrypted to 1 age key") && said.contains("--identity FILE"), "{said}");
    }
    let said = desk.refused(&["ls", "case.retake.age", "--identity", "other.txt"]);
    assert!(said.contains("none of the keys given opens it"), "{said}");
    let said = desk.refused(&["ls", "case.retake.age", "--identity", "id.pub"]);
    assert!(said.contains("`id.pub` has no keys"), "{said}");
    assert_eq!(desk.retake(&["ls", "case.retake.age", "--identity", "nothing"]).code, 2);
}

#[test]
fn a_damaged_one_is_refused_with_its_place_and_leaves_nothing_behind() {
    let Some(desk) = Desk::new("a_damaged_one_is_refused_with_its_place_and_leaves_nothing_behind") else { return };
    desk.export();
    let whole = fs::read(desk.path().join("case.retake.age")).unwrap();
    let (ending, middle) = (whole.len() - 1, whole.len() / 2);
    let scratch = desk.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut flipped = whole.clone();
    flipped[middle] ^= 1;
    for (damaged, said) in
        [(&whole[..ending], "damaged or cut off from byte"), (&flipped, "damaged or cut off"), (&whole[..60], "header")]
    {
        fs::write(desk.path().join("bad.age"), damaged).unwrap();
        let ran =
            command(desk.path(), &["verify", "bad.age", "--identity", "key.txt"]).env("TMPDIR", &scratch).output();
        let ran = Ran::of(&ran.unwrap());
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains("`bad.age` cannot be decrypted") && ran.err.contains(said), "{}", ran.err);
    }
    let said = desk.refused(&["verify", "case.retake.age", "--identity", "key.txt", "--salvage", "saved.retake"]);
    assert!(said.contains("nothing is saved from within"), "{said}");
    assert!(fs::read_dir(&scratch).unwrap().next().is_none());
}

#[test]
fn an_export_leaves_no_plain_copy_and_replaces_nothing_unasked() {
    let Some(desk) = Desk::new("an_export_leaves_no_plain_copy_and_replaces_nothing_unasked") else { return };
    let scratch = desk.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let to = ["export", ".retake", "-o", "case.retake.age", "--encrypt-to", &desk.recipient, "--sign", "id"];
    let ran = Ran::of(&command(desk.path(), &to).env("TMPDIR", &scratch).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(fs::read_dir(&scratch).unwrap().next().is_none());
    assert!(desk.refused(&to).contains("exists already"));
    fs::remove_file(desk.path().join("case.retake.age")).unwrap();
    assert!(desk.refused(&to).contains("`case.retake.age.sig` exists already"));
    assert_eq!(desk.retake(&[&to[..], &["--force"]].concat()).code, 0);
    let ran = desk.retake(&[&to[..6], &["--force"]].concat());
    assert!(ran.code == 0 && ran.err.contains("no signature of the new file"), "{}", ran.err);
    assert_eq!(desk.retake(&["inspect", "case.retake.age"]).code, 2, "that signature does not hold");
    let secret = fs::read_to_string(desk.path().join("key.txt")).unwrap();
    let secret = secret.lines().last().unwrap();
    let said = desk.refused(&["export", ".retake", "-o", "x.retake", "--encrypt-to", secret]);
    assert!(said.contains("private key") && !said.contains(secret), "{said}");
    assert!(!desk.path().join("x.retake.age").exists());
}

#[test]
fn a_signature_is_insisted_on_and_ssh_keygen_checks_ours() {
    let Some(desk) = Desk::new("a_signature_is_insisted_on_and_ssh_keygen_checks_ours") else { return };
    desk.export();
    let public = fs::read_to_string(desk.path().join("id.pub")).unwrap();
    fs::write(desk.path().join("allowed"), format!("ann@example.org {public}")).unwrap();
    let check = "ssh-keygen -Y verify -f allowed -I ann@example.org -n file -s case.retake.age.sig < case.retake.age";
    run(desk.path(), "sh", &["-c", check]);
    fn verify<'a>(rest: &[&'a str]) -> Vec<&'a str> {
        [&["verify", "case.retake.age", "--identity", "key.txt", "--signed-by"], rest].concat()
    }
    let ran = desk.retake(&verify(&["allowed"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("signed by ann@example.org (ssh-ed25519 SHA256:"), "{}", ran.out);
    let document = desk.retake(&verify(&["id.pub", "--json"])).json();
    assert!(document["signed_by"]["key"].as_str().unwrap().starts_with("ssh-ed25519 SHA256:"), "{document}");
    run(desk.path(), "ssh-keygen", &["-q", "-N", "", "-t", "ed25519", "-f", "stranger"]);
    assert!(desk.refused(&verify(&["stranger.pub"])).contains("none of those that were named"));

    assert_eq!(desk.retake(&["export", ".retake", "-o", "plain.retake"]).code, 0);
    assert!(desk.refused(&["verify", "plain.retake", "--signed-by", "id.pub"]).contains("there is no signature"));
    run(desk.path(), "ssh-keygen", &["-q", "-Y", "sign", "-n", "file", "-f", "id", "plain.retake"]);
    assert_eq!(desk.retake(&["verify", "plain.retake", "--signed-by", "allowed"]).code, 0);
    assert!(desk.retake(&["inspect", "plain.retake"]).out.contains("plain.retake.sig: it holds"));
    let mut bytes = fs::read(desk.path().join("plain.retake")).unwrap();
    bytes.push(0);
    fs::write(desk.path().join("plain.retake"), bytes).unwrap();
    let said = desk.refused(&["verify", "plain.retake", "--signed-by", "allowed"]);
    assert!(said.contains("cannot be trusted") && said.contains("one of the two was changed"), "{said}");
    assert!(desk.refused(&["verify", ".retake", "--signed-by", "id.pub"]).contains("only bundles are signed"));
}
