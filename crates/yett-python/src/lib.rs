//! The boundary between Python and the data plane.
//!
//! One document in, bytes and lists of text out. Every call that may wait releases the interpreter; a bug of the data
//! plane arrives as `InternalError`, never as a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use yett_core::snapshot::{LoadError, Secrets};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

create_exception!(_core, YamlError, PyValueError, "Where and why a document does not parse: `args` is (line, column, message).");
create_exception!(
    _core,
    ApplyError,
    PyValueError,
    "Why a configuration was refused: `args[0]` is a JSON list of {pointer, message}."
);
create_exception!(_core, InternalError, PyRuntimeError, "A bug of the data plane; what served before serves on.");

/// Longest wait that a caller may ask for, seconds: a day.
const MAX_WAIT_S: f64 = 86_400.0;

/// Runs `work` without the interpreter. A panic becomes `InternalError`; its text stays on standard error.
fn outside<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .map_err(|_| InternalError::new_err("a bug in the data plane interrupted this call; please report it"))
}

fn seconds(value: f64) -> PyResult<Duration> {
    if value.is_nan() || value < 0.0 {
        return Err(PyValueError::new_err(format!("`{value}` is no time to wait; give seconds, 0 or more")));
    }
    Ok(Duration::from_secs_f64(value.min(MAX_WAIT_S)))
}

/// Parses one YAML document to the JSON of `{"value": …, "marks": [line, column, …]}`.
#[pyfunction]
fn parse_yaml<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    match outside(py, || yett_core::yaml::parse_bytes(text))? {
        Ok(json) => Ok(PyBytes::new(py, json.as_bytes())),
        Err(error) => Err(YamlError::new_err((error.line, error.column, error.message))),
    }
}

/// The reasons of refusals: a JSON list of `{code, status, fault, retry, title}`.
#[pyfunction]
fn reasons(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, yett_core::reason::to_json().as_bytes())
}

/// Whether a signature is that of a public key; see `identity_assertion::verify_signature`.
#[pyfunction]
#[pyo3(signature = (algorithm, key, message, signature, /))]
fn verify_signature(algorithm: &str, key: &[u8], message: &[u8], signature: &[u8]) -> PyResult<bool> {
    yett_core::filters::identity_assertion::verify_signature(algorithm, key, message, signature).map_err(PyValueError::new_err)
}

/// The first fault of a condition; see `filters::authorize::condition::check`.
#[pyfunction]
#[pyo3(signature = (source, readable, /))]
fn check_condition(py: Python<'_>, source: &str, readable: &[u8]) -> PyResult<Option<(usize, String)>> {
    use yett_core::filters::authorize::condition::check;
    let readable = serde_json::from_slice(readable)
        .map_err(|error| PyValueError::new_err(format!("what may be read is not valid: {error}")))?;
    Ok(outside(py, || check(source, &readable))?.err().map(|fault| (fault.at, fault.message)))
}

/// The first fault of a JSON Schema; see `filters::request_validation::schema::check`.
#[pyfunction]
#[pyo3(signature = (schema, formats, /))]
fn check_schema(py: Python<'_>, schema: &[u8], formats: bool) -> PyResult<Option<(String, String)>> {
    let fault = outside(py, || yett_core::filters::request_validation::schema::check(schema, formats))?.err();
    Ok(fault.map(|fault| (fault.pointer, fault.message)))
}

/// What the requests of one operation have to be; see `filters::request_validation::contract`.
#[pyclass(frozen, module = "yett._core")]
struct RequestContract(yett_core::filters::request_validation::contract::Contract);

#[pymethods]
impl RequestContract {
    #[new]
    #[pyo3(signature = (document, variables, /))]
    fn new(py: Python<'_>, document: &[u8], variables: Vec<String>) -> PyResult<Self> {
        use yett_core::filters::request_validation::contract::Contract;
        outside(py, || Contract::build(document, &variables))?.map(Self).map_err(PyValueError::new_err)
    }

    /// Nothing, or why a request is refused: JSON.
    #[pyo3(signature = (method, query, variables, headers, body, /))]
    fn refusal(
        &self,
        py: Python<'_>,
        method: &str,
        query: &[u8],
        variables: Vec<String>,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        body: &[u8],
    ) -> PyResult<Option<String>> {
        use yett_core::filters::request_validation::contract::Asked;
        let asked = Asked { method, query, variables: &variables, headers: &headers, body };
        outside(py, || self.0.refusal(&asked))
    }
}

