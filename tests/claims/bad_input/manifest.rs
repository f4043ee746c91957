//! Rows 41 to 57: signed manifests, and what is sealed under them.

use std::fs;

use colis::{
    crypto::FileKey,
    id::ChunkId,
    manifest::{Manifest, Payload as _, Signer as _, Timestamp, Wrap, WrapScope, dsse, to_json},
    tls::Identity,
    wire::{Code, MAX_MANIFEST_BODY},
};

use super::parcel::{Parcel, Plain, publish, publishing, sign};
use testkit::site::{Answer, Site, assert_clean, certs};
use testkit::{Homes, tree, wait_for};

/// `a` serves; `b` is about to publish a good transfer, whose chunks are there.
struct Bench {
    site: Site,
    b: Identity,
    parcel: Parcel,
}

impl Bench {
    fn new() -> Self {
        Self::of(Site::default())
    }

    fn of(site: Site) -> Self {
        let (a, b) = (site.identity("a"), site.identity("b"));
        let parcel = Parcel::seal(&b, &a, Plain::files(&["good.txt"]));
        parcel.upload(&site);
        Self { site, b, parcel }
    }

    /// The request that publishes `payload`, signed by `b`.
    fn signed(&self, payload: &[u8]) -> Vec<u8> {
        publishing(&sign(payload, Manifest::TYPE, &self.b))
    }

    /// The same for the good manifest after a change.
    fn changed(&self, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut manifest = self.parcel.manifest.clone();
        change(&mut manifest);
        self.signed(&to_json(&manifest))
    }

    /// The same for its text, in which `from` stands once.
    fn replaced(&self, from: &str, to: &str) -> Vec<u8> {
        let text = self.parcel.text();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        self.signed(text.replace(from, to).as_bytes())
    }

    /// The faults were the only reason: the good manifest is taken.
    fn good_is_taken(&self) {
        let envelope = sign(self.parcel.text().as_bytes(), Manifest::TYPE, &self.b);
        assert_eq!(publish(&self.site, &envelope).status, 201);
    }

    fn refuses(&self, inputs: Vec<Vec<u8>>, code: Code) {
        self.site
            .refuses(inputs.into_iter().map(|bytes| (bytes, code)));
    }
}

fn detail(answer: &Answer) -> String {
    answer.problem().unwrap().detail
}

pub(crate) fn row_41_bytes_that_are_no_manifest() {
    let bench = Bench::new();
    let good = bench.parcel.text();
    let envelope = sign(good.as_bytes(), Manifest::TYPE, &bench.b);
    let envelope = String::from_utf8(envelope).unwrap();
    let nested = "[".repeat(1000);
    let faults = |text: &str| -> Vec<Vec<u8>> {
        let mut faults = vec![[text.as_bytes(), &[0xff]].concat(), vec![0xff, 0xfe]];
        faults.extend(
            [
                format!("\u{feff}{text}"),
                format!("{text}\n"),
                format!("{text}x"),
                format!(" {text}"),
                text.replacen('{', "{\"v\":1,", 1),
                text.replacen('{', "{\"\\u001b[31m\\nevil\\u202e\":1,", 1),
                text.replacen('{', "{\"x\":NaN,", 1),
                text.replacen('{', &format!("{{\"x\":{nested}"), 1),
                nested.clone(),
                "{}".into(),
                "null".into(),
                "{".into(),
            ]
            .map(String::into_bytes),
        );
        faults
    };
    let mut inputs: Vec<_> = faults(&envelope).iter().map(|e| publishing(e)).collect();
    inputs.extend(faults(&good).iter().map(|payload| bench.signed(payload)));
    for input in &inputs {
        let detail = detail(&bench.site.talk(input));
        let place = detail.contains(" column ") || detail.contains(" byte ");
        assert!(place, "it does not say where: {detail}");
    }
    bench.refuses(inputs, Code::ManifestSyntax);
    bench.good_is_taken();
}

