//! A member with a valid certificate against the transfers of other members: it deletes and delays none of them.

use std::io::Write as _;

use colis::{
    id::ManifestId,
    manifest::{Manifest, Payload as _, Timestamp, to_json},
    wire::Code,
};

use crate::bad_input::parcel::{Parcel, Plain, publish, publishing, sign};
use testkit::site::{Answer, Site, certificate, certs, key, read_to_close, shows};
use testkit::{Homes, wait_for};

/// `a` serves, `b` is honest, `c` is not.
fn site() -> Site {
    Site::of(Homes::new(&["b", "c"]), &["--inbox", "off"])
}

/// Says `bytes` as `c`.
fn talk_as_c(site: &Site, bytes: &[u8]) -> Answer {
    let c = certs(&site.homes, "c");
    let config = shows(&site.homes, vec![certificate(&c)], key(&c));
    let mut stream = site.connect(config);
    stream.write_all(bytes).unwrap();
    read_to_close(&mut stream)
}

#[test]
fn a_manifest_that_expires_at_once_takes_no_chunk_of_another_with_it() {
    let site = site();
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let honest = Parcel::seal(&b, &a, Plain::files(&["good.txt"]));
    honest.upload(&site);
    // It names what it has seen in the list of chunks.
    let mut hostile = Parcel::seal(&c, &a, Plain::files(&["good.txt"])).manifest;
    let Manifest {
        table,
        sums,
        chunks,
        ..
    } = honest.manifest.clone();
    (hostile.table, hostile.sums, hostile.chunks) = (table, sums, chunks);
    hostile.expires = Some(Timestamp::now().plus_seconds(2));
    let envelope = sign(&to_json(&hostile), Manifest::TYPE, &c);
    assert_eq!(talk_as_c(&site, &publishing(&envelope)).status, 201);
    let path = format!("/v1/manifests/{}", ManifestId::of(&envelope));
    wait_for("it has expired", || site.get(&path).status == 404);
    for (id, _) in &honest.chunks {
        let there = site.get(&format!("/v1/chunks/{id}"));
        assert_eq!(there.status, 200, "acknowledged to b, then gone");
    }
    let envelope = sign(&to_json(&honest.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
    site.get(&path).is(Code::NoSuchManifest, "what has expired");
    site.is_well();
}
