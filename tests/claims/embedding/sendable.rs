//! Every operation can be spawned: its future goes from thread to thread.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use colis::{
    config::Config,
    id::ManifestId,
    session::{
        self, CheckRequest, CustodyRequest, DeleteRequest, Extent, GrantRequest, Home, ReceiveInto,
        ReceiveRequest, Reporter, ResumeRequest, SealRequest, Sealing, SendRequest, Session,
        StatusRequest, certs,
    },
    store::{ManifestInfo, Store},
    transfer::Sources,
    trust::{Bearer, Right, Role},
};

fn is_send<T: Send>(_: T) {}

fn is_shared<T: Send + Sync>() {}

fn any<T>() -> T {
    unreachable!("it is only compiled")
}

/// Is only compiled. What does not compile here could not be spawned.
#[expect(dead_code, reason = "it holds by its types")]
fn operations(us: &'static Session, sources: fn() -> &'static Sources, text: &'static str) {
    let texts: &'static [String] = &[];
    let store = any::<Arc<dyn Store>>;
    is_shared::<(Sources, ReceiveRequest, ReceiveInto, SendRequest)>();
    is_send(us.send(any(), any::<&'static SendRequest>()));
    is_send(us.plan(sources(), any::<&'static SendRequest>()));
    is_send(us.share(any(), texts, any::<&'static Sealing>()));
    is_send(us.share_into(store(), any(), texts, any::<&'static Sealing>()));
    is_send(us.receive(any()));
    is_send(us.receive_from(store(), any()));
    is_send(us.grant(any::<&'static GrantRequest>()));
    is_send(us.delete(any::<&'static DeleteRequest>()));
    is_send(us.deletable(any::<&'static DeleteRequest>()));
    is_send(us.seal(any(), any::<&'static SealRequest>()));
    is_send(us.open_folder(Path::new(text), any()));
    is_send(us.check_custody(any::<&'static CustodyRequest>()));
    is_send(us.connect(text));
    is_send(us.arriving());
    is_send(us.cancel_arriving(&[], None));
    is_send(us.unfinished());
    is_send(us.unfinished_named(&[]));
    is_send(us.resume(any(), any::<&'static ResumeRequest>()));
    is_send(us.drop_unfinished(&[]));
    is_send(us.stop_serving());
    is_send(us.look_around());
    is_send(us.store_of(None));
    is_send(us.list(any::<&'static Arc<dyn Store>>().as_ref()));
    is_send(us.list_each(any::<&'static Arc<dyn Store>>().as_ref(), |_| {}));
    is_send(us.list_chunks(any::<&'static Arc<dyn Store>>().as_ref()));
    is_send(us.list_of(None));
    is_send(us.store_to_read(None));
    is_send(us.missed(&[]));
    is_send(us.add_peer(text));
    is_send(us.check_peer(text));
    is_send(us.set_role(text, any::<Bearer>(), any::<Role>()));
    is_send(us.allow(text, any::<&'static Right>()));
    is_send(us.deny(text, any::<&'static Right>()));
    is_send(us.forget_peer(text));
    is_send(us.status(any::<StatusRequest>()));
    is_send(us.check(any::<CheckRequest>()));
    is_send(us.collect_garbage(false));
    is_send(us.issue(any::<&'static certs::IssueRequest>()));
    is_send(us.revoke(text));
    let inbox = any::<&'static session::Inbox<'static>>();
    is_send(inbox.waiting());
    is_send(inbox.rows());
    is_send(inbox.named(texts));
    is_send(inbox.look(any::<ManifestInfo>(), any::<Extent>()));
    is_send(inbox.accept(any()));
    is_send(inbox.refuse(texts));
    is_send(inbox.refuse_all(None));
}

/// The same, of what needs no session.
#[expect(dead_code, reason = "it holds by its types")]
fn operations_of_homes(text: &'static str) {
    let (home, config) = (any::<&'static Home>(), any::<&'static Config>());
    let reporter = any::<&'static Arc<dyn Reporter>>();
    is_send(session::look_around(config));
    is_send(session::change_setting(home, text, text));
    is_send(session::take_back_setting(home, text));
    is_send(session::check_store(home, config, any(), &**reporter));
    is_send(session::collect_garbage(home, config, false));
    is_send(certs::issue(home, config, reporter, any()));
    is_send(certs::revoke(home, config, reporter, text));
    is_send(certs::departure(home, config));
    is_send(certs::leave(home, config, any()));
    let _ = any::<ManifestId>;
}

/// The pairing of machines is a conversation of its own types, which the command line runs in tasks.
const ELSEWHERE: [&str; 10] = [
    "start",
    "paired",
    "finish",
    "find",
    "join",
    "reach",
    "shown_around",
    "take_back_pending",
    "renew",
    "into_store",
];

#[test]
fn every_operation_is_among_them() {
    let here = include_str!("sendable.rs");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![sources.join("session.rs")];
    let mut folders = vec![sources.join("session")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    let mut operations = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for (_, rest) in text
            .match_indices("pub async fn ")
            .map(|(at, m)| text[at..].split_at(m.len()))
        {
            let name = rest
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next();
            operations.insert(name.unwrap().to_owned());
        }
    }
    assert!(operations.len() > 30, "{operations:?}");
    operations.retain(|name| {
        let called = [
            format!("us.{name}("),
            format!("inbox.{name}("),
            format!("session::{name}("),
            format!("certs::{name}("),
        ];
        !called.iter().any(|call| here.contains(call.as_str()))
            && !ELSEWHERE.contains(&name.as_str())
    });
    assert!(
        operations.is_empty(),
        "not held to be `Send`: {operations:?}"
    );
}
