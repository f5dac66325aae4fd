//! `retake ca`: the local certificate authority for recording TLS, and how to have it trusted.

use wire::ca::CertificateAuthority;

use crate::{args::CaArgs, authority::AuthorityFolder, console::Console, exit::Exit, trouble::Trouble};

/// Makes it where there is none, and shows it.
pub(crate) fn ca(args: &CaArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let folder = AuthorityFolder::of(args.dir.as_deref())?;
    let (authority, was_made) = folder.open(args.renew)?;
    let text = if args.print {
        authority.certificate_pem()
    } else if args.bundle {
        wire::ca::bundle_with_system_roots(&authority)
    } else if as_json {
        document(&authority, &folder, was_made)
    } else {
        page(&authority, &folder)
    };
    if args.renew {
        console.note("made anew: whatever trusted the former certificate has to be given this one");
    }
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

fn document(authority: &CertificateAuthority, folder: &AuthorityFolder, was_made: bool) -> String {
    let fields = serde_json::json!({
        "name": authority.name(),
        "certificate": folder.certificate(),
        "bundle": folder.bundle(),
        "sha256": authority.fingerprint(),
        "valid_until_unix_s": authority.validity().until_unix_s,
        "made": was_made,
    });
    report::json::document("ca", &fields)
}

fn page(authority: &CertificateAuthority, folder: &AuthorityFolder) -> String {
    let (certificate, bundle) = (folder.certificate(), folder.bundle());
    let (certificate, bundle) = (certificate.display(), bundle.display());
    let until = report::instant(authority.validity().until_unix_s.saturating_mul(1_000_000_000));
    format!(
        "\
{name}, valid until {until}
  certificate            {certificate}
  with the system's      {bundle}
  SHA-256                {fingerprint}

`retake capture --forward-proxy -- CMD` has CMD trust it. Elsewhere, tell what calls through the proxy:
  OpenSSL, Python, Go    SSL_CERT_FILE={bundle}
  requests               REQUESTS_CA_BUNDLE={bundle}
  curl                   CURL_CA_BUNDLE={bundle}
  Node                   NODE_EXTRA_CA_CERTS={certificate}
  Java                   keytool -importcert -noprompt -alias retake -file {certificate} \\
                           -keystore retake.p12 -storepass changeit, and
                           JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=retake.p12
  a Debian system        cp {certificate} /usr/local/share/ca-certificates/retake.crt
                           && update-ca-certificates
  a container            docker run -v {certificate}:/etc/retake-ca.pem:ro -e SSL_CERT_FILE=/etc/retake-ca.pem …

Its key lies beside it, readable for you alone. Whoever has it can read what trusts it: never pass it on.
",
        name = authority.name(),
        fingerprint = authority.fingerprint(),
    )
}
