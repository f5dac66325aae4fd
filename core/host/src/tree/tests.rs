use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

fn plainly() -> Looking {
    Looking::default()
}

/// The folder as the engine gives it.
fn packed(folder: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("models", folder).unwrap();
    builder.into_inner().unwrap()
}

fn digest(folder: &Path) -> Digest {
    local_tree(folder, &plainly()).unwrap().digest
}

#[test]
fn a_folder_has_the_digest_of_its_tar_and_every_change_of_it_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("a/empty")).unwrap();
    fs::write(path("a/weights"), "w").unwrap();
    fs::write(path("run.sh"), "#!").unwrap();
    symlink("a/weights", path("latest")).unwrap();
    let tree = local_tree(folder.path(), &plainly()).unwrap();
    assert_eq!((tree.files, tree.bytes), (2, 3));
    assert_eq!(tar_tree(&packed(folder.path())[..], &plainly()).unwrap(), tree);

    let mut seen = vec![tree.digest];
    let changes: [&dyn Fn(); 5] = [
        &|| fs::write(path("a/weights"), "v").unwrap(),
        &|| fs::set_permissions(path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap(),
        &|| fs::rename(path("run.sh"), path("go.sh")).unwrap(),
        &|| fs::remove_dir(path("a/empty")).unwrap(),
        &|| {
            fs::remove_file(path("latest")).unwrap();
            symlink("go.sh", path("latest")).unwrap();
        },
    ];
    for change in changes {
        change();
        let now = digest(folder.path());
        assert!(!seen.contains(&now));
        seen.push(now);
    }
}

#[test]
fn a_mount_in_another_is_left_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("app/modules/deep")).unwrap();
    fs::write(path("app/main"), "m").unwrap();
    fs::create_dir(path("app/modules2")).unwrap();
    let looking = Looking { without: vec!["modules".to_owned()], ..Looking::default() };
    let whole = |folder: &Path| local_tree(folder, &looking).unwrap();
    let before = whole(&path("app"));
    fs::write(path("app/modules/deep/file"), "other").unwrap();
    assert_eq!(whole(&path("app")), before);
    assert_eq!(tar_tree(&packed(&path("app"))[..], &looking).unwrap(), before);
    fs::write(path("app/modules2/file"), "other").unwrap();
    assert_ne!(whole(&path("app")), before);
}

#[test]
fn a_file_alone_has_the_digest_of_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    fs::write(&path, "weights").unwrap();
    let tree = local_tree(&path, &plainly()).unwrap();
    assert_eq!((tree.digest, tree.bytes, tree.files), (Digest::of(b"weights"), 7, 1));
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_path_with_name(&path, "model.bin").unwrap();
    assert_eq!(tar_tree(&builder.into_inner().unwrap()[..], &plainly()).unwrap(), tree);
}

#[test]
fn what_is_beyond_the_limits_is_refused_and_what_is_no_tar_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "12345").unwrap();
    let within = |limits| Looking { limits, ..Looking::default() };
    let small = within(TreeLimits { bytes_max: 4, entries_max: 10 });
    assert_eq!(local_tree(folder.path(), &small).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(tar_tree(&packed(folder.path())[..], &small).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let few = within(TreeLimits { entries_max: 0, ..TreeLimits::default() });
    assert_eq!(local_tree(folder.path(), &few).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert!(tar_tree(&[7_u8; 2048][..], &plainly()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_folder_has_the_digest_of_its_tar(
        files in prop::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,2}\\.f", "[ -~]{0,9}", 0..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in &files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let tree = local_tree(folder.path(), &plainly()).unwrap();
        prop_assert_eq!(tar_tree(&packed(folder.path())[..], &plainly()).unwrap(), tree);
    }
}

/// As a capture looks at what a container has mounted there.
fn salted(mounted_at: &str) -> Looking {
    Looking { mounted_at: mounted_at.to_owned(), salt: Some([7; 16]), ..Looking::default() }
}

#[test]
fn of_a_secret_only_a_slow_hash_with_a_salt_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "0451").unwrap();
    fs::write(folder.path().join("weights"), "w").unwrap();
    let look = |path: &Path, looking: &Looking| local_tree(path, looking).unwrap();

    let alone = look(&token, &salted("/run/secrets/token"));
    assert!(alone.has_secrets && alone.digest != Digest::of(b"0451"));
    let other_salt = Looking { salt: Some([8; 16]), ..salted("/run/secrets/token") };
    assert_ne!(look(&token, &other_salt).digest, alone.digest);
    assert_eq!(look(&token, &salted("/models/part")).digest, Digest::of(b"0451"), "its name says nothing");

    let recorded = look(folder.path(), &salted("/data"));
    let outline = recorded.outline();
    assert_eq!(tar_tree(&packed(folder.path())[..], &salted("/data")).unwrap(), recorded);
    // Knowing all but the secret, its digits cannot be tried out on what is kept of the files by themselves.
    fs::write(&token, "1234").unwrap();
    let other = look(folder.path(), &salted("/data"));
    assert_eq!(other.outline(), outline);
    assert_ne!(other.digest, recorded.digest);
    assert_eq!(other.difference(&outline).unwrap().to_string(), "`token` differs");
}

#[test]
fn the_first_thing_that_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("a/b")).unwrap();
    for name in ["a/b/weights", "a-b", "a/config", "z"] {
        fs::write(path(name), name).unwrap();
    }
    let recorded = local_tree(folder.path(), &plainly()).unwrap();
    let outline = recorded.outline();
    let listed: Vec<_> = outline.iter().map(|entry| (entry.path.as_str(), entry.bytes)).collect();
    assert_eq!(listed, [("a-b", 3), ("a/b/weights", 11), ("a/config", 8), ("z", 1)]);
    assert_eq!(recorded.difference(&outline), None);

    let differs = || local_tree(folder.path(), &plainly()).unwrap().difference(&outline).unwrap().to_string();
    fs::write(path("z"), "y").unwrap();
    assert_eq!(differs(), "`z` differs");
    fs::write(path("new"), "").unwrap();
    assert_eq!(differs(), "`new` was not there");
    fs::remove_file(path("a/b/weights")).unwrap();
    assert_eq!(differs(), "`a/b/weights` is missing");
    fs::remove_file(path("a-b")).unwrap();
    fs::create_dir(path("a-b")).unwrap();
    assert_eq!(differs(), "something in `a-b/` differs");
}

#[test]
fn a_folder_of_very_many_files_is_kept_in_few_entries_that_cover_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for number in 0..200 {
        fs::create_dir_all(path(&format!("many/{number}"))).unwrap();
        fs::write(path(&format!("many/{number}/file")), "x").unwrap();
    }
    fs::create_dir_all(path("few/deep")).unwrap();
    fs::write(path("few/deep/file"), "x").unwrap();
    let outline = local_tree(folder.path(), &plainly()).unwrap().outline();
    let listed: Vec<_> = outline.iter().map(|entry| (entry.path.as_str(), entry.bytes)).collect();
    assert_eq!(listed, [("few/deep/file", 1), ("many", 200)]);
    fs::write(path("many/7/file"), "y").unwrap();
    let differs = local_tree(folder.path(), &plainly()).unwrap().difference(&outline).unwrap();
    assert_eq!(differs, Difference::Inside("many".to_owned()));
}
