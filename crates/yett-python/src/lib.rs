//! The boundary between Python and the data plane.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

create_exception!(_core, YamlError, PyValueError, "Where and why a document does not parse: `args` is (line, column, message).");

/// Parses one YAML document to the JSON of `{"value": …, "marks": [line, column, …]}`.
#[pyfunction]
fn parse_yaml<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    match py.detach(|| yett_core::yaml::parse_bytes(text)) {
        Ok(json) => Ok(PyBytes::new(py, json.as_bytes())),
        Err(error) => Err(YamlError::new_err((error.line, error.column, error.message))),
    }
}

/// The reasons of refusals: a JSON list of `{code, status, fault, retry, title}`.
#[pyfunction]
fn reasons(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, yett_core::reason::to_json().as_bytes())
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(reasons, module)?)?;
    module.add("YamlError", module.py().get_type::<YamlError>())?;
    Ok(())
}