pub(crate) fn row_42_a_manifest_that_is_too_large() {
    let bench = Bench::new();
    let text = format!("{}{}", bench.parcel.text(), " ".repeat(MAX_MANIFEST_BODY));
    bench.refuses(vec![bench.signed(text.as_bytes())], Code::TooLarge);
    bench.refuses(
        vec![publishing(&vec![b' '; MAX_MANIFEST_BODY])],
        Code::ManifestSyntax,
    );
    bench.good_is_taken();
}

pub(crate) fn row_43_other_versions() {
    let bench = Bench::new();
    let with = |v: &str| bench.replaced("{\"v\":1,", &format!("{{\"v\":{v},"));
    bench.refuses(
        ["0", "2", "18446744073709551615"].map(with).into(),
        Code::UnsupportedVersion,
    );
    bench.refuses(
        ["\"1\"", "1.0", "-1", "1e0", "null"].map(with).into(),
        Code::ManifestSyntax,
    );
    bench.good_is_taken();
}

pub(crate) fn row_44_other_kinds_of_payload_and_wrap() {
    let bench = Bench::new();
    let text = bench.parcel.text();
    let typed = |kind: &str| publishing(&sign(text.as_bytes(), kind, &bench.b));
    let types = [
        "application/vnd.colis.offer.v1+json",
        "application/vnd.colis.manifest.v2+json",
        "application/vnd.in-toto+json",
        "\u{1b}[31m",
        "",
    ];
    bench.refuses(types.map(typed).into(), Code::UnsupportedType);
    let other = text.replace("\"type\":\"recipient\"", "\"type\":\"rot13\"");
    bench.refuses(vec![bench.signed(other.as_bytes())], Code::ManifestSyntax);
    bench.good_is_taken();
}

pub(crate) fn row_45_bad_signatures() {
    let bench = Bench::new();
    let text = bench.parcel.text();
    let message = dsse::pae(Manifest::TYPE, text.as_bytes());
    let good = bench.b.sign(&message).unwrap();
    let (mut flipped, mut high) = (good, good);
    flipped[40] ^= 1;
    let parsed = p256::ecdsa::Signature::from_slice(&good).unwrap();
    let (r, s) = parsed.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
    high.copy_from_slice(&other.to_bytes());
    let by_a = bench.site.identity("a").sign(&message).unwrap();
    let of_another = bench.b.sign(b"another text").unwrap();
    let with = |signature: [u8; 64]| {
        let keyid = bench.b.peer_id();
        publishing(&dsse::write(
            Manifest::TYPE,
            text.as_bytes(),
            keyid,
            &signature,
        ))
    };
    let wrong = [flipped, high, by_a, of_another, [0; 64], [0xff; 64]];
    bench.refuses(wrong.map(with).into(), Code::BadSignature);
    bench.good_is_taken();
}

pub(crate) fn row_46_signers_that_do_not_count() {
    let bench = Bench::of(Site::of(Homes::new(&["b", "c"]), &["--inbox", "off"]));
    let (site, others) = (&bench.site, Homes::new(&["b"]));
    let a = site.identity("a");
    let stranger = Identity::load(&certs(&others, "b")).unwrap();
    let foreign = Parcel::seal(&stranger, &a, Plain::files(&["x"]));
    foreign.upload(site);
    let foreign = sign(foreign.text().as_bytes(), Manifest::TYPE, &stranger);
    bench.refuses(vec![publishing(&foreign)], Code::UntrustedSigner);
    let borrowed = bench.changed(|m| m.certificate = a.certificate());
    let renamed = bench.changed(|m| m.sender = a.peer_id());
    bench.refuses(vec![borrowed], Code::SenderMismatch);
    let answer = site.talk(&renamed);
    assert!([403, 422].contains(&answer.status), "{}", answer.head);
    let c = site.identity("c");
    let gone = Parcel::seal(&c, &a, Plain::files(&["y"]));
    gone.upload(site);
    site.homes.ok("a", &["certs", "revoke", "c"]);
    let list = ["list", &site.serving.to()];
    wait_for("c is out", || site.homes.run("c", &list).code == 4);
    let gone = sign(gone.text().as_bytes(), Manifest::TYPE, &c);
    bench.refuses(vec![publishing(&gone)], Code::UntrustedSigner);
    bench.good_is_taken();
}

