//! Clients that other programs make from the OpenAPI document, against a serving peer, as the page about scripts tells.

use std::{collections::BTreeSet, fs, path::Path, process::Command, process::Stdio};

use serde_json::Value;
use testkit::{node, python};

use super::{
    Ran,
    walk::{GENERATED, sections, typed},
};

/// What imports every module of a package, and names it.
const IMPORT_ALL: &str = "
import importlib, pkgutil, colis_client
for module in pkgutil.walk_packages(colis_client.__path__, 'colis_client.'):
    importlib.import_module(module.name)
    print(module.name)
";

#[test]
fn clients_made_from_the_document_upload_list_and_download() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/examples/generated");
    let python = python::environment("generated", &here.join("requirements.txt"));
    let modules = node::modules("generated", &here.join("package.json"));
    let needed = |title: &str| {
        title.starts_with("Two peers")
            || title.starts_with("A certificate")
            || title.starts_with("Seal")
            || title == GENERATED
    };
    let (root, mut shell) = typed(&sections(needed), &[&python]);
    std::os::unix::fs::symlink(modules, root.path().join("node_modules")).unwrap();
    let ran = Ran::from(shell.output().unwrap());
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    let sent = ran.out.matches("sent 5 of 5 chunks: stored").count();
    assert_eq!(sent, 2, "{}", ran.out);
    let photo = |name: &str| fs::read(root.path().join(name)).unwrap();
    for by in ["python", "node"] {
        let opened = photo(&format!("opened-by-{by}/a photo.jpg"));
        assert!(opened == photo("a photo.jpg"), "{by}");
    }
    let said = format!("{}{}", ran.out, ran.err);
    for word in ["WARNING", "Warning(s)", "Unable to", "Cannot parse"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    nothing_is_left_out(root.path(), &python);
}

/// Each operation of the document and each of its schemas is in the generated package, and all of it can be imported.
fn nothing_is_left_out(root: &Path, python: &Path) {
    let mut import = Command::new(python.join("python"));
    import.args(["-c", IMPORT_ALL]).current_dir(root);
    let imported = python::must_run(import.stdin(Stdio::null()));
    let imported = String::from_utf8(imported.stdout).unwrap();
    let imported: BTreeSet<_> = imported.lines().collect();
    let document = fs::read(root.join("openapi.json")).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    for operation in operations {
        let text = |value: &Value| value.as_str().unwrap().to_lowercase();
        let (tag, id) = (text(&operation["tags"][0]), text(&operation["operationId"]));
        let module = format!("colis_client.api.{tag}.{id}");
        assert!(imported.contains(module.as_str()), "{module}: {imported:?}");
    }
    let models = imported
        .iter()
        .filter(|name| name.starts_with("colis_client.models."));
    let schemas = document["components"]["schemas"].as_object().unwrap().len();
    assert!(models.count() < schemas + 10, "a model for each status?");
}
