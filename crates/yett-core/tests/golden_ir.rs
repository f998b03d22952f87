//! Every golden document that Python compiles is one that the data plane reads.

use std::path::Path;

use yett_core::ir::Ir;

#[test]
fn golden_documents_are_read() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config/cases/good");
    let mut read = 0;
    for entry in std::fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".ir.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut reader = serde_json::Deserializer::from_str(&text);
        if let Err(error) = serde_path_to_error::deserialize::<_, Ir>(&mut reader) {
            panic!("{}: {error}", path.display());
        }
        read += 1;
    }
    assert!(read >= 12, "only {read} documents were found");
}