/// Publishes what `change` makes of a good transfer to `a`, and has `a` receive it, which fails with `code` and says
/// `what`; then nothing has a final name.
fn is_not_received(
    plain: Plain,
    change: impl FnOnce(&mut Parcel, &Identity),
    code: i32,
    what: &str,
) {
    let site = Site::default();
    let (a, b) = (site.identity("a"), site.identity("b"));
    let mut parcel = Parcel::seal(&b, &a, plain);
    change(&mut parcel, &a);
    let id = parcel.send(&site, &b).to_string();
    let said = site
        .homes
        .fails("a", &["receive", &id, "--out", "out"], code);
    assert!(said.contains(what) && said.contains("hint: "), "{said}");
    assert_clean(&said);
    let out = site.homes.path("out");
    let left = if out.exists() { tree(&out) } else { Vec::new() };
    assert!(left.iter().all(|line| line == "dir "), "{left:?}");
    site.is_well();
}

pub(crate) fn row_48_a_key_that_is_not_the_committed_one() {
    let other_key = |parcel: &mut Parcel, a: &Identity| {
        let scope = WrapScope {
            key_id: parcel.key.commitment(),
            transfer_id: parcel.manifest.transfer_id,
            sender: parcel.manifest.sender,
        };
        let (other, public) = (FileKey::generate().unwrap(), a.seal_keys()[0].public());
        let wrap = Wrap::to_recipient(&other, scope, a.peer_id(), public);
        parcel.manifest.wraps[1] = wrap.unwrap();
    };
    is_not_received(
        Plain::files(&["f"]),
        other_key,
        5,
        "key commitment mismatch",
    );
}

pub(crate) fn row_49_a_transfer_for_somebody_else() {
    let for_sender = |parcel: &mut Parcel, _: &Identity| parcel.manifest.wraps.truncate(1);
    is_not_received(Plain::files(&["f"]), for_sender, 4, "not addressed to us");
}

pub(crate) fn row_50_fields_that_contradict_each_other() {
    let bench = Bench::new();
    let id = |n: u32| ChunkId::of(&n.to_be_bytes());
    let table = bench.parcel.manifest.table[0];
    type Change = Box<dyn Fn(&mut Manifest)>;
    let faults: Vec<(&str, Change)> = vec![
        ("chunks", Box::new(|m| m.chunks.clear())),
        ("chunks", Box::new(move |m| m.chunks.push(id(1)))),
        ("chunks", Box::new(move |m| m.chunks = vec![table])),
        ("chunks", Box::new(|m| m.size = 0)),
        ("size", Box::new(|m| m.size = u64::MAX)),
        ("size", Box::new(|m| m.size = (65_536 << 16) + 1)),
        ("chunk_size", Box::new(|m| m.chunk_size = 0)),
        ("chunk_size", Box::new(|m| m.chunk_size = 65_537)),
        ("chunk_size", Box::new(|m| m.chunk_size = 32 << 10)),
        ("chunk_size", Box::new(|m| m.chunk_size = 128 << 20)),
        ("table", Box::new(|m| m.table.clear())),
        (
            "table",
            Box::new(move |m| m.table = (0..9000).map(id).collect()),
        ),
        (
            "sums",
            Box::new(move |m| m.sums = (0..2000).map(id).collect()),
        ),
        ("expires", Box::new(|m| m.expires = Some(m.created))),
    ];
    let mut inputs = Vec::new();
    for (field, change) in faults {
        let input = bench.changed(change);
        let detail = detail(&bench.site.talk(&input));
        assert!(detail.contains(&format!("`{field}`")), "{field}: {detail}");
        inputs.push(input);
    }
    bench.refuses(inputs, Code::ManifestInvariant);
    bench.good_is_taken();
}

