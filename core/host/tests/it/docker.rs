//! Against a real engine. Skipped, and said so, where none answers; with `RETAKE_REQUIRE_DOCKER=1` that is a failure.
//! What happens inside a container is tested where init is.

use std::{collections::BTreeMap, env, fs, io::Write as _, process::Command};

use bytes::Bytes;
use exchange::{Mount, VariableValue};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use host::{Docker, DockerError, OWNER_LABEL, RUN_LABEL, SameImage};

async fn engine() -> Option<Docker> {
    let error = match Docker::connect().await {
        Ok(docker) => return Some(docker),
        Err(error) => error,
    };
    assert!(env::var_os("RETAKE_REQUIRE_DOCKER").is_none_or(|value| value != "1"), "{error}");
    let line = format!("{}: {error}", std::thread::current().name().unwrap_or("docker"));
    eprintln!("skipped: {line}");
    if let Some(path) = env::var_os("RETAKE_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(skips, "{line}").unwrap();
    }
    None
}

/// Runs the engine's own client.
fn client(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An image of one small file that no other test has, with an entrypoint and a secret; removed when dropped.
struct Image {
    name: String,
    archive: tempfile::TempDir,
}

impl Image {
    fn make(name: &str) -> Self {
        let name = format!("retake-test/{name}:{}", std::process::id());
        let archive = tempfile::tempdir().unwrap();
        fs::write(archive.path().join("content"), &name).unwrap();
        let tar = archive.path().join("layer.tar");
        let packed =
            Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(archive.path()).arg("content").status().unwrap();
        assert!(packed.success());
        let image = Self { name, archive };
        image.import(&image.name, "/serve");
        image
    }

    /// The same layer again, as an image of its own.
    fn import(&self, name: &str, entrypoint: &str) {
        let entrypoint = format!("ENTRYPOINT [{entrypoint:?}]");
        let tar = self.archive.path().join("layer.tar").display().to_string();
        client(&["import", "-c", &entrypoint, "-c", "ENV API_KEY=k-0123456789abcdef LANG=C", &tar, name]);
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "-f", &self.name]).output().unwrap();
    }
}

/// A container that was never started; removed when dropped.
struct Created(String);

impl Created {
    fn of(image: &Image, options: &[&str]) -> Self {
        Self(client(&[&["create"], options, &[&image.name, "--speed", "2"]].concat()))
    }

    fn exists(&self) -> bool {
        Command::new("docker").args(["inspect", &self.0]).output().unwrap().status.success()
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        Command::new("docker").args(["rm", "-f", &self.0]).output().unwrap();
    }
}

#[tokio::test]
async fn docker_an_image_saved_removed_and_loaded_again_is_the_same_image() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("roundtrip");
    let (_, identity) = docker.image_identity(&image.name).await.unwrap();
    assert!(identity.config_digest.as_deref().unwrap().starts_with("sha256:"));
    assert_eq!((identity.layers.len(), identity.platform.as_str()), (1, "linux/amd64"));
    assert_eq!(
        (&identity.runtime.entrypoint[..], &identity.tags[..]),
        (&["/serve".to_owned()][..], &[image.name.clone()][..])
    );

    let pieces: Vec<Bytes> = docker.save_image(&image.name).try_collect().await.unwrap();
    docker.remove_image(&image.name).await.unwrap();
    let gone = docker.image_identity(&image.name).await.unwrap_err();
    assert!(matches!(gone, DockerError::NoImage { .. }), "{gone}");
    assert_eq!(docker.find_image(&identity).await.unwrap(), None);
    docker.load_image(stream::iter(pieces).map(Ok)).await.unwrap();
    assert_eq!(docker.find_image(&identity).await.unwrap().unwrap().same, SameImage::ConfigDigest);
}

