//! Fuzzing: any document is built whole or refused with places, and what one says does not change by being read again.

use std::path::Path;
use std::sync::Arc;

use super::{Secrets, Snapshot};
use crate::shared::Shared;

#[test]
fn a_document_is_built_whole_or_refused_with_places() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config/cases/good");
    let paths = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path());
    let documents: Vec<Vec<u8>> = paths
        .filter(|path| path.to_string_lossy().ends_with(".ir.json"))
        .map(|path| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 12_000)
        .collect();
    let seeds: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let words: [&[u8]; 16] = [
        b"null",
        b"true",
        b"-1",
        b"18446744073709551616",
        b"\"\"",
        b"[]",
        b"{}",
        b",",
        b"\"name\":\"x\",",
        b"{rest...}",
        b"*.",
        b"1e9",
        b"\\u0000",
        b"/../",
        b"::",
        b"0",
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    crate::fuzz::run("ir", &seeds, &words, |data| {
        let shared = Arc::new(Shared::new(runtime.handle().clone(), [3; 32]));
        match Snapshot::build(data, &Secrets::default(), &shared) {
            Ok(snapshot) => {
                let more = [data, b" x"].concat();
                assert!(Snapshot::build(&more, &Secrets::default(), &shared).is_err(), "nothing may follow a document");
                assert_eq!(snapshot.routes.len(), snapshot.ir.routes.len(), "no route is dropped");
                assert_eq!(snapshot.providers.len(), snapshot.ir.providers.len(), "no provider is dropped");
                true
            }
            Err(errors) => {
                assert!(!errors.is_empty() && errors.iter().all(|error| !error.message.is_empty()), "{errors:?}");
                false
            }
        }
    });
}