/// Binds listeners without serving them; see `gateway::bind_early`.
#[pyfunction]
#[pyo3(signature = (wanted, /))]
fn bind<'py>(py: Python<'py>, wanted: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let given = outside(py, || yett_core::gateway::bind_early(wanted))?.map_err(PyRuntimeError::new_err)?;
    Ok(PyBytes::new(py, &given))
}

/// A running data plane. Several may live in one process.
#[pyclass(frozen, module = "yett._core")]
struct Gateway(yett_core::gateway::Gateway);

#[pymethods]
impl Gateway {
    #[new]
    #[pyo3(signature = (options_json, /))]
    fn new(py: Python<'_>, options_json: &[u8]) -> PyResult<Self> {
        let options = serde_json::from_slice(options_json)
            .map_err(|error| PyValueError::new_err(format!("the options are not valid: {error}")))?;
        outside(py, || yett_core::gateway::Gateway::start(&options))?.map(Self).map_err(PyRuntimeError::new_err)
    }

    /// Serves this document, or raises and changes nothing; the revision.
    #[pyo3(signature = (ir, secrets, /))]
    fn apply(&self, py: Python<'_>, ir: &[u8], secrets: &Bound<'_, PyDict>) -> PyResult<String> {
        let owned = owned(secrets)?;
        outside(py, || self.0.apply(ir, &owned))?.map_err(|errors| ApplyError::new_err(errors_json(&errors)))
    }

    /// Revision, listeners, workers, connections: JSON.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.status())?.as_bytes()))
    }

    /// Prometheus text.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.metrics())?.as_bytes()))
    }

    /// Replaces the challenges of certificate authorities: JSON of `{token: answer}`.
    #[pyo3(signature = (document, /))]
    fn set_challenges(&self, py: Python<'_>, document: &[u8]) -> PyResult<()> {
        outside(py, || self.0.set_challenges(document))?.map_err(PyValueError::new_err)
    }

    /// Counts an order of a certificate, for the metrics.
    #[pyo3(signature = (issued, /))]
    fn count_order(&self, py: Python<'_>, issued: bool) -> PyResult<()> {
        outside(py, || self.0.count_order(issued))
    }

    /// When API keys were last used, by provider and id: JSON of Unix seconds, to the minute.
    fn key_uses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.key_uses())?.as_bytes()))
    }

    /// Lists, makes or undoes revocations; see `gateway::revoking`.
    #[pyo3(signature = (request, /))]
    fn revocations<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.revocations(request))?.as_bytes()))
    }

    /// Shows bans of guarded logins, or lifts one; see `Gateway::bans`.
    #[pyo3(signature = (request, /))]
    fn bans<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.bans(request))?.as_bytes()))
    }

    /// Shows use of quotas, or gives a key its whole quota again; see `Gateway::quotas`.
    #[pyo3(signature = (request, /))]
    fn quotas<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, outside(py, || self.0.quotas(request))?.as_bytes()))
    }

    /// Opens access log files again.
    fn reopen_logs(&self, py: Python<'_>) -> PyResult<()> {
        outside(py, || self.0.reopen_logs())
    }

    /// Events as JSON lines; waits at most so many seconds for the first.
    #[pyo3(signature = (timeout_s, /))]
    fn events(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<String>> {
        let timeout = seconds(timeout_s)?;
        outside(py, || self.0.events(timeout))
    }

    /// The descriptors of all listeners, once more: JSON. The caller closes them.
    fn hand_over<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let given = outside(py, || self.0.hand_over())?.map_err(PyRuntimeError::new_err)?;
        Ok(PyBytes::new(py, &given))
    }

    /// Whether every worker answers within so many seconds.
    #[pyo3(signature = (timeout_s, /))]
    fn alive(&self, py: Python<'_>, timeout_s: f64) -> PyResult<bool> {
        let timeout = seconds(timeout_s)?;
        outside(py, || self.0.alive(timeout))
    }

    /// Drains for a successor on the same sockets, for at most so many seconds, then closes.
    #[pyo3(signature = (deadline_s, /))]
    fn leave(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = seconds(deadline_s)?;
        outside(py, || self.0.leave(deadline))
    }

    /// Drains for at most so many seconds, then closes. Idempotent.
    #[pyo3(signature = (deadline_s, /))]
    fn stop(&self, py: Python<'_>, deadline_s: f64) -> PyResult<()> {
        let deadline = seconds(deadline_s)?;
        outside(py, || self.0.stop(deadline))
    }
}