pub(crate) fn row_51_chunks_that_are_missing() {
    let bench = Bench::new();
    let ids: Vec<_> = (0..1500_u32)
        .map(|n| ChunkId::of(&n.to_be_bytes()))
        .collect();
    let input = bench.changed(|m| (m.size, m.chunks) = (1500 << 16, ids.clone()));
    bench.refuses(vec![input.clone()], Code::MissingChunks);
    let problem = bench.site.talk(&input).problem().unwrap();
    assert_eq!(problem.missing_count, Some(1500));
    assert_eq!(problem.missing.unwrap(), ids[..1000]);
    bench.good_is_taken();
}

pub(crate) fn row_52_expired_or_from_the_future() {
    let bench = Bench::new();
    let now = Timestamp::now();
    let old = Timestamp::from_unix_seconds(now.unix_seconds() - 60);
    let made = bench.parcel.manifest.created;
    let made = Timestamp::from_unix_seconds(made.unix_seconds() - 120);
    let expired = bench.changed(|m| (m.created, m.expires) = (made, Some(old)));
    let early = bench.changed(|m| (m.created, m.expires) = (now.plus_seconds(90_000), None));
    for input in [&expired, &early] {
        let detail = detail(&bench.site.talk(input));
        assert_eq!(detail.matches("T").count(), 2, "not both times: {detail}");
        assert!(detail.contains("clock of the refusing peer"), "{detail}");
    }
    bench.refuses(vec![expired], Code::Expired);
    bench.refuses(vec![early], Code::FromTheFuture);
    bench.good_is_taken();
}

pub(crate) fn row_53_a_transfer_that_was_received() {
    for flags in [&["--keep-opened", "0"][..], &[]] {
        let bench = Bench::of(Site::with(flags));
        let received = bench.site.homes.home("a").join("received");
        bench.good_is_taken();
        wait_for("it is opened", || received.join("good.txt").exists());
        let text = bench.parcel.text();
        let envelope = sign(text.as_bytes(), Manifest::TYPE, &bench.b);
        let copy = bench.changed(|m| m.expires = None);
        let settled = |input: &[u8]| {
            let answer = bench.site.talk(input);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            answer.status == 200 && body.contains("already-")
        };
        // Opened is recorded a moment after the file has its name.
        wait_for("a copy is refused", || settled(&copy));
        assert!(settled(&publishing(&envelope)));
        bench.site.is_well();
        let names = fs::read_dir(&received)
            .unwrap()
            .map(|e| e.unwrap().file_name());
        let names: Vec<_> = names.filter(|name| name != testkit::MARKER).collect();
        assert_eq!(names, ["good.txt"]);
    }
}

/// A wrap of the right form that no password opens.
fn password(iterations: u32) -> Wrap {
    Wrap::Password {
        salt: [0; 32],
        iterations,
        check: [0; 32],
        ct: [0; 48],
    }
}

pub(crate) fn row_54_costs_outside_of_the_window() {
    let bench = Bench::new();
    let with = |count| bench.changed(|m| m.wraps.push(password(count)));
    bench.refuses(
        [0, 1, 599_999, 2_000_001, u32::MAX].map(with).into(),
        Code::KdfParams,
    );
    let mut manifest = bench.parcel.manifest.clone();
    manifest.wraps.push(password(600_000));
    let text = String::from_utf8(to_json(&manifest)).unwrap();
    let spelled = |count: &str| {
        let text = text.replace("\"iterations\":600000", &format!("\"iterations\":{count}"));
        bench.signed(text.as_bytes())
    };
    let counts = [
        "\"600000\"",
        "-600000",
        "6e5",
        "600000.0",
        "4294967296",
        "null",
    ];
    bench.refuses(counts.map(spelled).into(), Code::ManifestSyntax);
    bench.good_is_taken();
}

