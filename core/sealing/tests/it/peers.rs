//! What one side encrypts the other decrypts.

use sealing::{DecryptError, Envelope, Identities, KeyError, RecipientKind, Recipients};

use crate::support::{Desk, content, decrypted, encrypted};

/// Lengths around the ends of age's pieces of 64 KiB.
const LENGTHS: [usize; 6] = [0, 1, 65_535, 65_536, 65_537, 200_000];

#[test]
fn what_is_encrypted_to_a_key_of_age_is_decrypted_by_age_and_the_other_way_round() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    for len in LENGTHS {
        let plain = content(len);
        desk.write("ours.age", &encrypted(&plain, &[&recipient]));
        assert!(desk.run("age", &["-d", "-i", "key.txt", "ours.age"], b"").unwrap() == plain, "{len}");
        assert!(decrypted(&desk.path("ours.age"), &[desk.path("key.txt")]).unwrap() == plain, "{len}");
        desk.run("age", &["-r", &recipient, "-o", "theirs.age"], &plain).unwrap();
        assert!(decrypted(&desk.path("theirs.age"), &[desk.path("key.txt")]).unwrap() == plain, "{len}");
        desk.run("age", &["-a", "-r", &recipient, "-o", "theirs.txt"], &plain).unwrap();
        assert!(decrypted(&desk.path("theirs.txt"), &[desk.path("key.txt")]).unwrap() == plain, "{len} as text");
    }
}

#[test]
fn keys_of_ssh_do_as_well_and_each_of_several_recipients_opens_it() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    desk.ssh_key("ed", &["ed25519"], "");
    desk.ssh_key("rsa", &["rsa", "-b", "2048"], "");
    let list = format!("# who may read it\n\n{recipient}\n{}{}", desk.text("ed.pub"), desk.text("rsa.pub"));
    let list = format!("@{}", desk.write("recipients", list.as_bytes()).display());
    let plain = content(100_000);
    desk.write("ours.age", &encrypted(&plain, &[&list]));
    let envelope = Envelope::read(&desk.open("ours.age")).unwrap();
    let kinds: Vec<_> = envelope.recipients.into_iter().collect();
    assert_eq!(kinds, [(RecipientKind::X25519, 1), (RecipientKind::SshEd25519, 1), (RecipientKind::SshRsa, 1)]);
    for key in ["key.txt", "ed", "rsa"] {
        assert!(desk.run("age", &["-d", "-i", key, "ours.age"], b"").unwrap() == plain, "{key}");
        assert!(decrypted(&desk.path("ours.age"), &[desk.path(key)]).unwrap() == plain, "{key}");
    }
    desk.run("age", &["-R", "ed.pub", "-R", "rsa.pub", "-o", "theirs.age"], &plain).unwrap();
    for key in ["ed", "rsa"] {
        let keys = [desk.path("key.txt"), desk.path(key)];
        assert!(decrypted(&desk.path("theirs.age"), &keys).unwrap() == plain, "{key}");
    }
}

#[test]
fn a_key_that_does_not_open_it_is_told_for_whom_it_is_and_a_passphrase_is_left_to_age() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    desk.age_key("other.txt");
    desk.write("ours.age", &encrypted(b"secret", &[&recipient]));
    let error = decrypted(&desk.path("ours.age"), &[desk.path("other.txt")]).unwrap_err();
    assert_eq!(error.to_string(), "none of the keys given opens it: it was encrypted to 1 age key (age1…)");
    assert!(error.help().unwrap().contains("--identity"));
    desk.ssh_key("locked", &["ed25519"], "a passphrase");
    let error = Identities::read(&[desk.path("locked")]).err().unwrap();
    assert!(matches!(error, KeyError::Protected { .. }) && error.help().unwrap().contains("age -d"), "{error}");
    let scrypt = b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\nAAAA\n--- AAAA\n";
    let error = decrypted(&desk.write("passphrase.age", scrypt), &[desk.path("key.txt")]).unwrap_err();
    assert!(matches!(error, DecryptError::Passphrase), "{error}");
}

#[test]
fn what_is_no_key_is_refused_with_its_place_and_a_private_one_is_never_quoted() {
    let Some(desk) = Desk::new() else { return };
    let recipient = desk.age_key("key.txt");
    desk.ssh_key("ec", &["ecdsa"], "");
    let refused = |text: &str| Recipients::new().add(text).unwrap_err();
    let secret = desk.text("key.txt").lines().last().unwrap().to_owned();
    assert!(matches!(refused(&secret), KeyError::Private { .. }) && !refused(&secret).to_string().contains(&secret));
    assert!(matches!(refused(&desk.text("ec.pub")), KeyError::Kind { kind, .. } if kind == "ecdsa-sha2-nistp256"));
    let list = desk.write("list", format!("{recipient}\nage1wrong\n").as_bytes());
    let error = refused(&format!("@{}", list.display())).to_string();
    assert!(error.contains("list`, line 2: this is no public key"), "{error}");
    let empty = desk.write("empty", b"# nobody\n");
    assert!(matches!(refused(&format!("@{}", empty.display())), KeyError::Empty { .. }));
    let identity = |path| Identities::read(&[path]).err().unwrap().to_string();
    let error = identity(desk.write("mixed", format!("{secret}\nsomething\n").as_bytes()));
    assert!(error.contains("line 2") && !error.contains("something"), "{error}");
    assert!(identity(desk.path("ec.pub")).contains("public") || identity(desk.path("ec.pub")).contains("line 1"));
    assert!(identity(desk.folder.path().to_owned()).contains("it is no file"));
}