/// A configuration that answers questions, without a socket.
#[pyclass(frozen, module = "yett._core")]
struct Engine(yett_core::decide::Engine);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (ir, secrets, /, *, offline=false))]
    fn new(py: Python<'_>, ir: &[u8], secrets: &Bound<'_, PyDict>, offline: bool) -> PyResult<Self> {
        let owned = owned(secrets)?;
        let built = outside(py, || yett_core::decide::Engine::build(ir, &owned, offline))?;
        built.map(Self).map_err(|errors| ApplyError::new_err(errors_json(&errors)))
    }

    /// What would become of a request: JSON in, JSON out.
    #[pyo3(signature = (question, /))]
    fn decide<'py>(&self, py: Python<'py>, question: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let question = serde_json::from_slice(question)
            .map_err(|error| PyValueError::new_err(format!("the question is not valid: {error}")))?;
        let decision = outside(py, || self.0.decide(&question))?.map_err(PyValueError::new_err)?;
        let json = serde_json::to_vec(&decision).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &json))
    }

    /// Many of them, each as if it were the only one: JSON of `{"callers", "questions"}` in, a JSON list of decisions or `{"error"}` out.
    #[pyo3(signature = (batch, /))]
    fn decide_many<'py>(&self, py: Python<'py>, batch: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let json = outside(py, || self.0.decide_json(batch))?.map_err(PyValueError::new_err)?;
        Ok(PyBytes::new(py, &json))
    }

    /// Events that building and deciding left, as JSON lines.
    fn events(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        outside(py, || self.0.events())
    }
}

/// Decision records against a configuration; see `decisions::replay`.
#[pyclass(frozen, module = "yett._core")]
struct Replay(yett_core::decisions::replay::Replay);

#[pymethods]
impl Replay {
    #[new]
    #[pyo3(signature = (ir, secrets, key, /))]
    fn new(py: Python<'_>, ir: &[u8], secrets: &Bound<'_, PyDict>, key: Option<&[u8]>) -> PyResult<Self> {
        let owned = owned(secrets)?;
        let built = outside(py, || yett_core::decisions::replay::Replay::build(ir, &owned, key))?;
        built.map(Self).map_err(|errors| ApplyError::new_err(errors_json(&errors)))
    }

    /// Judges these lines; what comes after the last line end waits for more.
    #[pyo3(signature = (lines, /))]
    fn feed(&self, py: Python<'_>, lines: &[u8]) -> PyResult<()> {
        outside(py, || self.0.feed(lines))
    }

    /// Judges what is left, and says what came of all: JSON.
    fn finish(&self, py: Python<'_>) -> PyResult<String> {
        outside(py, || self.0.finish())
    }
}

fn owned(secrets: &Bound<'_, PyDict>) -> PyResult<Secrets> {
    let mut owned = Secrets::new();
    for (name, value) in secrets.iter() {
        let value = value.cast::<PyBytes>()?.as_bytes().to_vec();
        owned.insert(name.extract()?, value.into());
    }
    Ok(owned)
}

fn errors_json(errors: &[LoadError]) -> String {
    let list: Vec<_> =
        errors.iter().map(|error| serde_json::json!({"pointer": error.pointer, "message": error.message})).collect();
    serde_json::Value::from(list).to_string()
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_function(wrap_pyfunction!(parse_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(reasons, module)?)?;
    module.add_function(wrap_pyfunction!(bind, module)?)?;
    module.add_function(wrap_pyfunction!(verify_signature, module)?)?;
    module.add_class::<Engine>()?;
    module.add_function(wrap_pyfunction!(check_condition, module)?)?;
    module.add_function(wrap_pyfunction!(check_schema, module)?)?;
    module.add_class::<RequestContract>()?;
    module.add_class::<Gateway>()?;
    module.add_class::<Replay>()?;
    module.add("YamlError", py.get_type::<YamlError>())?;
    module.add("ApplyError", py.get_type::<ApplyError>())?;
    module.add("InternalError", py.get_type::<InternalError>())?;
    Ok(())
}
