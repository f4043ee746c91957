//! Who may call what: every route of the contract and every kind of own route, for each role, with and without a right, revoked
//! or not. The table stands in docs/protocol.md, and no route can be added without a row of it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use colis::{
    server::{self, Limits, OwnRoutes},
    trust::{Right, Role},
    wire::{Code, route},
};
use futures::future::join_all;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use testkit::server::{TestPeer, pki::Identity, problem};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const ROLES: [Role; 5] = [
    Role::Member,
    Role::Sender,
    Role::Reader,
    Role::Monitor,
    Role::None,
];
const OWN: [(&str, &str); 4] = [
    ("own route for members", "/members"),
    ("own route for any role", "/roles"),
    ("own route for the right that it has", "/right"),
    ("own route for another right", "/other"),
];

/// A request, and what the table says about it for each role.
struct Row {
    method: Method,
    path: String,
    cells: Vec<String>,
}

/// A peer as the table has one.
#[derive(Debug, Clone, Copy)]
struct Kind {
    role: Role,
    has_right: bool,
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        let with = |role| [false, true].map(|has_right| Self { role, has_right });
        ROLES.into_iter().flat_map(with)
    }

    fn is_let_in(self) -> bool {
        self.role != Role::None || self.has_right
    }
}

fn table() -> Vec<Row> {
    let table = PROTOCOL.split("### Who may call what").nth(1).unwrap();
    let lines = table.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.flat_map(rows_of).collect()
}

fn rows_of(line: &str) -> Vec<Row> {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let row = |method: &str, path: &str| Row {
        method: method.parse().unwrap(),
        path: path.to_owned(),
        cells: cells[1..].iter().map(|cell| (*cell).to_owned()).collect(),
    };
    match OWN.iter().find(|(name, _)| *name == cells[0]) {
        Some((_, path)) => vec![row("GET", path)],
        None => {
            let (methods, path) = cells[0].rsplit_once(' ').unwrap();
            methods
                .split(", ")
                .map(|method| row(method, path))
                .collect()
        }
    }
}

struct Stage {
    peer: TestPeer,
    right: Right,
    /// How often an own route was reached.
    reached: Arc<AtomicUsize>,
}

impl Stage {
    async fn new() -> Self {
        let right: Right = "bank:atm".parse().unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let at = |path: &str| {
            let reached = reached.clone();
            let reach = move || async move {
                reached.fetch_add(1, Ordering::SeqCst);
                "reached"
            };
            Router::new().route(path, get(reach))
        };
        let own = OwnRoutes::new()
            .for_members(at("/members"))
            .for_any_role(at("/roles"))
            .for_right(right.clone(), at("/right"))
            .for_right("bank:teller".parse().unwrap(), at("/other"));
        // Nothing but the check before a request finds who was revoked.
        let limits = Limits {
            revocation_check: Duration::from_secs(3600),
            ..Limits::default()
        };
        let peer = TestPeer::with_routes(limits, own).await;
        *peer.desk.list.lock().unwrap() = Some("the list".to_owned());
        *peer.desk.taken.lock().unwrap() = Some(Ok(true));
        *peer.desk.renewal.lock().unwrap() = Some(Ok("a certificate".to_owned()));
        Self {
            peer,
            right,
            reached,
        }
    }

    fn caller(&self, kind: Kind) -> Identity {
        let who = self.peer.member("who");
        self.peer.roles.lock().unwrap().insert(who.id, kind.role);
        if kind.has_right {
            let rights = BTreeSet::from([self.right.clone()]);
            self.peer.rights.lock().unwrap().insert(who.id, rights);
        }
        who
    }

    async fn ask(&self, client: &Client, row: &Row) -> reqwest::Result<Response> {
        let id = "0".repeat(64);
        let path = row.path.replace("{id}", &id);
        let path = path.replace("{transfer_id}", &id[..32]);
        let request = client.request(row.method.clone(), self.peer.url(&path));
        let request = match (row.method.as_str(), row.path.as_str()) {
            ("PUT", route::OFFER | route::MANIFEST) => request
                .header("content-type", "application/vnd.dsse+json")
                .body("not an envelope"),
            ("PUT", route::CHUNK) => request.body(vec![7; 100]),
            ("PUT", route::CRL) | ("POST", route::RENEW) => request
                .header("content-type", "application/x-pem-file")
                .body("pem"),
            ("POST", route::MISSING) => request.json(&json!({"ids": [id]})),
            ("POST", route::CUSTODY) => {
                let nonce = format!("{}=", "A".repeat(43));
                request.json(&json!({"nonce": nonce, "ids": [id]}))
            }
            _ => request,
        };
        request.send().await
    }

    /// Asserts what the table says for a caller of this kind that is not revoked.
    async fn check(&self, row: &Row, kind: Kind, client: &Client) {
        let what = format!("{} {} for {kind:?}", row.method, row.path);
        let asked = self.ask(client, row).await;
        if !kind.is_let_in() {
            assert!(asked.is_err(), "{what}: {asked:?}");
            return;
        }
        let answer = asked.unwrap_or_else(|e| panic!("{what}: {e}"));
        let at = ROLES.iter().position(|role| *role == kind.role).unwrap();
        let cell = row.cells[at].as_str();
        let lacks_right = row.path == "/right" && !kind.has_right;
        match cell {
            _ if lacks_right => assert_eq!(answer.status(), 403, "{what}"),
            "no" if row.method == Method::HEAD => assert_eq!(answer.status(), 403, "{what}"),
            "no" => drop(problem(answer, Code::NotAllowed).await),
            "yes" | "own" | "seen" => assert_ne!(answer.status(), 403, "{what}"),
            cell => panic!("{what}: the table says {cell:?}"),
        }
    }

    /// Asserts that a caller gets no answer that is revoked while its connection is open.
    async fn check_revoked(&self, row: &Row, kind: Kind) {
        let who = self.caller(kind);
        let client = self.peer.client(&who);
        let open = client.get(self.peer.url(route::PEER)).send().await;
        assert_eq!(open.is_ok(), kind.is_let_in(), "{kind:?}");
        self.peer.circle.revoke(&who);
        let asked = self.ask(&client, row).await;
        let what = format!("{} {} for {kind:?}", row.method, row.path);
        assert!(asked.is_err(), "{what}, revoked: {asked:?}");
    }
}

#[test]
fn every_operation_of_the_contract_has_a_row() {
    let document: Value = serde_json::from_slice(&server::openapi()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        operations.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let rows = table()
        .into_iter()
        .map(|row| (row.method.to_string(), row.path));
    let (own, rows): (BTreeSet<_>, BTreeSet<_>) =
        rows.partition(|(_, path)| !path.starts_with("/v1/"));
    assert_eq!(rows, operations);
    assert_eq!(own.len(), OWN.len());
}

#[tokio::test]
async fn each_role_and_right_gets_what_the_table_says() {
    let (stage, table) = (Stage::new().await, table());
    for kind in Kind::all() {
        let client = stage.peer.client(&stage.caller(kind));
        for row in &table {
            stage.check(row, kind, &client).await;
        }
    }
}

#[tokio::test]
async fn who_is_revoked_is_answered_nothing_whatever_role_or_right_it_had() {
    let (stage, table) = (Stage::new().await, table());
    for row in &table {
        join_all(Kind::all().map(|kind| stage.check_revoked(row, kind))).await;
    }
    assert_eq!(stage.reached.load(Ordering::SeqCst), 0);
}