pub(crate) fn row_55_wraps_that_nobody_may_try() {
    let bench = Bench::new();
    let many = |m: &mut Manifest| {
        let Wrap::Recipient { kid, enc, ct, .. } = m.wraps[1].clone() else {
            panic!("a wrap for a password");
        };
        let wrap = |n: u32| Wrap::Recipient {
            peer: colis::id::PeerId::of(&n.to_be_bytes()),
            kid,
            enc: enc.clone(),
            ct: ct.clone(),
        };
        m.wraps.extend((0..63).map(wrap));
    };
    let resized = |grow: isize, of_enc: bool| {
        bench.changed(|m| {
            let Wrap::Recipient { enc, ct, .. } = &mut m.wraps[1] else {
                panic!("a wrap for a password");
            };
            let bytes = if of_enc { enc } else { ct };
            bytes.resize(bytes.len().strict_add_signed(grow), 0);
        })
    };
    let two = |m: &mut Manifest| m.wraps.extend([password(600_000), password(600_001)]);
    let twice = |m: &mut Manifest| m.wraps.push(m.wraps[1].clone());
    let none_for_sender = |m: &mut Manifest| drop(m.wraps.remove(0));
    let mut inputs = vec![
        bench.changed(many),
        bench.changed(two),
        bench.changed(twice),
        bench.changed(none_for_sender),
        bench.changed(|m| m.wraps.clear()),
    ];
    for (grow, of_enc) in [(1, true), (-1, true), (1, false), (-1, false)] {
        inputs.push(resized(grow, of_enc));
    }
    bench.refuses(inputs, Code::BadWrap);
    let text = bench.parcel.text();
    let padding = text.replacen("==\"", "\"", 1);
    let alphabet = text.replacen("\"ct\":\"", "\"ct\":\"-_", 1);
    let spaced = text.replacen("\"ct\":\"", "\"ct\":\"\\n", 1);
    let spelled = [padding, alphabet, spaced].map(|text| bench.signed(text.as_bytes()));
    bench.refuses(spelled.into(), Code::ManifestSyntax);
    bench.good_is_taken();
}

pub(crate) fn row_56_a_wrong_password() {
    let site = Site::of(Homes::new(&["b", "c"]), &[]);
    let homes = &site.homes;
    fs::write(homes.path("f.txt"), "for those who know").unwrap();
    fs::write(homes.path("right"), "correct horse battery\n").unwrap();
    fs::write(homes.path("wrong"), "wrong horse battery\n").unwrap();
    let to = site.serving.to();
    let secret = ["--password-file", "right"];
    homes.ok(
        "b",
        &[&["send", "f.txt", "--via", &to][..], &secret].concat(),
    );
    let receive = ["receive", "--from", &to, "--all", "--out", "out"];
    let wrong = homes.fails(
        "c",
        &[&receive[..], &["--password-file", "wrong"]].concat(),
        4,
    );
    assert!(
        wrong.contains("wrong password") && wrong.contains("hint: "),
        "{wrong}"
    );
    assert!(!homes.path("out/f.txt").exists());
    homes.ok("c", &[&receive[..], &secret].concat());
    assert_eq!(
        fs::read_to_string(homes.path("out/f.txt")).unwrap(),
        "for those who know"
    );
}

pub(crate) fn row_57_content_that_is_not_what_was_signed() {
    let mut wrong_sum = Plain::files(&["f"]);
    wrong_sum.sums = Plain::files(&["g"]).sums;
    is_not_received(wrong_sum, |_, _| {}, 5, "is not what the sender signed");
    let longer = |parcel: &mut Parcel, _: &Identity| parcel.manifest.size += 1;
    is_not_received(
        Plain::files(&["f"]),
        longer,
        5,
        "is not what the sender signed",
    );
    let mut more_sums = Plain::files(&["f"]);
    more_sums.sums.extend(Plain::files(&["g"]).sums);
    is_not_received(more_sums, |_, _| {}, 5, "is not what the sender signed");
    let mut swapped = Plain::default();
    swapped.add("f", &[1; 70_000]);
    let swap = |parcel: &mut Parcel, _: &Identity| parcel.manifest.chunks.swap(0, 1);
    is_not_received(swapped, swap, 5, "hint: do not use it");
}
