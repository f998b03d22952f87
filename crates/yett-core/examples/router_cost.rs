//! Finds routes over and over, for `make bench` to count the instructions: `router_cost ROUTES LOOKUPS`.

use std::error::Error;

use yett_core::exchange::{Method, Variables};
use yett_core::headers::Headers;
use yett_core::ir;
use yett_core::path::CanonicalPath;
use yett_core::router::{Match, Router, Wanted};

const LISTENER: &str = "public";

fn route(number: u32) -> Result<ir::Route, serde_json::Error> {
    serde_json::from_value(serde_json::json!({
        "name": format!("route-{number}"), "group": null, "listeners": [LISTENER],
        "match": {
            "hosts": ["api.example.com"], "path": format!("/teams/team-{number:05}/items/{{item}}"), "methods": ["GET"],
            "headers": {}, "query": {}
        },
        "path_allow": [], "access": "public", "address_limits": [], "rate_limits": [],
        "action": {"forward": [{"service": "origin", "weight": 10000}]}, "rewrite": null,
        "request_headers": {"remove": [], "set": {}, "add": {}},
        "response_headers": {"remove": [], "set": {}, "add": {}},
        "body_limit": 1048576,
        "timeouts": {"connect_ms": 2000, "first_byte_ms": 15000, "idle_ms": 60000, "total_ms": 0}
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u32> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let &[routes, lookups] = numbers.as_slice() else { return Err("usage: router_cost ROUTES LOOKUPS".into()) };
    let routes = routes.max(1);
    let table = (0..routes).map(route).collect::<Result<Vec<_>, _>>()?;
    let router = Router::build(&table).map_err(|errors| format!("{errors:?}"))?;
    let headers = Headers::default();
    let mut variables = Variables::default();
    // Ten paths all over the table, parsed beforehand: the lookup alone is counted.
    let mut paths = Vec::new();
    for part in 0..10u32 {
        let mut path = CanonicalPath::default();
        let text = format!("/teams/team-{:05}/items/{part}", part.wrapping_mul(routes / 10) % routes);
        path.parse_into(text.as_bytes()).map_err(|_| "a path of the example is not canonical")?;
        paths.push(path);
    }
    for path in paths.iter().cycle().take(usize::try_from(lookups)?) {
        let wanted =
            Wanted { host: "api.example.com", path, method: &Method::Get, headers: &headers, query: b"", recorded: None };
        if !matches!(router.find(LISTENER, wanted, &mut variables), Match::Found(_)) {
            return Err("a route of the example was not found".into());
        }
    }
    Ok(())
}
