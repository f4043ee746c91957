//! Tools that are written for Node, each with its packages in a folder of its own below Cargo's target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use crate::{python::must_run, target_folder};

/// The folder with the `node_modules` that `package` (a package.json with exact versions) names. It is made once and kept
/// until that file changes.
pub fn modules(name: &str, package: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let folder = target_folder().join("node").join(name);
    let (modules, made) = (folder.join("node_modules"), folder.join("made-from.json"));
    let wanted = fs::read(package).unwrap();
    if fs::read(&made).is_ok_and(|from| from == wanted) {
        return modules;
    }
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("package.json"), &wanted).unwrap();
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund"]);
    must_run(npm.arg("--no-package-lock").current_dir(&folder));
    fs::write(made, wanted).unwrap();
    modules
}