#[tokio::test]
async fn docker_an_image_made_again_is_the_same_by_its_layers_unless_it_runs_something_else() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("rebuilt");
    let (_, identity) = docker.image_identity(&image.name).await.unwrap();
    client(&["rmi", &image.name]);
    image.import(&image.name, "/serve-another");
    assert_eq!(docker.find_image(&identity).await.unwrap(), None);
    client(&["rmi", &image.name]);
    image.import(&image.name, "/serve");
    let found = docker.find_image(&identity).await.unwrap().unwrap();
    assert_ne!(found.identity.config_digest, identity.config_digest);
    assert_eq!(found.same, SameImage::LayersAndRuntime);
}

#[tokio::test]
async fn docker_what_is_no_image_is_refused_when_it_is_loaded() {
    let Some(docker) = engine().await else { return };
    let archive = stream::iter([Ok(Bytes::from_static(b"not a tar"))]);
    let error = docker.load_image(archive).await.unwrap_err();
    assert!(matches!(error, DockerError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn docker_a_container_is_described_as_it_was_started_and_its_secrets_are_hashed() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("described");
    let options = [
        "-e",
        "DB_PASSWORD=hunter2hunter2",
        "-e",
        "PORT=80",
        "--user",
        "1000:1000",
        "--read-only",
        "--workdir",
        "/srv",
    ];
    let limits =
        ["--memory", "64m", "--cpus", "1.5", "--ulimit", "nofile=100:200", "--tmpfs", "/tmp", "--network", "none"];
    let container =
        Created::of(&image, &[&options[..], &limits, &["--hostname", "box", "-v", "/usr/share:/data:ro"]].concat());
    let identity = docker.container_identity(&container.0, None, &[]).await.unwrap();

    let config = &identity.config;
    assert_eq!(
        (&config.entrypoint[..], &config.command[..]),
        (&["/serve".to_owned()][..], &["--speed".to_owned(), "2".to_owned()][..])
    );
    assert_eq!(
        (config.user.as_str(), config.working_dir.as_str(), config.hostname.as_str()),
        ("1000:1000", "/srv", "box")
    );
    assert_eq!((config.network.as_str(), config.read_only), ("none", true));
    assert_eq!((config.limits.memory_bytes, config.limits.cpu_nanos), (Some(64 << 20), Some(1_500_000_000)));
    assert_eq!(config.limits.ulimits, ["nofile=100:200"]);
    let mount = |path: &str, kind: &str, source: &str, read_only| Mount {
        path: path.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        read_only,
        ..Mount::default()
    };
    let scratch = Mount { options: config.mounts[1].options.clone(), ..mount("/tmp", "tmpfs", "", false) };
    assert_eq!(config.mounts, [mount("/data", "bind", "/usr/share", true), scratch]);

    let named = |name: &str| &config.variables.iter().find(|variable| variable.name == name).unwrap().value;
    assert_eq!(named("PORT"), &VariableValue::Plain("80".to_owned()));
    let VariableValue::Secret { salt, hash, .. } = named("DB_PASSWORD") else { panic!("kept in plain") };
    assert!(host::secret::is_same_secret("hunter2hunter2", salt, hash));
    let kept = serde_json::to_string(&identity).unwrap();
    assert!(!kept.contains("hunter2") && !kept.contains("0123456789abcdef"), "{kept}");
}

#[tokio::test]
async fn docker_a_container_that_is_not_there_is_named() {
    let Some(docker) = engine().await else { return };
    let error = docker.container_identity("retake-no-such-container", None, &[]).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no container `retake-no-such-container`");
}

#[tokio::test]
async fn docker_what_a_dead_owner_left_behind_is_removed_and_what_is_not_ours_stays() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("left-behind");
    let run = format!("{RUN_LABEL}=test");
    // Process 1 is there, and did not start four months after the machine.
    let alive = host::owner_of(1).unwrap();
    let (_, here) = alive.split_once('@').unwrap();
    let owned_by = |owner: &str| format!("{OWNER_LABEL}={owner}");
    let of = |owner: &str| Created::of(&image, &["--label", &run, "--label", &owned_by(owner)]);
    let dead_one = format!("1:999999999@{here}");
    let dead = of(&dead_one);
    let stays = [Created::of(&image, &[]), of(&alive), of("1:999999999@another-machine/4026531836")];
    let volume = client(&["volume", "create", "--label", &run, "--label", &owned_by(&dead_one)]);
    let volume_elsewhere =
        client(&["volume", "create", "--label", &run, "--label", &owned_by("1:9@another-machine/1")]);
    assert!(docker.remove_left_behind().await.unwrap() >= 2);
    let volumes = client(&["volume", "ls", "-q"]);
    client(&["volume", "rm", &volume_elsewhere]);
    assert!(!dead.exists() && !volumes.contains(&volume));
    assert!(stays.iter().all(Created::exists) && volumes.contains(&volume_elsewhere));
}

#[tokio::test]
async fn docker_the_packages_of_an_image_are_read_without_running_anything() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("packages");
    let container = Created::of(&image, &[]);
    assert_eq!(docker.packages(&container.0).await.unwrap(), []);

    let folder = tempfile::tempdir().unwrap();
    let dpkg = folder.path().join("var/lib/dpkg");
    fs::create_dir_all(&dpkg).unwrap();
    fs::write(dpkg.join("status"), "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n").unwrap();
    client(&["cp", &folder.path().join("var").display().to_string(), &format!("{}:/", container.0)]);
    let packages = docker.packages(&container.0).await.unwrap();
    assert_eq!((packages.len(), packages[0].name.as_str(), packages[0].version.as_str()), (1, "libc6", "2.36-9"));
}

