//! Signatures that one side makes and the other checks.

use sealing::{KeyError, Signature, SignatureError, Signers, SigningKey};

use crate::support::{Desk, content};

const KINDS: [(&str, &[&str]); 3] =
    [("ed", &["ed25519"]), ("rsa", &["rsa", "-b", "2048"]), ("ec", &["ecdsa", "-b", "256"])];

/// Who signed `case`, trusting what `signers` names.
fn signer(desk: &Desk, signers: &str) -> Result<String, SignatureError> {
    let mut trusted = Signers::new();
    trusted.add(signers).unwrap();
    let signature = Signature::read(&desk.path("case.sig"))?;
    signature.prove(&desk.open("case"), &desk.path("case"))?;
    trusted.who(&signature).map(|signer| signer.name.unwrap_or(signer.key))
}

#[test]
fn ssh_keygen_checks_what_we_sign_and_we_check_what_it_signs() {
    let Some(desk) = Desk::new() else { return };
    let plain = content(300_000);
    desk.write("case", &plain);
    for (name, kind) in KINDS {
        desk.ssh_key(name, kind, "");
        let allowed = format!("# ours\nann@example.org {}", desk.text(&format!("{name}.pub")));
        let allowed = desk.write("allowed", allowed.as_bytes()).display().to_string();
        match SigningKey::read(&desk.path(name)) {
            // The library checks RSA's signatures and makes none.
            Err(KeyError::Kind { kind, .. }) => assert_eq!((name, &*kind), ("rsa", "ssh-rsa")),
            read => {
                let text = read.unwrap().sign(&desk.open("case"), &desk.path("case")).unwrap();
                desk.write("case.sig", text.as_bytes());
                let verify = ["-Y", "verify", "-f", "allowed", "-I", "ann@example.org", "-n", "file", "-s", "case.sig"];
                desk.run("ssh-keygen", &verify, &plain).unwrap();
                assert_eq!(signer(&desk, &allowed).unwrap(), "ann@example.org", "{name}");
            }
        }
        for hash in ["sha512", "sha256"] {
            let option = format!("hashalg={hash}");
            let signed = desk.run("ssh-keygen", &["-Y", "sign", "-n", "file", "-O", &option, "-f", name], &plain);
            desk.write("case.sig", &signed.unwrap());
            assert_eq!(signer(&desk, &allowed).unwrap(), "ann@example.org", "{name} {hash}");
        }
        let public = desk.path(&format!("{name}.pub")).display().to_string();
        let shown = desk.run("ssh-keygen", &["-l", "-f", &public], b"").unwrap();
        let by_key = signer(&desk, &public).unwrap();
        let fingerprint = by_key.split(' ').nth(1).unwrap().to_owned();
        assert!(String::from_utf8(shown).unwrap().contains(&fingerprint), "{by_key}");
        assert_eq!(signer(&desk, desk.text(&format!("{name}.pub")).trim()).unwrap(), by_key);
    }
}

#[test]
fn a_changed_file_another_key_another_purpose_and_no_signature_are_four_different_errors() {
    let Some(desk) = Desk::new() else { return };
    desk.ssh_key("ed", &["ed25519"], "");
    desk.ssh_key("other", &["ed25519"], "");
    desk.write("case", b"what was signed");
    let public = desk.path("ed.pub").display().to_string();
    assert!(matches!(signer(&desk, &public), Err(SignatureError::Missing { .. })));
    let key = SigningKey::read(&desk.path("ed")).unwrap();
    let text = key.sign(&desk.open("case"), &desk.path("case")).unwrap();
    desk.write("case.sig", text.as_bytes());
    assert!(signer(&desk, &public).is_ok());
    let other = desk.path("other.pub").display().to_string();
    assert!(matches!(signer(&desk, &other), Err(SignatureError::Stranger { .. })));
    desk.write("case", b"what was changed");
    assert!(matches!(signer(&desk, &public), Err(SignatureError::Broken { .. })));
    desk.write("case", b"what was signed");
    let signed = desk.run("ssh-keygen", &["-Y", "sign", "-n", "git", "-f", "ed"], b"what was signed").unwrap();
    desk.write("case.sig", &signed);
    assert!(matches!(signer(&desk, &public), Err(SignatureError::Namespace { namespace, .. }) if namespace == "git"));
    let mut accepted = 0;
    for at in 0..text.len() {
        let mut flipped = text.clone().into_bytes();
        flipped[at] ^= 1;
        desk.write("case.sig", &flipped);
        // Lengths and bits that nothing depends on may differ; key, purpose, hash and signature are what they were.
        if let Ok(by) = signer(&desk, &public) {
            assert_eq!(by, key.name());
            accepted += 1;
        }
    }
    assert!(accepted < text.len() / 10, "{accepted} of {}", text.len());
}

#[test]
fn a_key_is_trusted_only_as_far_as_its_line_says() {
    let Some(desk) = Desk::new() else { return };
    desk.ssh_key("ed", &["ed25519"], "");
    desk.write("case", b"a bundle");
    let key = SigningKey::read(&desk.path("ed")).unwrap();
    desk.write("case.sig", key.sign(&desk.open("case"), &desk.path("case")).unwrap().as_bytes());
    let public = desk.text("ed.pub");
    let with = |options: &str| {
        let path = desk.write("allowed", format!("ann {options} {public}").as_bytes()).display().to_string();
        signer(&desk, &path)
    };
    assert_eq!(with(r#"namespaces="git,file""#).unwrap(), "ann");
    assert!(matches!(with(r#"namespaces="git""#), Err(SignatureError::Stranger { .. })));
    assert!(matches!(with(r#"valid-before="20010101""#), Err(SignatureError::Condition { line: 1, .. })));
    assert!(matches!(with("cert-authority"), Err(SignatureError::Condition { .. })));
    let mut signers = Signers::new();
    let broken = desk.write("broken", b"ann ssh-ed25519 AAAA\n").display().to_string();
    assert!(matches!(signers.add(&broken), Err(KeyError::SignerLine { line: 1, .. })));
    desk.ssh_key("locked", &["ed25519"], "a passphrase");
    let error = SigningKey::read(&desk.path("locked")).err().unwrap();
    assert!(
        matches!(error, KeyError::Protected { .. }) && error.help().unwrap().contains("ssh-keygen -Y sign"),
        "{error}"
    );
}