#[tokio::test]
async fn docker_a_derived_images_variables_have_their_values_to_the_byte() {
    let Some(docker) = engine().await else { return };
    let image = Image::make("derived");
    let values =
        [("A", "$HOME ${PATH} `id`"), ("B", "\"quoted\" 'and' \\ \\n"), ("C", "two\nlines\tü=="), ("LANG", "C.UTF-8")];
    let variables: BTreeMap<_, _> = values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let derived = Image { name: format!("{}-derived", image.name), archive: tempfile::tempdir().unwrap() };
    let engine_id = docker.derive_image(&image.name, &variables, &derived.name).await.unwrap();

    let (found_id, identity) = docker.image_identity(&derived.name).await.unwrap();
    assert_eq!(found_id, engine_id);
    for (name, value) in values {
        let found = identity.runtime.variables.iter().find(|variable| variable.name == name).unwrap();
        assert_eq!(found.value, VariableValue::Plain(value.to_owned()));
    }
    assert_eq!(identity.runtime.variables.len(), 5, "API_KEY stays");
    assert_eq!(identity.runtime.entrypoint, ["/serve"]);
    let (_, base) = docker.image_identity(&image.name).await.unwrap();
    assert_eq!(host::same_image(&base, &identity), None);
}

#[tokio::test]
async fn docker_an_engine_behind_a_port_is_the_same_engine() {
    let Some(docker) = engine().await else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let forwarder = tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let behind = Docker::connect_to(&address).await.unwrap();
    assert_eq!(behind.version(), docker.version());
    let image = Image::make("behind");
    let (_, wanted) = docker.image_identity(&image.name).await.unwrap();
    assert_eq!(behind.find_image(&wanted).await.unwrap().unwrap().same, SameImage::ConfigDigest);
    forwarder.abort();
}

#[tokio::test]
async fn no_engine_is_named_with_what_to_do() {
    let silent = Docker::connect_to("tcp://127.0.0.1:1").await.err().unwrap();
    assert_eq!(silent.to_string(), "no container engine answers at `tcp://127.0.0.1:1`");
    assert!(silent.help().unwrap().contains("set DOCKER_HOST"));
    let remote = Docker::connect_to("ssh://somewhere").await.err().unwrap();
    assert!(remote.help().unwrap().contains("ssh -nNT -L"), "{remote}");
}
